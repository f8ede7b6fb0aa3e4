"""What leaves an HTTP/2 connection: frames of one turn of the loop in one write, bodies as windows allow.

A response's body is cut into DATA frames as far as the stream's window, the connection's window and the
socket's buffer reach; what is left stays in its exchange until one of them opens again. So a client that does
not read, or opens no window, makes us keep at most the bodies it asked for, `streams_max` of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from holdfast.http2 import frames
from holdfast.http2.frames import ProtocolViolation
from holdfast.ingress.http2_stream import Http2Exchange
from holdfast.ingress.site import Site


class Sender:
    """The writing half of one connection.

    `on_sent` is told of each stream whose response has been written whole. While `corked`, nothing is
    written until `flush`.
    """

    def __init__(
        self, site: Site, transport: asyncio.Transport, on_sent: Callable[[Http2Exchange], None]
    ) -> None:
        self._site = site
        self._transport = transport
        self._on_sent = on_sent
        self._out: list[bytes] = []
        self._window = frames.WINDOW_BYTES_DEFAULT
        self.initial_window = frames.WINDOW_BYTES_DEFAULT
        self.frame_bytes = frames.FRAME_BYTES_DEFAULT
        self.corked = False
        self.paused_s: float | None = None
        """Since when the socket takes no more, by the site's clock."""

    def write(self, data: bytes) -> None:
        """Have bytes leave with this turn's write."""
        if not self._out and not self.corked:
            asyncio.get_running_loop().call_soon(self.flush)
        self._out.append(data)

    def flush(self) -> None:
        """Write what has gathered."""
        if self._out:
            data, self._out = b"".join(self._out), []
            self._transport.write(data)

    def discard(self) -> None:
        """The connection is gone."""
        self._out = []

    def headers(self, stream: Http2Exchange, block: bytes, *, ends_stream: bool) -> None:
        self.write(frames.headers_frames(stream.stream_id, block, ends_stream, self.frame_bytes))

    def body(self, stream: Http2Exchange, body: bytes) -> None:
        """Begin to send a response's body, one byte or more."""
        stream.rest = memoryview(body)
        stream.since_s = self._site.now_s
        self._send_rest(stream)

    def open_window(self, increment: int, streams: Sequence[Http2Exchange]) -> None:
        """The client takes more on the connection.

        Raises:
            ProtocolViolation: FLOW_CONTROL_ERROR, past what a window can be.
        """
        self._window += increment
        if not increment or self._window > frames.WINDOW_BYTES_LIMIT:
            raise ProtocolViolation(frames.FLOW_CONTROL_ERROR, "the connection's window overflows")
        self.resume(streams)

    def open_stream_window(self, stream: Http2Exchange, increment: int) -> bool:
        """The client takes more on a stream; False when that is past what a window can be."""
        stream.send_window += increment
        if not increment or stream.send_window > frames.WINDOW_BYTES_LIMIT:
            return False
        self._send_rest(stream)
        return True

    def apply_settings(self, payload: bytes, streams: Sequence[Http2Exchange]) -> None:
        """Follow the client's SETTINGS and acknowledge them.

        Raises:
            ProtocolViolation: a value out of its range.
        """
        for setting, value in frames.read_settings(payload):
            if setting == frames.SETTING_INITIAL_WINDOW_SIZE:
                if value > frames.WINDOW_BYTES_LIMIT:
                    raise ProtocolViolation(frames.FLOW_CONTROL_ERROR, "the initial window is too large")
                change, self.initial_window = value - self.initial_window, value
                for stream in streams:
                    stream.send_window += change
            elif setting == frames.SETTING_MAX_FRAME_SIZE:
                if not frames.FRAME_BYTES_DEFAULT <= value <= frames.FRAME_BYTES_LIMIT:
                    raise ProtocolViolation(frames.PROTOCOL_ERROR, f"frame size {value} is out of range")
                self.frame_bytes = value
        self.write(frames.SETTINGS_ACK)
        self.resume(streams)

    def resume(self, streams: Sequence[Http2Exchange]) -> None:
        """Go on with what is left of these streams' responses."""
        for stream in streams:
            if stream.rest:
                self._send_rest(stream)

    def _send_rest(self, stream: Http2Exchange) -> None:
        rest = stream.rest
        while rest and self.paused_s is None:
            size = min(len(rest), self.frame_bytes, stream.send_window, self._window)
            if size <= 0:
                break
            stream.send_window -= size
            self._window -= size
            stream.since_s = self._site.now_s
            last = size == len(rest)
            flags = frames.FLAG_END_STREAM if last else 0
            self.write(frames.frame(frames.DATA, flags, stream.stream_id, bytes(rest[:size])))
            stream.rest = rest = rest[size:]
            if last:
                self._on_sent(stream)
