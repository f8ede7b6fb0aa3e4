"""One attempt: a stream to a deployment, from the push to its end.

    OPEN ──────▶ CLOSED INPUT ──────▶ ENDED ──────▶ gone
     │ inactivity, pausing,    final frame,   the peer closed
     │ request/response        failure        its side, or did not in time

The server half-closes the request when nothing more will be sent: at once in request/response mode, after the
inactivity timeout or when pausing, and when the final frame has come. What the SDK sends is reported chunk by
chunk; `known` counts the journal entries it was told of, for `Suspend`.
"""

from __future__ import annotations

from typing import Protocol

from holdfast.core.commands import AttemptError, End, Item, Suspend
from holdfast.core.model import Invocation, RetryPolicy
from holdfast.core.records import AttemptReport
from holdfast.invoker import failures
from holdfast.invoker.failures import Refusal
from holdfast.invoker.http.api import Stream, TransportFailure
from holdfast.invoker.pushes import Push
from holdfast.invoker.translate import TRANSLATIONS, Callees, unexpected
from holdfast.partition.loop import PartitionLoop
from holdfast.protocol.errors import ProtocolError
from holdfast.protocol.framing import FrameDecoder, MessageType, encode_frame, whole_frames
from holdfast.protocol.messages import ErrorMessage, ProposeRunCompletionAckMessage, StepMetadataMessage

ERROR_BODY_BYTES_MAX = 2_048
UNSENT_BYTES_MAX = 64 * 1024 * 1024
_FINAL = frozenset((End, Suspend, AttemptError))
# Plain numbers: they are compared with for every frame.
_AWAITING_ON = MessageType.AWAITING_ON.value
_ERROR = MessageType.ERROR.value
_FINAL_TYPES = frozenset((MessageType.END.value, MessageType.SUSPENSION.value, _ERROR))
_COMPLETION_ACK = MessageType.PROPOSE_RUN_COMPLETION_ACK.value
_NO_HEADERS: dict[str, str] = {}
_ACKS = [encode_frame(_COMPLETION_ACK, ProposeRunCompletionAckMessage(n).encode()) for n in range(128)]
"""Ready for the small completion ids that nearly all runs have."""


class AttemptOwner(Protocol):
    """The runner as its attempts see it."""

    def time(self) -> float:
        """The loop's monotonic clock, seconds."""
        ...

    @property
    def callees(self) -> Callees: ...
    @property
    def closing_s(self) -> float:
        """How long a finished stream may take to close."""
        ...

    def now_ms(self) -> int: ...
    def jitter(self) -> float:
        """A fresh number in [0, 1)."""
        ...

    def reopen(self, attempt: Attempt) -> bool:
        """Push the attempt once more; false when it may not be."""
        ...

    def gone(self, attempt: Attempt) -> None:
        """The attempt's stream is over."""


