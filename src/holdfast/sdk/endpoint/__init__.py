"""Handlers on the network: ASGI for servers, events for AWS Lambda.

Owns      `App`, which knows the services, answers discovery and runs attempts.
Promises  every request gets an answer; an attempt whose connection is gone is taken down.
Never     retries or stores anything: that is the server's part.
"""
