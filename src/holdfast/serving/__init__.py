"""The HTTP server of `holdfast serve`: an app's attempts straight on HTTP/2 and HTTP/1.1 connections.

Owns        connections, from the listening socket to the last frame; the worker processes; the graceful end.
Promises    whatever becomes due in one turn of the event loop leaves in one write per connection; what
            clients can make it keep is bounded (`ServingLimits`, `http2.server_side`).
Never does  anything but run apps of `holdfast.sdk`: no ASGI, no TLS, no static files.

Why it is our own: `docs/design/serving.md`.
"""
