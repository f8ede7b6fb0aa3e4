"""One HTTP/2 stream of the client: the request body under flow control, and what the listener is owed.

The peer grants bytes twice, per stream and per connection, and the connection adds a third limit of its own:
how much it collects before the socket takes it (`output_budget`). A write that fits all of them goes straight
to the output; what does not fit is queued here, in `queued` bytes, and the connection calls `pump` when
a limit moved. The caller bounds its own writes by `buffered_bytes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.invoker.http.api import StreamListener, TransportFailure
from holdfast.invoker.http.frames import (
    CANCEL,
    DATA,
    FLAG_END_STREAM,
    frame_header,
    rst_stream_frame,
    window_update_frame,
)

if TYPE_CHECKING:
    from holdfast.invoker.http.h2_connection import H2Connection


class _Detached:
    """Listens for streams that ended, which also cuts the reference cycle with the real listener."""

    def on_response(self, status: int, headers: dict[str, str]) -> None: ...

    def on_data(self, data: bytes) -> None: ...

    def on_end(self) -> None: ...

    def on_failure(self, failure: TransportFailure) -> None: ...


DETACHED: Final = _Detached()


class H2Stream:
    """See `api.Stream`. The attributes without underscore are shared with the connection, nobody else."""

    __slots__ = (
        "_connection",
        "_pieces",
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

    def __init__(
        self,
        connection: H2Connection,
        stream_id: int,
        listener: StreamListener,
        send_window: int,
        receive_window: int,
    ) -> None:
        self._connection = connection
        self._pieces: list[bytes] = []
        self.stream_id = stream_id
        self.listener: StreamListener = listener
        self.send_window = send_window
        self.receive_window = receive_window
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
        connection = self._connection
        if (
            not self.queued
            and size <= self.send_window
            and size <= connection.send_window
            and size <= connection.output_budget
            and size <= connection.peer_frame_bytes_max
        ):
            self.send_window -= size
            connection.send_window -= size
            connection.emit_data(frame_header(size, DATA, 0, self.stream_id), data, size)
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
            self._connection.emit(frame_header(0, DATA, FLAG_END_STREAM, self.stream_id))

    def reset(self) -> None:
        if not self.closed:
            self._connection.emit(rst_stream_frame(self.stream_id, CANCEL))
            self._connection.forget(self)

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False
        if not self.closed:
            self.grant()

    def grant(self) -> None:
        """Give the peer back the room for what it sent, once that is worth a frame."""
        full = self._connection.stream_window_bytes
        if self.receive_window * 2 <= full:
            self._connection.emit(window_update_frame(self.stream_id, full - self.receive_window))
            self.receive_window = full

    def pump(self) -> None:
        """Send as much of the queue as all limits allow.

        If the connection is what stops it, the connection is told so, and will call again; if it is the stream's
        own window, the peer's next WINDOW_UPDATE does.
        """
        connection = self._connection
        pieces = self._pieces
        done = 0
        while self.queued:
            head = pieces[done]
            size = len(head)
            room = min(
                self.send_window,
                connection.send_window,
                connection.output_budget,
                connection.peer_frame_bytes_max,
            )
            if room <= 0:
                break
            if room < size:
                pieces[done] = head[room:]
                head, size = head[:room], room
            else:
                done += 1
            self.queued -= size
            self.send_window -= size
            connection.send_window -= size
            last = self.ending and not self.queued
            connection.emit_data(
                frame_header(size, DATA, FLAG_END_STREAM if last else 0, self.stream_id), head, size
            )
            if last:
                self.local_closed = True
        if done:
            del pieces[:done]
        if self.queued and self.send_window > 0:
            connection.wait_for_room(self)

    def detach(self) -> StreamListener:
        """Close for good; the listener is handed back for the last call, if one is due."""
        listener = self.listener
        self.listener = DETACHED
        self.closed = True
        self.queued = 0
        self._pieces = []
        return listener