class Attempt:
    """A StreamListener that reports to its partition. `finished` once its end has been reported."""

    __slots__ = (
        "_decoder",
        "_headers",
        "_message_bytes_max",
        "_refused_body",
        "_runner",
        "_spoke",
        "_status",
        "awaiting",
        "closing_until",
        "deployment",
        "finished",
        "handler",
        "held",
        "id_text",
        "input_open",
        "invocation",
        "known",
        "number",
        "partition",
        "push",
        "reopens",
        "retry_count",
        "row",
        "server",
        "started_ms",
        "stream",
        "touched_at",
        "version",
    )  # fmt: skip

    def __init__(
        self,
        runner: AttemptOwner,
        partition: PartitionLoop,
        invocation: Invocation,
        push: Push,
        id_text: str,
        message_bytes_max: int,
        now_s: float,
        started_ms: int,
    ) -> None:
        self._runner = runner
        self.partition = partition
        self.invocation = invocation
        self.row = invocation.row
        self.number = invocation.attempt
        self.push = push
        self.deployment = push.deployment
        self.handler = push.handler
        self.version = push.version
        self.id_text = id_text
        self.known = 0
        self._message_bytes_max = message_bytes_max
        self._decoder: FrameDecoder | None = None
        self._status = 0
        self._spoke = False
        self._headers = _NO_HEADERS
        self._refused_body = b""
        self.stream: Stream | None = None
        self.input_open = True
        self.finished = False
        self.started_ms = started_ms
        self.touched_at = now_s
        self.closing_until = 0.0
        self.reopens = 0
        self.server: str | None = None
        self.awaiting: bytes | None = None
        self.held: StepMetadataMessage | None = None
        self.retry_count = invocation.retry_count

    @property
    def callees(self) -> Callees:
        """For `translate`."""
        return self._runner.callees

    def on_refusal(self) -> tuple[RetryPolicy, float]:
        """For `translate`."""
        return self.handler.retry, self._runner.jitter()

    # ------------------------------------------------------------ towards the SDK

    def send(self, frame: bytes) -> None:
        """Write a frame, if the request is still open."""
        stream = self.stream
        if stream is None or not self.input_open:
            return
        self.touched_at = self._runner.time()
        stream.write(frame)
        if stream.buffered_bytes > UNSENT_BYTES_MAX:
            self.fail(failures.NETWORK, f"the deployment does not read: {UNSENT_BYTES_MAX} bytes are unsent")

    def tell(self, index: int, type_: int, body: bytes) -> None:
        """A notification, unless it was part of the replay."""
        if index >= self.known and self.input_open and self.stream is not None:
            self.known = index + 1
            self.send(encode_frame(type_, body))

    def acknowledge(self, completion_id: int) -> None:
        """The run's completion is durable."""
        if completion_id < len(_ACKS):
            self.send(_ACKS[completion_id])
        else:
            ack = ProposeRunCompletionAckMessage(completion_id).encode()
            self.send(encode_frame(_COMPLETION_ACK, ack))

    def close_input(self) -> None:
        """Nothing more will be sent: the SDK suspends or finishes. The abort timeout begins."""
        if self.input_open:
            self.input_open = False
            self.touched_at = self._runner.time()
            if self.stream is not None:
                self.stream.end()

    def drop(self) -> None:
        """Forget the stream, without report: the partition has already decided."""
        self.finished = True
        self.input_open = False
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.reset()

    def fail(self, doc_code: str, message: str, *, code: int = 500) -> None:
        """Report a failure that the server noticed, and drop the stream."""
        if not self.finished:
            error = failures.attempt_error(
                doc_code, message, self.handler.retry, self._runner.jitter(), code=code
            )
            self._report([error])
        self.drop()
        self._runner.gone(self)

    def time_out(self, message: str) -> None:
        """Report that the handler took too long, and stop listening.

        A handler that has not sent a frame yet is not reset: its SDK would take that for a lost
        connection. Left alone it finds its input closed, suspends at its next await, and ends by itself.
        """
        if self._spoke or self.stream is None:
            self.fail(failures.ABORT_TIMEOUT, message)
            return
        error = failures.attempt_error(
            failures.ABORT_TIMEOUT, message, self.handler.retry, self._runner.jitter()
        )
        self._report([error])
        self.closing_until = self._runner.time() + self._runner.closing_s

    # ------------------------------------------------------------ from the deployment

    def on_response(self, status: int, headers: dict[str, str]) -> None:
        self._status = status
        self._headers = headers
        self.server = headers.get("x-restate-server")
        if self.finished:
            return
        if status != 200:
            # Refused. Some servers end their answer only when the request has ended.
            self.close_input()
            return
        expected = self.push.content_type
        found = headers.get("content-type")
        if found != expected:
            self.fail(
                failures.PROTOCOL,
                f"the deployment answered with content type {found!r}, expected {expected!r}: is it an SDK "
                "endpoint, and of this protocol version?",
            )

    def on_data(self, data: bytes) -> None:
        if self.finished:
            return
        self.touched_at = self._runner.time()
        self._spoke = True
        if self._status != 200:
            room = ERROR_BODY_BYTES_MAX - len(self._refused_body)
            self._refused_body += data[:room]
            return
        items: list[Item] = []
        final = False
        try:
            frames = whole_frames(data, self._message_bytes_max) if self._decoder is None else None
            if frames is None:
                if self._decoder is None:
                    self._decoder = FrameDecoder(self._message_bytes_max)
                frames = self._decoder.feed(data)
            for type_, flags, body in frames:
                if type_ == _AWAITING_ON:
                    self.awaiting = body
                    self.partition.changed(self.invocation.row)  # for those who watch it
                    continue
                translation = TRANSLATIONS.get(type_)
                if translation is not None:
                    item = translation(self, type_, flags, body)
                elif type_ == _ERROR:
                    item = self._error(body)
                else:
                    raise unexpected(type_)
                if item is not None:
                    items.append(item)
                    if type_ in _FINAL_TYPES:
                        final = True
                        break
        except ProtocolError as error:
            items.append(failures.from_protocol_error(error, self.handler.retry, self._runner.jitter()))
        except Refusal as refusal:
            items.append(
                failures.attempt_error(
                    refusal.doc_code, str(refusal), self.handler.retry, self._runner.jitter()
                )
            )
        if items:
            self._report(items)
            if final:
                self._end_well()
            elif type(items[-1]) is AttemptError:
                self.drop()
                self._runner.gone(self)

    def _error(self, body: bytes) -> Item:
        return failures.from_error_frame(
            ErrorMessage.decode(body), self.version, self.handler.retry, self._runner.jitter()
        )

    def on_end(self) -> None:
        self.stream = None
        self.input_open = False
        if not self.finished:
            if self._status != 200:
                self._report_status()
            else:
                self._report_lost(
                    failures.HANDLER, "the deployment closed the stream before the handler ended"
                )
        self._runner.gone(self)

    def on_failure(self, failure: TransportFailure) -> None:
        self.stream = None
        self.input_open = False
        if self.finished:
            self._runner.gone(self)
        elif self._status not in (0, 200):
            self._report_status()
            self._runner.gone(self)
        elif failure.retry_at_once and self._runner.reopen(self):
            return
        else:
            self._report_lost(failures.NETWORK, failure.reason)
            self._runner.gone(self)

    # ------------------------------------------------------------ reports

    def _report_status(self) -> None:
        said = self._refused_body.decode("utf-8", "replace").strip()
        self._report(
            [
                failures.from_status(
                    self._status, self._headers, said, self.handler.retry, self._runner.jitter()
                )
            ]
        )

    def _report_lost(self, doc_code: str, message: str) -> None:
        self._report([failures.attempt_error(doc_code, message, self.handler.retry, self._runner.jitter())])

    def _report(self, items: list[Item]) -> None:
        if type(items[-1]) in _FINAL:
            self.finished = True
        self.partition.submit(
            AttemptReport(
                self._runner.now_ms(), self.row, self.number, self.deployment.id, self.version, items
            )
        )

    def _end_well(self) -> None:
        """The final frame has come: close our side, and wait a little for the peer to close its own."""
        self.input_open = False
        self.closing_until = self.touched_at + self._runner.closing_s
        if self.stream is not None:
            self.stream.end()
