"""The sending half of one stream: a body under flow control, whichever side sends it.

A write that fits the stream's window and what the connection's `Output` has room for goes straight there.
What does not fit is queued here, `queued` bytes of it, and `pump` is called when a limit moved. Who writes
bounds the queue.
"""

from __future__ import annotations

from holdfast.http2.frames import DATA, FLAG_END_STREAM, frame_header, pack_header
from holdfast.http2.output import Output


class SendingStream:
    """One side's body. The attributes without underscore are shared with the connection, nobody else."""

    __slots__ = (
        "_output",
        "_pieces",
        "_start",
        "closed",
        "ending",
        "local_closed",
        "queued",
        "send_window",
        "stream_id",
    )

    def __init__(self, stream_id: int, output: Output, send_window: int) -> None:
        self._output = output
        self._pieces: list[bytes] = []
        self._start = 0
        """How much of the first piece is sent.

        Cutting it off each time would copy a large body once per frame.
        """
        self.stream_id = stream_id
        self.send_window = send_window
        self.queued = 0
        self.ending = False
        """Nothing more will be written; END_STREAM goes out with the last queued byte."""
        self.local_closed = False
        self.closed = False

    def write(self, data: bytes) -> None:
        """Send, now or as soon as the limits allow. Nothing happens once the stream is closed.

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
            output.emit_data(pack_header(size << 8 | DATA, 0, self.stream_id), data, size)
            return
        self._pieces.append(data)
        self.queued += size
        self.pump()

    def write_last(self, data: bytes) -> None:
        """The end of the body, one byte or more: END_STREAM rides on its last frame."""
        self._pieces.append(data)
        self.queued += len(data)
        self.ending = True
        self.pump()

    def end(self) -> None:
        """Nothing more comes."""
        if self.closed or self.ending:
            return
        self.ending = True
        if not self.queued:
            self.local_closed = True
            self._output.emit(frame_header(0, DATA, FLAG_END_STREAM, self.stream_id))

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

    def drop(self) -> None:
        """Close for good; what is queued is never sent."""
        self.closed = True
        if self.queued:
            self.queued = 0
            self._pieces = []
        if self._output.waiting:
            self._output.forget(self)
