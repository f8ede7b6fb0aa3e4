"""HTTP towards deployments: HTTP/2 (cleartext with prior knowledge, or TLS) and HTTP/1.1, full duplex.

Owns        connections, streams, flow control and their limits; `HttpClient` is the front door.
Promises    a stream's listener hears one last call, on the event loop, and a failure says whether the
            peer can have seen the request.
Never does  retries, protocol frames of invocations, or anything durable: that is the invoker's.
"""

from holdfast.http2.fields import HeaderError
from holdfast.invoker.http.api import (
    Endpoint,
    RequestFailed,
    Response,
    Stream,
    StreamListener,
    TransportFailure,
)
from holdfast.invoker.http.client import HttpClient
from holdfast.invoker.http.header_blocks import PreparedHeaders

__all__ = [
    "Endpoint",
    "HeaderError",
    "HttpClient",
    "PreparedHeaders",
    "RequestFailed",
    "Response",
    "Stream",
    "StreamListener",
    "TransportFailure",
]
