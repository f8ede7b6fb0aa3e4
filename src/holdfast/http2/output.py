"""What an HTTP/2 connection has to send: one list of pieces per tick, and the limits bodies meet.

Control frames always go out. DATA is limited three times: by the window of its stream (the stream's own
business), by the connection's window, and by a budget per tick, which bounds what is collected here and lets
streams take turns. A stream that is stopped by one of the latter two waits here and is pumped when the limit
moves, in the order of arrival, each as far as it gets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from holdfast.http2.frames import FRAME_BYTES_DEFAULT, WINDOW_BYTES_DEFAULT

OUTPUT_BYTES_MAX: Final = 256 * 1024
"""Body bytes collected per tick; more waits in its stream."""


class Pumped(Protocol):
    """A stream with queued bytes."""

    def pump(self) -> None:
        """Send what the limits allow; call `wait_for_room` again if it is not all."""


class Output:
    """The sending side of one connection.

    Args:
        ready: called when bytes are due, once until `take`.
    """

    __slots__ = (
        "_announced",
        "_paused",
        "_pieces",
        "_ready",
        "budget",
        "frame_bytes_max",
        "waiting",
        "window",
    )

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready = ready
        self._pieces: list[bytes] = []
        self._announced = False
        self._paused = False
        self.waiting: dict[Pumped, None] = {}
        """Streams that wait for room, in the order of arrival."""
        self.budget = OUTPUT_BYTES_MAX
        self.window = WINDOW_BYTES_DEFAULT
        """What the peer grants the connection; the streams charge it."""
        self.frame_bytes_max = FRAME_BYTES_DEFAULT
        """The largest frame the peer accepts."""

    def emit(self, data: bytes) -> None:
        """Queue frames that no window limits."""
        self._pieces.append(data)
        if not self._announced:
            self._announced = True
            self._ready()

    def emit_data(self, header: bytes, data: bytes, size: int) -> None:
        """Queue one DATA frame.

        The stream has made sure that window and budget cover it, and is charged here.
        """
        self.window -= size
        self.budget -= size
        pieces = self._pieces
        pieces.append(header)
        pieces.append(data)
        if not self._announced:
            self._announced = True
            self._ready()

    def take(self) -> bytes:
        """Everything due, joined. Streams that waited for the budget fill the next one."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._announced = False
        if not self._paused:
            self.budget = OUTPUT_BYTES_MAX
            if self.waiting:
                self.pump_waiting()
        return data

    def discard(self) -> None:
        """Drop what was not taken: the connection is over and none of it may reach the peer any more."""
        self._pieces.clear()

    def pause(self) -> None:
        """The socket is full: keep bodies in their streams."""
        self._paused = True
        self.budget = 0

    def resume(self) -> None:
        """The socket drained."""
        self._paused = False
        self.budget = OUTPUT_BYTES_MAX
        self.pump_waiting()

    def widen(self, increment: int) -> int:
        """The peer granted more: use it, and return the window it granted in all."""
        self.window += increment
        window = self.window
        if self.waiting:
            self.pump_waiting()
        return window

    def wait_for_room(self, stream: Pumped) -> None:
        """Note that a stream has bytes the connection has no room for."""
        self.waiting[stream] = None

    def forget(self, stream: Pumped) -> None:
        """The stream is closed."""
        self.waiting.pop(stream, None)

    def pump_waiting(self) -> None:
        """Give the waiting streams what room there is; one that is cut short goes to the end of the line."""
        for stream in list(self.waiting):
            if self.window <= 0 or self.budget <= 0:
                return
            del self.waiting[stream]
            stream.pump()
