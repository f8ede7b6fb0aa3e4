"""One HTTP/2 stream of the client: the request body under flow control, and what the listener is owed.

A write that fits the stream's window and what the connection's `Output` has room for goes straight there.
What does not fit is queued here, `queued` bytes of it, and `pump` is called when a limit moved. The caller
bounds its own writes by `buffered_bytes`.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.invoker.http.api import StreamListener
from holdfast.invoker.http.frames import (
    CANCEL,
    DATA,
    FLAG_END_STREAM,
    frame_header,
    rst_stream_frame,
    window_update_frame,
)
from holdfast.invoker.http.h2_output import Output
from holdfast.invoker.http.transport import DETACHED


class H2Stream:
    """See `api.Stream`. The attributes without underscore are shared with the connection, nobody else.

    Args:
        window_bytes: what the peer may send before it needs a WINDOW_UPDATE.
        forget: drops the stream from its connection.
    """

    __slots__ = (
        "_forget",
        "_output",
        "_pieces",
        "_start",
        "_window_bytes",
        "closed",
        "ending",
        "listener",
        "local_closed",
        "queued",
        "reading_paused",
        "receive_window",
        "responded",
        "send_window",
        "stream_id",
    )

    http_version = "HTTP/2.0"

    def __init__(
        self,
        stream_id: int,
        listener: StreamListener,
        output: Output,
        send_window: int,
        window_bytes: int,
        forget: Callable[[H2Stream], StreamListener],
    ) -> None:
        self._output = output
        self._pieces: list[bytes] = []
        self._start = 0
        """How much of the first piece is sent.

        Cutting it off each time would copy a large body once per frame.
        """
        self._forget = forget
        self._window_bytes = self.receive_window = window_bytes
        self.stream_id = stream_id
        self.listener: StreamListener = listener
        self.send_window = send_window
        self.queued = 0
        self.ending = False
        """`end()` was called; END_STREAM goes out with the last queued byte."""
        self.local_closed = False
        self.responded = False
        self.reading_paused = False
        self.closed = False

    @property
    def buffered_bytes(self) -> int:
        return self.queued

    def write(self, data: bytes) -> None:
        """See `api.Stream.write`.

        Raises:
            RuntimeError: after `end()`: a mistake of the caller.
        """
        if self.closed:
            return
        if self.ending:
            raise RuntimeError(f"write() after end() on HTTP/2 stream {self.stream_id}")
        size = len(data)
        if not size:
            return
        output = self._output
        if (
            not self.queued
            and size <= self.send_window
            and size <= output.window
            and size <= output.budget
            and size <= output.frame_bytes_max
        ):
            self.send_window -= size
            output.emit_data(frame_header(size, DATA, 0, self.stream_id), data, size)
            return
        self._pieces.append(data)
        self.queued += size
        self.pump()

    def append_last(self, data: bytes) -> None:
        """The whole request body at once: END_STREAM rides on its last frame."""
        self._pieces.append(data)
        self.queued = len(data)
        self.ending = True
        self.pump()

    def end(self) -> None:
        if self.closed or self.ending:
            return
        self.ending = True
        if not self.queued:
            self.local_closed = True
            self._output.emit(frame_header(0, DATA, FLAG_END_STREAM, self.stream_id))

    def reset(self) -> None:
        if not self.closed:
            self._output.emit(rst_stream_frame(self.stream_id, CANCEL))
            self._forget(self)

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False
        if not self.closed:
            self.grant()

    def grant(self) -> None:
        """Give the peer back the room for what it sent, once that is worth a frame."""
        full = self._window_bytes
        if self.receive_window * 2 <= full:
            self._output.emit(window_update_frame(self.stream_id, full - self.receive_window))
            self.receive_window = full

    def pump(self) -> None:
        """Send as much of the queue as all limits allow.

        If the connection has no room, the output calls again; if the stream's own window is used up, the
        peer's next WINDOW_UPDATE does.
        """
        output = self._output
        pieces = self._pieces
        done = 0
        start = self._start
        while self.queued:
            head = pieces[done]
            size = len(head) - start
            room = min(self.send_window, output.window, output.budget, output.frame_bytes_max)
            if room <= 0:
                break
            if room < size:
                head, size = head[start : start + room], room
                start += room
            else:
                if start:
                    head, start = head[start:], 0
                done += 1
            self.queued -= size
            self.send_window -= size
            last = self.ending and not self.queued
            output.emit_data(
                frame_header(size, DATA, FLAG_END_STREAM if last else 0, self.stream_id), head, size
            )
            if last:
                self.local_closed = True
        self._start = start
        if done:
            del pieces[:done]
        if self.queued and self.send_window > 0:
            output.wait_for_room(self)

    def detach(self) -> StreamListener:
        """Close for good; the listener is handed back for the last call, if one is due."""
        listener = self.listener
        self.listener = DETACHED
        self.closed = True
        self.queued = 0
        self._pieces = []
        self._output.forget(self)
        return listener
