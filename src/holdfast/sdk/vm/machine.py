"""One attempt's side of the wire.

    collecting   Start and the frames it announced are not all here yet; nothing runs
    replaying    commands of the handler are matched against stored ones, in order, and not sent
    processing   every stored command has been matched; commands are sent
    ended        End, Suspension or Error is written; whatever comes is ignored

Commands and notifications are two queues. Commands must come again in their stored order. Notifications are
handed out one at a time, in the order the journal has them, whatever their place between the commands: the
handler's state after n notifications depends on those n alone, so each of its commands is issued at the same
point again (protocol, "Numbering rules").

Completion ids count up from 1, one per command that has an answer, in program order, also where the answer is
already known: a state read takes one even when it is answered from the state in Start.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType

from holdfast.protocol.control import (
    AwaitingOnMessage,
    ErrorBehavior,
    ErrorMessage,
    ProposeRunCompletionAckMessage,
    ProposeRunCompletionMessage,
    StartMessage,
    SuspensionMessage,
    SuspensionMessageV6,
)
from holdfast.protocol.errors import ProtocolError
from holdfast.protocol.framing import (
    ACK_REQUESTED,
    MESSAGE_BYTES_MAX,
    FrameDecoder,
    MessageType,
    is_command,
    is_notification,
    pack_header,
    type_name,
)
from holdfast.protocol.futures import CombinatorType, Future
from holdfast.protocol.notifications import NotificationTemplate
from holdfast.protocol.results import Failure, Result, Value
from holdfast.protocol.state_commands import InputCommandMessage, OutputCommandMessage, input_content
from holdfast.protocol.step_metadata import STEP_METADATA, StepMetadataMessage, announces
from holdfast.protocol.wire import put_text, varint
from holdfast.sdk.vm.mismatch import CommandDiffers, check_same, describe_command, name_of
from holdfast.sdk.vm.state import StateView

CODE_INTERNAL = 500
CODE_JOURNAL_MISMATCH = 570
CODE_PROTOCOL_VIOLATION = 571

CANCEL_SIGNAL = 1
FIRST_AWAKEABLE_SIGNAL = 17

_RUN = int(MessageType.RUN_COMMAND)
_OUTPUT = int(MessageType.OUTPUT_COMMAND)
_ACK = int(MessageType.PROPOSE_RUN_COMPLETION_ACK)

LABELS_KEPT_MAX = 1024
_labels: dict[str, bytes] = {}
"""Step names as the bytes of their field: a program has few."""

_END_FRAME = pack_header(MessageType.END, 0, 0)
_METADATA = int(MessageType.STEP_METADATA)
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Mismatch(Exception):
    """The handler asked for something else than its journal holds (code 570); `text` says what and where."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Notification:
    """What came back: exactly one of the three ids, and its result."""

    __slots__ = ("completion_id", "result", "signal_id", "signal_name")

    def __init__(
        self,
        completion_id: int | None,
        result: Result,
        signal_id: int | None = None,
        signal_name: str | None = None,
    ) -> None:
        self.completion_id = completion_id
        self.result = result
        self.signal_id = signal_id
        self.signal_name = signal_name


