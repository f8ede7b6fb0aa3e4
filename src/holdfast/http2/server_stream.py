"""One stream of a server: the response is `SendingStream`'s, the request comes by the calls that subclasses
answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from holdfast.http2.output import Output
from holdfast.http2.sending import SendingStream


class StreamOwner(Protocol):
    """The connection, as its streams see it."""

    @property
    def output(self) -> Output: ...
    @property
    def initial_window(self) -> int: ...
    def sent(self, stream: ServerStream) -> None: ...


class ServerStream(SendingStream, ABC):
    """A request and its response.

    Attributes:
        receive_window: what the client may still send.
        remote_closed: the client has ended its side.
        pumped: counts the times that queued bytes could be sent.
    """

    __slots__ = ("_owner", "pumped", "receive_window", "remote_closed")

    def __init__(self, stream_id: int, owner: StreamOwner, window_bytes: int) -> None:
        super().__init__(stream_id, owner.output, owner.initial_window)
        self._owner = owner
        self.receive_window = window_bytes
        self.remote_closed = False
        self.pumped = 0

    @abstractmethod
    def on_data(self, data: bytes) -> None:
        """A piece of the request's body, one byte or more; not called once the response is being ended."""

    @abstractmethod
    def on_end(self) -> None:
        """The request's body has ended; likewise."""

    @abstractmethod
    def on_gone(self) -> None:
        """Cut by the client, by us, or with the connection; nothing can be sent any more."""

    def pump(self) -> None:
        queued = self.queued
        super().pump()
        if self.queued != queued:
            self.pumped += 1
        if self.local_closed:
            self._owner.sent(self)

    def end(self) -> None:
        super().end()
        if self.local_closed:
            self._owner.sent(self)
