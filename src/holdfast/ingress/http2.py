"""HTTP/2 connections, with prior knowledge or chosen by ALPN: streams are exchanges.

What a client may make us keep is bounded everywhere: bodies by the limits (`http2_stream`), header blocks by
size and number of frames, resets by a rate (`http2.server_side`), responses by the number of streams and a
deadline on windows that do not open (`http_server.http2`).
"""

from __future__ import annotations

import asyncio

from holdfast.http2.requests import RefusedHeaders, Request
from holdfast.http2.server_stream import ServerStream
from holdfast.http_server.http2 import Http2OnSocket
from holdfast.ingress.http2_stream import Http2Exchange
from holdfast.ingress.site import Site


class Http2Connection(Http2OnSocket[Site]):
    """One client's requests."""

    def __init__(self, site: Site, transport: asyncio.Transport) -> None:
        super().__init__(site, transport, site.http2_limits)

    def open_stream(self, stream_id: int, request: Request, ends: bool) -> ServerStream:
        stream = Http2Exchange(stream_id, self, request)
        stream.begin()
        return stream

    def refused_headers(self, stream_id: int, refusal: RefusedHeaders) -> ServerStream:
        stream = Http2Exchange(stream_id, self, ("", "", []))
        stream.refuse(refusal)
        return stream