class Machine:
    """Frames of one attempt, both ways.

    Args:
        version: the negotiated protocol version, 5 to 7.
        decode_payload: undoes the payload codec; only replay checks use it.
        request_headers: of the request that opened the attempt, names in lower case: they tell which
            extensions the server takes.
    """

    def __init__(
        self,
        version: int,
        decode_payload: Callable[[bytes], bytes],
        max_message_bytes: int = MESSAGE_BYTES_MAX,
        request_headers: Mapping[str, str] = _NO_HEADERS,
    ) -> None:
        self.version = version
        self.max_message_bytes = max_message_bytes
        self.start = StartMessage()
        self.input_body = b""
        """The Input command, not decoded: most attempts need its content alone."""
        self.state = StateView((), partial=True)
        self.ready = False
        """All of the replay is here; `start`, `input` and `state` are set."""
        self.input_closed = False
        self.ended = False
        self.deaf = False
        """Commands go nowhere: handler code will not stop after its end (`DurableLoop.refuses`)."""
        self.command_index = 0
        """Index of the last command issued; the input is 0."""
        self.last_command: tuple[int, bytes] = (int(MessageType.INPUT_COMMAND), b"")
        self.new_commands = 0
        """Commands this attempt issued that the journal did not hold."""
        self._decode_payload = decode_payload
        self._decoder = FrameDecoder(max_message_bytes)
        self._replay_left = -1
        self._recalled = 0
        """Notifications of the replay that have not been handed out."""
        self._stored: deque[tuple[int, bytes]] = deque()
        self._notifications: deque[tuple[int, bytes]] = deque()
        self._out: list[bytes] = []
        self._completion_id = 0
        self._signal_id = FIRST_AWAKEABLE_SIGNAL - 1
        self._proposed: dict[int, Value] = {}
        self._request_headers = request_headers
        self._takes_metadata: bool | None = None

    @property
    def input(self) -> InputCommandMessage:
        """The Input command."""
        return InputCommandMessage.decode(self.input_body)

    @property
    def input_content(self) -> bytes:
        """The input's bytes, empty when it carries none."""
        return input_content(self.input_body)

    # From the wire.

    def receive(self, data: bytes) -> None:
        """Take in a piece of the request body.

        Raises:
            ProtocolError: the server broke the protocol; nothing more can be read.
        """
        for type_, _, body in self._decoder.feed(data):
            if self._replay_left > 0:
                self._replayed(type_, body)
            elif self._replay_left < 0:
                self._started(type_, body)
            elif is_notification(type_) or type_ == _ACK:
                self._notifications.append((type_, body))
            else:
                raise ProtocolError(
                    f"the server sent {type_name(type_)} where only notifications may come "
                    "(protocol, 'Attempt, step by step')"
                )

    def close_input(self) -> None:
        """The server sends nothing more.

        Raises:
            ProtocolError: the replay is not complete.
        """
        self.input_closed = True
        if not self.ready and not self.ended:
            raise ProtocolError("the request ended before all the journal entries it announced had come")

    def _started(self, type_: int, body: bytes) -> None:
        if type_ != MessageType.START:
            raise ProtocolError(f"the first frame is {type_name(type_)}; expected Start")
        self.start = start = StartMessage.decode(body)
        if start.known_entries < 1:
            raise ProtocolError("Start announces no entries; expected at least the input")
        self._replay_left = start.known_entries
        self.state = StateView(start.state_map, start.partial_state)

    def _replayed(self, type_: int, body: bytes) -> None:
        if is_command(type_):
            self._stored.append((type_, body))
        elif is_notification(type_):
            self._notifications.append((type_, body))
            self._recalled += 1
        else:
            raise ProtocolError(f"the replay holds {type_name(type_)}; expected commands and notifications")
        self._replay_left -= 1
        if self._replay_left == 0:
            type_, body = self._stored.popleft() if self._stored else (MessageType.START, b"")
            if type_ != MessageType.INPUT_COMMAND:
                raise ProtocolError(f"the journal begins with {type_name(type_)}; expected Input")
            self.input_body = body
            self.ready = True

    # To the handler.

    @property
    def replaying(self) -> bool:
        """Whether stored commands are left to match."""
        return bool(self._stored)

    def next_notification(self) -> Notification | None:
        """The next one in journal order; None when all that came have been handed out.

        Raises:
            ProtocolError: it is malformed, or an ack for nothing this attempt proposed.
        """
        if not self._notifications:
            return None
        type_, body = self._notifications.popleft()
        if self._recalled:
            self._recalled -= 1  # the replay came first
        if type_ == _ACK:
            # The usual ack is 08 id.
            usual = len(body) == 2 and body[0] == 0x08 and body[1] < 128
            completion_id = body[1] if usual else ProposeRunCompletionAckMessage.decode(body).completion_id
            value = self._proposed.pop(completion_id, None)
            if value is None:
                raise ProtocolError(f"the server acknowledged run {completion_id}, which was not proposed")
            return Notification(completion_id, value)
        template = NotificationTemplate.decode(body)
        if template.result is None:
            raise ProtocolError(f"notification {type_name(type_)} carries no result")
        return Notification(template.completion_id, template.result, template.signal_id, template.signal_name)

    @property
    def recalling(self) -> bool:
        """Whether an earlier attempt has come further than this one."""
        return bool(self._stored) or self._recalled > 0

    @property
    def has_notifications(self) -> bool:
        """Whether `next_notification` has one."""
        return bool(self._notifications)

    def new_completion_id(self) -> int:
        """The next completion id of this invocation."""
        self._completion_id += 1
        return self._completion_id

    def new_signal_id(self) -> int:
        """The next awakeable's signal index."""
        self._signal_id += 1
        return self._signal_id

    # Commands.

    def issue(self, type_: int, body: bytes) -> bool:
        """The handler's next command: match it against the journal, or send it.

        Returns:
            Whether it is new.
        Raises:
            Mismatch: the journal holds something else at this place.
            MessageTooLarge: it is larger than one message may be; it counts as not issued, in replays too.
        """
        if len(body) > self.max_message_bytes:
            raise MessageTooLarge(type_, len(body), self.max_message_bytes)
        self.command_index += 1
        self.last_command = (type_, body)
        if self.deaf:
            return True
        if not self._stored:
            self.new_commands += 1
            self._out.append(pack_header(type_, 0, len(body)) + body)
            return True
        stored_type, stored_body = self._stored.popleft()
        if stored_body != body or stored_type != type_:
            try:
                check_same(stored_type, stored_body, type_, body, self._decode_payload)
            except CommandDiffers as difference:
                raise Mismatch(difference.text) from None
        return False

    def take_stored(self, types: frozenset[MessageType]) -> tuple[int, bytes] | None:
        """The stored command at this place, when it is one of `types`; None when the command is new.

        For commands whose stored form decides what happens: a state read is answered as it was the first
        time, from its command or by a notification.

        Raises:
            Mismatch: the journal holds another kind of command.
        """
        if not self._stored or self.deaf:
            return None
        self.command_index += 1
        stored = self._stored.popleft()
        self.last_command = stored
        if stored[0] not in types:
            wanted = " or ".join(sorted(type_name(type_) for type_ in types))
            raise Mismatch(f"  in the journal: {describe_command(*stored)}\n  in the code:    {wanted}")
        return stored

    def next_stored(self) -> str:
        """The stored command the handler has not asked for yet, in words."""
        return describe_command(*self._stored[0]) if self._stored else ""

    @property
    def takes_metadata(self) -> bool:
        """Whether the server takes step metadata; looked up when the first step has some."""
        if self._takes_metadata is None:
            self._takes_metadata = announces(self._request_headers, STEP_METADATA)
        return self._takes_metadata

    def run(self, name: str, metadata: bytes | None = None) -> int:
        """A step; answers its completion id. A stored one keeps the metadata it was stored with."""
        self._completion_id = completion_id = self._completion_id + 1
        label = _labels.get(name)
        if label is None:
            label = _remember_label(name)
        new = self.issue(_RUN, b"\x58" + varint(completion_id) + label)
        if metadata is not None and new and not self.deaf:
            self._put_before(completion_id, metadata)
        return completion_id

    def propose(self, completion_id: int, result: bytes | Failure, metadata: bytes | None = None) -> None:
        """A step's result, to be made durable, and what it tells about the step."""
        flags = 0
        if isinstance(result, bytes):
            body = b"\x08" + varint(completion_id) + b"\x72" + varint(len(result)) + result
            if self.version >= 7:
                flags = ACK_REQUESTED
                self._proposed[completion_id] = Value(result)
        else:
            body = ProposeRunCompletionMessage(completion_id, self._failure(result)).encode()
        self._send(int(MessageType.PROPOSE_RUN_COMPLETION), body, flags)
        if metadata is not None:
            self._put_before(completion_id, metadata)

    def finish(self, result: Value | Failure) -> None:
        """The invocation's result and the attempt's end.

        Raises:
            Mismatch: the journal goes on, or ended otherwise.
        """
        if isinstance(result, Failure):
            result = self._failure(result)
        self.issue(_OUTPUT, OutputCommandMessage("", result).encode())
        if self._stored:
            raise Mismatch(f"  in the journal: {self.next_stored()}\n  in the code:    the handler returned")
        self._out.append(_END_FRAME)
        self.ended = True

    def suspend(
        self,
        completions: tuple[int, ...],
        signals: tuple[int, ...],
        names: tuple[str, ...],
        groups: Sequence[tuple[int, ...]] = (),
    ) -> None:
        """The attempt ends here; the next one starts when any of these has come.

        Args:
            groups: completions of which all are needed, or one failure; taken for single ones before
                protocol version 7, which wakes the invocation more often than it needs.
        """
        body: bytes
        if self.version >= 7:
            all_of = CombinatorType.ALL_SUCCEEDED_OR_FIRST_FAILED
            nested = tuple([Future(group, combinator_type=all_of) for group in groups])
            tree = Future(completions, signals, names, nested, CombinatorType.FIRST_COMPLETED)
            body = SuspensionMessage(tree).encode()
        else:
            completions = tuple(sorted([*completions, *chain.from_iterable(groups)]))
            body = SuspensionMessageV6(completions, signals, names).encode()
        self._send(int(MessageType.SUSPENSION), body)
        self.ended = True

    def await_on(self, signals: tuple[int, ...], names: tuple[str, ...]) -> None:
        """Tell who watches that the handler waits for these. Other waits show in the journal; a signal has no
        command there. Nothing before protocol version 7."""
        if self.version >= 7:
            tree = Future((), signals, names, (), CombinatorType.FIRST_COMPLETED)
            self._send(int(MessageType.AWAITING_ON), AwaitingOnMessage(tree).encode())

    def fail(self, error: ErrorMessage) -> None:
        """The attempt failed; the server retries it."""
        if not self.ended:
            if self.version < 7:
                error.behavior = ErrorBehavior.RETRY
            self._send(int(MessageType.ERROR), error.encode())
            self.ended = True

    def related_command(self) -> tuple[int, str, int]:
        """Index, name and type of the last command issued, for an error report."""
        type_, body = self.last_command
        return self.command_index, name_of(type_, body), type_

    def take_output(self) -> bytes:
        """What is to be sent, once."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    @property
    def has_output(self) -> bool:
        """Whether `take_output` has something."""
        return bool(self._out)

    def _send(self, type_: int, body: bytes, flags: int = 0) -> None:
        if len(body) > self.max_message_bytes:
            raise MessageTooLarge(type_, len(body), self.max_message_bytes)
        self._out.append(pack_header(type_, flags, len(body)) + body)

    def _put_before(self, completion_id: int, metadata: bytes) -> None:
        """Metadata in front of the last frame, which it belongs to; nothing where the server takes none."""
        if not self.takes_metadata:
            return
        body = StepMetadataMessage(completion_id, metadata).encode()
        self._out[-1] = pack_header(_METADATA, 0, len(body)) + body + self._out[-1]

    def _failure(self, failure: Failure) -> Failure:
        """Without metadata below version 6, which has no field for it."""
        if self.version < 6 and failure.metadata:
            return Failure(failure.code, failure.message)
        return failure


def _remember_label(name: str) -> bytes:
    if len(_labels) >= LABELS_KEPT_MAX:
        _labels.clear()
    label = _labels[name] = put_text(12, name)
    return label


class MessageTooLarge(Exception):
    """Something the handler gave is larger than one message may be."""

    def __init__(self, type_: int, size: int, limit: int) -> None:
        super().__init__(f"{type_name(type_)} of {size} bytes; the limit is {limit}")
        self.size = size
        self.limit = limit
