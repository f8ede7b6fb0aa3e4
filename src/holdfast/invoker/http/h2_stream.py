"""One HTTP/2 stream of the client: the request body is `SendingStream`'s, here is what the listener is owed.

The caller bounds its own writes by `buffered_bytes`.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.http2.frames import CANCEL, rst_stream_frame, window_update_frame
from holdfast.http2.output import Output
from holdfast.http2.sending import SendingStream
from holdfast.invoker.http.api import StreamListener
from holdfast.invoker.http.transport import DETACHED


class H2Stream(SendingStream):
    """See `api.Stream`.

    Args:
        window_bytes: what the peer may send before it needs a WINDOW_UPDATE.
        forget: drops the stream from its connection.
    """

    __slots__ = (
        "_forget",
        "_window_bytes",
        "listener",
        "reading_paused",
        "receive_window",
        "responded",
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
        super().__init__(stream_id, output, send_window)
        self._forget = forget
        self._window_bytes = self.receive_window = window_bytes
        self.listener: StreamListener = listener
        self.responded = False
        self.reading_paused = False

    @property
    def buffered_bytes(self) -> int:
        return self.queued

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

    def detach(self) -> StreamListener:
        """Close for good; the listener is handed back for the last call, if one is due."""
        listener = self.listener
        self.listener = DETACHED
        self.drop()
        return listener
