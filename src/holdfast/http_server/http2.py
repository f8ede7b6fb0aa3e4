"""HTTP/2 on a server's socket: what has become due in one turn of the loop leaves in one write.

A client that takes nothing is not read from, and what waits for it stays in its streams; bodies come out as
far as windows and the socket reach. Deadlines are here, too: for a header block, for a response that nobody
takes, for what a client goes on sending behind its response, and for a connection without requests.
"""

from __future__ import annotations

import asyncio
from typing import Generic

from holdfast.http2 import frames
from holdfast.http2.frames import ProtocolViolation
from holdfast.http2.output import OUTPUT_BYTES_MAX
from holdfast.http2.server_side import ConnectionLimits, ServerSide
from holdfast.http2.server_stream import ServerStream
from holdfast.http_server.site import Connection, SiteT


class Http2OnSocket(ServerSide, Connection, Generic[SiteT]):
    """One client connection speaking HTTP/2; created when the client's preface has been read."""

    def __init__(self, site: SiteT, transport: asyncio.Transport, limits: ConnectionLimits) -> None:
        self.site = site
        self._transport = transport
        self._flushing_soon = False
        self._receiving = True
        self._paused_s: float | None = None
        self._active_s = site.now_s
        """When a frame came last; once it is closed, when it was."""
        super().__init__(limits, self.flush_soon)
        self._receiving = False
        transport.set_write_buffer_limits(high=OUTPUT_BYTES_MAX)

    # For the subclass.

    def collect(self) -> None:
        """Have every stream say what it has to, before that is written."""

    def flush_read(self) -> None:
        """Write what a read has made due: at once, unless that is going to happen soon."""
        if not self._flushing_soon:
            self._flush()

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        self._receiving = True
        if self.receive(data):
            self._active_s = self.site.now_s
        self._receiving = False
        self.flush_read()

    def pause_writing(self) -> None:
        self._paused_s = self.site.now_s
        self.output.pause()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused_s = None
        self.output.resume()
        if not self.closed:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.cut_streams()
        self.site.remove(self)

    # What is sent.

    def flush_soon(self) -> None:
        """Write at the end of this turn."""
        if not self._flushing_soon and not self._receiving:
            self._flushing_soon = True
            self.site.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing_soon = False
        if self._transport.is_closing():
            return
        self.collect()
        if data := self.take_output():
            self._transport.write(data)
        if self.closed:
            self._active_s = self.site.now_s
            self._transport.close()

    # Connection

    def sweep(self, now_s: float) -> None:
        super().sweep(now_s)
        limits = self.site.limits
        quiet_s = now_s - self._active_s
        if self._paused_s is not None and now_s - self._paused_s > limits.write_deadline_s:
            self.abort()
        elif self.closed:
            if quiet_s > limits.write_deadline_s:
                self.abort()  # it does not take our goodbye
        elif self.in_block and quiet_s > limits.header_deadline_s:
            self.fail(ProtocolViolation(frames.ENHANCE_YOUR_CALM, "the header block did not arrive in time"))
            self.flush_soon()
        elif not self.open_streams and quiet_s > limits.keep_alive_s:
            self.drain()
        else:
            for stream in tuple(self._streams.values()):
                self._sweep_stream(stream, now_s)

    def _sweep_stream(self, stream: ServerStream, now_s: float) -> None:
        if stream.moved != stream.seen:
            stream.seen = stream.moved
            stream.since_s = now_s
        lasted_s = now_s - stream.since_s
        if stream.queued:
            if lasted_s > self.site.limits.write_deadline_s:
                self.reset(stream, frames.CANCEL)
        elif not stream.local_closed:
            stream.sweep(now_s)
        elif lasted_s > self.site.limits.discard_s:
            self.reset(stream, frames.NO_ERROR)

    def drain(self) -> None:
        super().drain()
        self.flush_soon()

    def abort(self) -> None:
        self._transport.abort()
