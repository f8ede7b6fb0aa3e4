"""The streams of one HTTP/2 connection: how they begin, and every way they end. Sans-IO, client side.

Promises    each stream opened here hears exactly one last call, or was reset by its owner. The last call
            comes after the stream is out of the table, so that a listener may open the next stream at once.
            All bytes due since the last `take_output` come as one joined piece.

A stream ends with its response (`h2_connection`), with a reset from either side, or with the connection. For
the last of these it matters whether the peer can have seen the request: what was never taken from the
output cannot have reached it, and is dropped, so that the answer stays true.
"""

from __future__ import annotations

from typing import Final, Protocol

import holdfast.http2.frames as frames
from holdfast.http2.either_side import EitherSide
from holdfast.invoker.http.api import StreamListener, TransportFailure
from holdfast.invoker.http.h2_stream import H2Stream
from holdfast.invoker.http.header_blocks import HEADER_LIST_BYTES_MAX

CONNECTION_WINDOW_BYTES: Final = 16 * 1024 * 1024
STREAM_WINDOW_BYTES: Final = 2 * 1024 * 1024


class ConnectionOwner(Protocol):
    """What a connection tells whoever drives it. None of these may call back into `receive`."""

    def output_ready(self) -> None:
        """Bytes are waiting; called once until `take_output`."""

    def settings_received(self) -> None:
        """The peer's first SETTINGS are known: streams may be opened."""

    def stream_closed(self, idle: bool) -> None:
        """One stream fewer; `idle`: it was the last open one."""

    def going_away(self) -> None:
        """No further streams on this connection (GOAWAY)."""

    def listener_failed(self, error: Exception) -> None:
        """A listener raised; its stream has been reset."""


class H2Streams(EitherSide[H2Stream]):
    """The streams of one connection, and whether it is still of use."""

    def __init__(
        self, owner: ConnectionOwner, peer: str, streams_total_max: int, first_stream_id: int
    ) -> None:
        super().__init__(owner.output_ready, CONNECTION_WINDOW_BYTES, HEADER_LIST_BYTES_MAX)
        self._owner = owner
        self._peer = peer
        self._next_stream_id = first_stream_id
        self._last_stream_id_max = min(2 * streams_total_max - 1, frames.STREAM_ID_LIMIT)
        self._taken_stream_id = 0
        self._peer_streams_max = frames.STREAM_ID_LIMIT
        # Read by the owner.
        self.draining = False
        """No further streams may be opened; the open ones go on."""
        self.end_reason = ""
        """Why it is closed."""
        self.pongs = 0

    @property
    def opened_streams(self) -> int:
        """Streams opened so far, closed ones included."""
        return self._next_stream_id >> 1

    def room(self, streams_max: int) -> bool:
        """Whether one more stream may be opened now, given our own limit and the peer's."""
        limit = self._peer_streams_max
        return (
            len(self._streams) < (streams_max if streams_max < limit else limit)
            and self.ready
            and not self.draining
            and not self.closed
        )

    def open(self, block: bytes, listener: StreamListener, body: bytes = b"", end: bool = False) -> H2Stream:
        """Start a stream; the caller has asked `room` first.

        Args:
            block: a stateless header block, pseudo headers included (`header_blocks.RequestEncoder`).
        """
        stream_id = self._next_stream_id
        self._next_stream_id = stream_id + 2
        if stream_id + 2 > self._last_stream_id_max:
            self.draining = True
        output = self.output
        stream = H2Stream(stream_id, listener, output, self.initial_window, STREAM_WINDOW_BYTES, self._forget)
        self._streams[stream_id] = stream
        size = len(body)
        if (
            body
            and size <= output.frame_bytes_max
            and len(block) <= output.frame_bytes_max
            and size <= self.initial_window
            and size <= output.window
            and size <= output.budget
        ):
            # As nearly always: HEADERS and DATA in one go.
            stream.send_window -= size
            stream.ending = stream.local_closed = end
            header = frames.pack_header
            output.emit_data(
                b"".join(
                    (
                        header(len(block) << 8 | frames.HEADERS, frames.FLAG_END_HEADERS, stream_id),
                        block,
                        header(size << 8 | frames.DATA, frames.FLAG_END_STREAM if end else 0, stream_id),
                    )
                ),
                body,
                size,
            )
            return stream
        bodyless = end and not body
        output.emit(frames.headers_frames(stream_id, block, bodyless, output.frame_bytes_max))
        if bodyless:
            stream.ending = stream.local_closed = True
        elif end:
            stream.write_last(body)
        elif body:
            stream.write(body)
        return stream

    def _forget(self, stream: H2Stream) -> StreamListener:
        """Drop a stream that is closed on both sides; its listener is returned for the last call."""
        streams = self._streams
        del streams[stream.stream_id]
        listener = stream.detach()
        self._owner.stream_closed(not streams)
        return listener

    def ping(self) -> None:
        """Ask for a sign of life; `pongs` counts the answers."""
        self._emit(frames.frame(frames.PING, 0, 0, b"holdfast"))

    def take_output(self) -> bytes:
        self._taken_stream_id = self._next_stream_id - 2
        return super().take_output()

    def fail(self, reason: str, code: int = frames.NO_ERROR) -> None:
        """End the connection: GOAWAY with `code`, and every open stream fails with `reason`.

        Streams whose HEADERS never left `take_output` are certainly not processed: what was not taken is
        dropped.
        """
        if self.closed:
            return
        self.closed = True
        self.end_reason = reason
        self.output.discard()
        self._emit(frames.goaway_frame(0, code))
        self._fail_streams(list(self._streams.values()), reason, self._taken_stream_id)

    def _fail_streams(self, streams: list[H2Stream], reason: str, last_processed_id: int) -> None:
        for stream in streams:
            if not stream.closed:
                listener = self._forget(stream)
                failure = TransportFailure(reason, stream.stream_id > last_processed_id, None)
                try:
                    listener.on_failure(failure)
                except Exception as error:  # one listener's bug must not keep the others waiting
                    self._owner.listener_failed(error)

    def _fail_stream(self, stream: H2Stream, reason: str, code: int) -> None:
        """The peer broke one exchange: reset it, keep the connection."""
        self._emit(frames.rst_stream_frame(stream.stream_id, code))
        self._fail_streams([stream], f"{self._peer} sent a malformed response: {reason}", stream.stream_id)

    def _listener_failed(self, stream: H2Stream, error: Exception) -> None:
        if not stream.closed:
            self._emit(frames.rst_stream_frame(stream.stream_id, frames.INTERNAL_ERROR))
            self._forget(stream)
        self._owner.listener_failed(error)

    def _never_opened(self, stream_id: int) -> bool:
        return stream_id == 0 or stream_id % 2 == 0 or stream_id >= self._next_stream_id
