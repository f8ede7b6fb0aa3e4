"""HTTP/1.1 on a socket: one request at a time, kept alive for the next.

The request body is chunked when it is still open as the request starts, else it has a length. The response
may begin before the request ended: both directions run independently, as far as the peer does its part. A
connection is used again only after both directions ended cleanly; `reset` and every doubt close it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

import httptools

from holdfast.http2.fields import Headers
from holdfast.invoker.http.api import Endpoint, Stream, StreamListener, TransportFailure
from holdfast.invoker.http.header_blocks import (
    HEADER_LIST_BYTES_MAX,
    PreparedHeaders,
    RequestEncoder,
    request_target,
)
from holdfast.invoker.http.transport import DETACHED, Limits, TransportOwner

OUTPUT_BYTES_MAX: Final = 256 * 1024
_BODYLESS_STATUSES: Final = frozenset((204, 304))


class _PeerError(Exception):
    """The peer's answer is not usable HTTP/1.1; becomes the stream's failure."""


class H1Stream:
    """See `api.Stream`."""

    __slots__ = ("_transport", "closed", "ended", "listener", "responded")

    http_version = "HTTP/1.1"

    def __init__(self, transport: H1Transport, listener: StreamListener, ended: bool) -> None:
        self._transport = transport
        self.listener: StreamListener = listener
        self.ended = ended
        self.responded = False
        self.closed = False

    def write(self, data: bytes) -> None:
        if self.closed or not data:
            return
        if self.ended:
            raise RuntimeError("write() after end() on an HTTP/1.1 stream")
        self._transport.send(b"%x\r\n" % len(data), data, b"\r\n")

    def end(self) -> None:
        if not self.closed and not self.ended:
            self.ended = True
            self._transport.send(b"0\r\n\r\n")

    def reset(self) -> None:
        if not self.closed:
            self.detach()
            self._transport.abort()

    def pause_reading(self) -> None:
        if not self.closed:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.closed:
            self._transport.resume_reading()

    @property
    def buffered_bytes(self) -> int:
        return 0 if self.closed else self._transport.buffered_bytes

    def detach(self) -> StreamListener:
        """Close for good; the listener is handed back for the last call, if one is due."""
        listener = self.listener
        self.listener = DETACHED
        self.closed = True
        return listener


class H1Transport(asyncio.Protocol):
    """One HTTP/1.1 connection of a pool; see `transport.Transport`."""

    streams_max = 1

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        owner: TransportOwner,
        endpoint: Endpoint,
        encoder: RequestEncoder,
        limits: Limits,
    ) -> None:
        self._loop = loop
        self._owner = owner
        self._address = endpoint.address
        self._authority = endpoint.authority
        self._base_path = endpoint.base_path
        self._encoder = encoder
        self._limits = limits
        self._socket: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._stream: H1Stream | None = None
        self._output: list[bytes] = []
        self._output_bytes = 0
        self._flush_scheduled = False
        self._writable = True
        self._sent_anything = False
        self._closing = False
        self._idle_since = loop.time()
        self._status = 0
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._bytes_without_progress = 0
        """Read since headers were complete or a piece of the body came: the parser may be keeping them."""
        self._until_close = False

    @property
    def buffered_bytes(self) -> int:
        socket = self._socket
        return self._output_bytes + (socket.get_write_buffer_size() if socket is not None else 0)

    def has_room(self) -> bool:
        return self._stream is None and self._socket is not None and not self._closing

    def start(
        self,
        method: str,
        path: str,
        headers: Headers,
        prepared: PreparedHeaders | None,
        listener: StreamListener,
        body: bytes,
        end: bool,
    ) -> Stream:
        self._encoder.encode(method, path, headers, prepared)  # for its checks
        lines = [f"{method} {request_target(self._base_path, path)} HTTP/1.1\r\nhost: {self._authority}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in (*(prepared.pairs if prepared else ()), *headers)]
        stream = self._stream = H1Stream(self, listener, ended=end)
        self._status = 0
        self._sent_anything = False
        self._bytes_without_progress = 0
        if end:
            if body or method != "GET":
                lines.append(f"content-length: {len(body)}\r\n")
            self.send("".join((*lines, "\r\n")).encode(), body)
        else:
            lines.append("transfer-encoding: chunked\r\n\r\n")
            self.send("".join(lines).encode())
            stream.write(body)
        return stream

    def sweep(self, now: float) -> None:
        if self._stream is None and now - self._idle_since >= self._limits.idle_timeout_s:
            self.close("idle")

    def close(self, reason: str) -> None:
        self._fail(reason)
        self.abort()

    # H1Stream

    def send(self, *pieces: bytes) -> None:
        """Queue bytes for the tick's one write."""
        self._output += pieces
        self._output_bytes += sum(map(len, pieces))
        if not self._flush_scheduled and self._writable:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def abort(self) -> None:
        """Close the connection now, whatever is under way."""
        self._closing = True
        self._stream = None
        if self._socket is not None:
            self._socket.abort()

    def pause_reading(self) -> None:
        if self._socket is not None and self._socket.is_reading():
            self._socket.pause_reading()

    def resume_reading(self) -> None:
        if self._socket is not None and not self._socket.is_reading():
            self._socket.resume_reading()

    def _flush(self) -> None:
        self._flush_scheduled = False
        socket = self._socket
        if socket is not None and self._writable and self._output and not socket.is_closing():
            data = b"".join(self._output)
            self._output.clear()
            self._output_bytes = 0
            self._sent_anything = True
            socket.write(data)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast(asyncio.Transport, transport)
        self._socket.set_write_buffer_limits(high=OUTPUT_BYTES_MAX)

    def data_received(self, data: bytes) -> None:
        if self._stream is None:
            self.abort()  # bytes nobody asked for: this connection is out of step
            return
        self._bytes_without_progress += len(data)
        try:
            self._parser.feed_data(data)
            if self._bytes_without_progress > HEADER_LIST_BYTES_MAX:
                where = "bytes between chunks or in trailers" if self._status else "response headers"
                raise _PeerError(f"{where} exceed {HEADER_LIST_BYTES_MAX} bytes")
        except httptools.HttpParserUpgrade:
            self.close(f"{self._address} switched protocols, which was not asked for")
        except (httptools.HttpParserError, _PeerError) as error:
            cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
            self.close(f"{self._address} sent what is not HTTP/1.1: {cause}")

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._socket = None
        self._closing = True
        stream = self._stream
        if stream is not None and self._status and self._until_close and exc is None:
            self._finish(stream)
        else:
            self._fail(f"{self._address} closed the connection" + (f": {exc}" if exc else ""))
        self._owner.lost(self)

    # httptools callbacks

    def on_message_begin(self) -> None:
        if self._stream is None:
            raise _PeerError("a response to no request")
        self._headers = {}
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEADER_LIST_BYTES_MAX:
            raise _PeerError(f"response headers exceed {HEADER_LIST_BYTES_MAX} bytes")
        if self._status:  # a trailer
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key in self._headers:
            text = f"{self._headers[key]}, {text}"
        self._headers[key] = text

    def on_headers_complete(self) -> None:
        self._bytes_without_progress = 0
        status = self._parser.get_status_code()
        stream = self._stream
        if status < 200 or stream is None:
            return
        self._status = status
        self._until_close = (
            "content-length" not in self._headers
            and "transfer-encoding" not in self._headers
            and status not in _BODYLESS_STATUSES
        )
        stream.responded = True
        self._call(stream, stream.listener.on_response, status, self._headers)

    def on_body(self, body: bytes) -> None:
        self._bytes_without_progress = 0
        stream = self._stream
        if stream is None:
            return
        if not self._status:
            # The parser reads one where it is announced, and behind statuses that do not exist (022).
            raise _PeerError("an interim response with a body")
        self._call(stream, stream.listener.on_data, body)

    def on_message_complete(self) -> None:
        stream = self._stream
        if stream is None or not self._status:
            return
        self._finish(stream)

    def _finish(self, stream: H1Stream) -> None:
        """The response is whole. Keep the connection only if the request is, too."""
        reusable = (
            stream.ended
            and not self._output
            and self._socket is not None
            and self._parser.should_keep_alive()
        )
        self._stream = None
        self._idle_since = self._loop.time()
        if not reusable:
            self._closing = True
            if self._socket is not None:
                self._socket.close()
        listener = stream.detach()
        self._call(None, listener.on_end)
        if reusable:
            self.resume_reading()
            # Not now: a waiting stream would start while the parser is still inside this response.
            self._loop.call_soon(self._owner.room_made)

    def _fail(self, reason: str) -> None:
        stream = self._stream
        self._stream = None
        if stream is not None and not stream.closed:
            listener = stream.detach()
            self._call(None, listener.on_failure, TransportFailure(reason, not self._sent_anything, None))

    def _call(self, stream: H1Stream | None, call: Callable[..., None], *arguments: object) -> None:
        try:
            call(*arguments)
        except Exception as error:  # the listener's bug, not the connection's
            self._owner.listener_failed(error)
            if stream is not None:
                stream.reset()
