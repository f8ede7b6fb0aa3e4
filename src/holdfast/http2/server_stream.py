"""One stream of a server: the response is `SendingStream`'s, the request comes by the calls that subclasses
answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from holdfast.http2.frames import headers_frames
from holdfast.http2.output import Output
from holdfast.http2.sending import SendingStream


class StreamOwner(Protocol):
    """The connection, as its streams see it."""

    output: Output
    initial_window: int
    stream_window_bytes: int

    def sent(self, stream: ServerStream) -> None: ...


class ServerStream(SendingStream, ABC):
    """A request and its response.

    Attributes:
        receive_window: what the client may still send.
        remote_closed: the client has ended its side.
        discarded_bytes: of the request, behind the response.
        moved: counts the signs of life: each time that queued bytes could be sent, and what the stream adds.
        seen: what `moved` was at the last sweep, to tell whether anything moves.
        since_s: when its present phase began, by its server's clock.
    """

    __slots__ = ("_owner", "discarded_bytes", "moved", "receive_window", "remote_closed", "seen", "since_s")

    def __init__(self, stream_id: int, owner: StreamOwner, since_s: float) -> None:
        super().__init__(stream_id, owner.output, owner.initial_window)
        self._owner = owner
        self.receive_window = owner.stream_window_bytes
        self.remote_closed = False
        self.discarded_bytes = self.moved = self.seen = 0
        self.since_s = since_s

    @abstractmethod
    def on_data(self, data: bytes) -> None:
        """A piece of the request's body, one byte or more; not called once the response is being ended."""

    @abstractmethod
    def on_end(self) -> None:
        """The request's body has ended; likewise.

        Raises:
            MalformedRequest: it is not what the headers said.
        """

    @abstractmethod
    def on_gone(self) -> None:
        """Cut by the client, by us, or with the connection; nothing can be sent any more."""

    def sweep(self, now_s: float) -> None:
        """Once in a while, as long as nothing waits to be sent and the response has not ended."""

    def send_head(self, block: bytes, *, ends: bool = False) -> None:
        """The response's headers, or an informational one's.

        Args:
            ends: they are the whole response.
        """
        output = self._output
        output.emit(headers_frames(self.stream_id, block, ends, output.frame_bytes_max))
        if ends:
            self.ending = self.local_closed = True
            self._owner.sent(self)

    def answer(self, block: bytes, body: bytes) -> None:
        """The whole response."""
        self.send_head(block, ends=not body)
        if body:
            self.write_last(body)

    def pump(self) -> None:
        queued = self.queued
        super().pump()
        if self.queued != queued:
            self.moved += 1
        if self.local_closed:
            self._owner.sent(self)

    def end(self) -> None:
        super().end()
        if self.local_closed:
            self._owner.sent(self)
