"""Pushes attempts to deployments and reports what they send.

Owns       attempts: their streams, timeouts and slots; the translation between wire frames and core's nouns.
Promises   everything an attempt sends reaches its partition in order, up to the frame that ends it, and
           exactly one end is reported: End, Suspend or an AttemptError with a code of docs/errors.md.
Never      makes anything durable or decides about retries: its reports are records like any other.
"""
