"""A small SDK: one attempt, replaying its journal and going on from there; what it does is in `operations`.

Deterministic given its journal: waits are decided by the order of notifications in the journal, nothing else.
So each command of the replay must be the one the program issues at that place, and anything else is the
engine's doing. Without I/O: frames come in by `feed`, `take` gives those to send and the steps to run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeAlias

from holdfast.protocol import messages as m
from holdfast.protocol.framing import ACK_REQUESTED, MessageType, is_command
from tests.simulation.programs import Program
from tests.simulation.virtual import Broken

NEVER = 1 << 60
_TIMED = {int(MessageType.SLEEP_COMMAND), int(MessageType.ONE_WAY_CALL_COMMAND)}
CANCEL = 1


class Leaf(NamedTuple):
    """The `nth` notification for a completion id, signal index or signal name."""

    ref: int | str
    signal: bool = False
    nth: int = 0


class Tree(NamedTuple):
    how: str
    parts: tuple[Leaf, ...]


Wait: TypeAlias = Leaf | Tree
Running = Generator[Wait, Any, str]

_COMBINATORS = {
    "first": m.CombinatorType.FIRST_COMPLETED,
    "all": m.CombinatorType.ALL_COMPLETED,
    "first_succeeded": m.CombinatorType.FIRST_SUCCEEDED_OR_ALL_FAILED,
    "all_succeeded": m.CombinatorType.ALL_SUCCEEDED_OR_FIRST_FAILED,
}


class Cancelled(Exception):
    """A cancellation has arrived."""


class Terminal(Exception):
    """The handler gives up."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Died(Exception):
    """The attempt fails, to be tried again."""


class Outside:
    """What a handler can reach outside of its attempt; services implement it."""

    def now_ms(self) -> int:
        raise NotImplementedError

    def times(self, what: tuple[object, ...]) -> int:
        """How often this was asked before: for what fails a few times and then works."""
        raise NotImplementedError

    def publish(self, kind: str, id_: bytes, ref: str) -> None:
        """Somebody waits for this awakeable (`kind` a, its id) or named signal (s)."""
        raise NotImplementedError

    def published(self) -> str:
        """One of those, or an empty text."""
        raise NotImplementedError


def said_at_start(completion: int) -> dict[str, object] | None:
    """What a step says about itself when it is issued: every third one something."""
    return {"step": completion, "end": "open"} if completion % 3 == 1 else None


def said_at_end(completion: int, result: bytes) -> dict[str, object] | None:
    """What its result says about it: every third one nothing."""
    return {"end": result.decode()} if completion % 3 else None


class Machine:
    """One attempt.

    Attributes:
        frames: to be sent, in order. steps: (completion id, body) of steps to run now.
        ended: the final frame is among `frames`.
    """

    def __init__(
        self, version: int, outside: Outside, start: m.StartMessage, replay: list[tuple[int, bytes]]
    ) -> None:
        self.version = version
        self.outside = outside
        self.id = start.id
        self.start = start
        self.frames: list[bytes] = []
        self.steps: list[tuple[int, Callable[[], m.Value | m.Failure]]] = []
        self.running_steps: set[int] = set()
        self.bodies: dict[int, m.Value | m.Failure] = {}
        self.ended = False
        self.input_closed = False
        self.hints = version >= 7 and start.id[-1] % 4 == 0
        self._hinted: Wait | None = None
        self.output: m.Value | m.Failure | None = None
        self.failure: str | None = None
        self.sent_commands = 0
        self.state = None if start.partial_state else dict(start.state_map)
        self.commands = [(type_, body) for type_, body in replay if is_command(type_)]
        self.next = 1
        self._notes: list[bool] = []
        self.places: dict[int | str | tuple[str, int | str], list[int]] = {}
        self._values: list[Any] = []
        self._completion = 0
        self.awakeables = 16
        self.heard: dict[int | str, int] = {}
        self._cancels = 0
        self.trace: list[object] = []
        self.open_calls: list[int] = []
        for type_, body in replay:
            if not is_command(type_):
                self._note(type_, body)
        given = m.InputCommandMessage.decode(self.commands[0][1]).value
        program: Program = json.loads(given.content if given is not None else b"[]")
        self._program = self.whole(program)
        self._waits: Wait | None = None
        self._resume(None)

    # ------------------------------------------------------------ in

    def feed(self, type_: int, body: bytes) -> None:
        """A notification or an acknowledgement."""
        if self.ended:
            return
        if type_ == MessageType.PROPOSE_RUN_COMPLETION_ACK:
            completion = m.ProposeRunCompletionAckMessage.decode(body).completion_id
            result = self.bodies[completion]
            body = m.RunCompletionNotificationMessage(completion, result).encode()
            type_ = int(MessageType.RUN_COMPLETION)
        self._note(type_, body)
        self._go_on()

    def close_input(self) -> None:
        self.input_closed = True
        self._go_on()

    def step_done(self, completion: int, result: m.Value | m.Failure, ack: bool) -> None:
        """A step has run: propose what came of it."""
        self.running_steps.discard(completion)
        if self.ended:
            return
        self.bodies[completion] = result
        if isinstance(result, m.Value) and (said := said_at_end(completion, result.content)) is not None:
            # Every run of the body says it was a run more; what is kept must be of one.
            self._say(completion, {**said, f"run {self.outside.times((self.id, 'said', completion))}": True})
        proposal = m.ProposeRunCompletionMessage(completion, result)
        self.frames.append(m.frame(proposal, ACK_REQUESTED if ack else 0))
        self._go_on()

    def _say(self, completion: int, metadata: dict[str, object] | None) -> None:
        if metadata is not None:
            said = m.StepMetadataMessage(completion, json.dumps(metadata).encode())
            self.frames.append(m.frame(said))

    def _note(self, type_: int, body: bytes) -> None:
        note = m.NotificationTemplate.decode(body)
        place = len(self._notes)
        self._notes.append(not isinstance(note.result, m.Failure))
        self._values.append(note.result)
        if type_ == MessageType.SIGNAL_NOTIFICATION:
            ref = note.signal_name if note.signal_id is None else note.signal_id
            assert ref is not None
            self.places.setdefault(("signal", ref), []).append(place)
            return
        assert note.completion_id is not None
        before = self.places.setdefault(note.completion_id, [])
        if before:
            raise Broken(f"completion {note.completion_id} of {self.start.debug_id} was delivered twice")
        before.append(place)

    # ------------------------------------------------------------ waiting

    def place(self, wait: Wait) -> int:
        """Where in the journal's notifications the wait was over; NEVER while it is not."""
        if isinstance(wait, Leaf):
            key: Any = ("signal", wait.ref) if wait.signal else wait.ref
            places = self.places.get(key, ())
            return places[wait.nth] if len(places) > wait.nth else NEVER
        places = [self.place(part) for part in wait.parts]
        done = [p for p in places if p != NEVER]
        good = [p for p in done if self._notes[p]]
        bad = [p for p in done if not self._notes[p]]
        everything = max(places) if len(done) == len(places) else NEVER
        match wait.how:
            case "first":
                return min(done, default=NEVER)
            case "all":
                return everything
            case "first_succeeded":
                return min(good) if good else everything
            case _:
                return min(bad) if bad else everything

    def _go_on(self) -> None:
        """Resume the program as far as it gets, and suspend when it must not wait."""
        while not self.ended and self._waits is not None:
            place = self.place(self._waits)
            cancels = self.places.get(("signal", CANCEL), ())
            cancel = cancels[self._cancels] if len(cancels) > self._cancels else NEVER
            if cancel < place:
                self._cancels += 1
                self._resume(Cancelled())
            elif place != NEVER:
                self._resume(None)
            else:
                break
        if self.hints and not self.ended and self._waits is not None and self._waits is not self._hinted:
            self._hinted = self._waits
            self.frames.append(m.frame(m.AwaitingOnMessage(self._tree(self._waits))))
        if not self.ended and self._waits is not None and self.input_closed and not self.running_steps:
            self._end(self._suspension(self._waits))

    def _suspension(self, wait: Wait) -> bytes:
        tree = self._tree(wait)
        if self.version >= 7:
            return m.frame(m.SuspensionMessage(tree))
        flat = tree.nested_futures[0] if tree.nested_futures else tree
        signals = tuple({*flat.waiting_signals, CANCEL})
        return m.frame(m.SuspensionMessageV6(flat.waiting_completions, signals, flat.waiting_named_signals))

    def _tree(self, wait: Wait) -> m.Future:
        """What is still open of a wait, or a cancellation."""
        leaves = (wait,) if isinstance(wait, Leaf) else wait.parts
        open_ = [leaf for leaf in leaves if self.place(leaf) == NEVER]
        completions = tuple(leaf.ref for leaf in open_ if not leaf.signal and isinstance(leaf.ref, int))
        signals = tuple(leaf.ref for leaf in open_ if leaf.signal and isinstance(leaf.ref, int))
        names = tuple(leaf.ref for leaf in open_ if isinstance(leaf.ref, str))
        if isinstance(wait, Leaf):
            return m.Future(completions, (*signals, CANCEL), names, (), m.CombinatorType.FIRST_COMPLETED)
        inner = m.Future(completions, signals, names, (), _COMBINATORS[wait.how])
        return m.Future((), (CANCEL,), (), (inner,), m.CombinatorType.FIRST_COMPLETED)

    def _resume(self, error: Exception | None) -> None:
        self._waits = None
        try:
            self._waits = self._program.throw(error) if error is not None else next(self._program)
        except StopIteration as stop:
            self._finish(m.Value(str(stop.value).encode()))
        except Terminal as failure:
            self._finish(m.Failure(failure.code, str(failure)))
        except Died as died:
            self.failure = str(died)
            self._end(m.frame(m.ErrorMessage(500, str(died))))
        self._go_on()

    def _finish(self, result: m.Value | m.Failure) -> None:
        self.output = result
        self.command(m.OutputCommandMessage("", result))
        self._end(m.frame(m.EndMessage()))

    def _end(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.ended = True

    # ------------------------------------------------------------ commands

    def command(self, message: Any) -> Any:
        """Issue a command, or match it with the replay; the one that counts."""
        type_, body = int(m.TYPE_OF_MESSAGE[type(message)]), message.encode()
        if self.next >= len(self.commands):
            self.commands.append((type_, body))
            self.next += 1
            self.sent_commands += 1
            if isinstance(message, m.RunCommandMessage):
                self._say(message.result_completion_id, said_at_start(message.result_completion_id))
            self.frames.append(m.frame(message))
            return message
        stored_type, stored = self.commands[self.next]
        self.next += 1
        found = m.decode(stored_type, stored)
        if type_ == stored_type and type_ in _TIMED | {
            int(MessageType.GET_EAGER_STATE_COMMAND),
            int(MessageType.GET_EAGER_STATE_KEYS_COMMAND),
        }:
            return found  # made from the clock, or from the state as it was then
        if (stored_type, stored) != (type_, body):
            raise Broken(f"{self.start.debug_id}: the journal has {found} where the handler sent {message}")
        return found

    def new_id(self) -> int:
        self._completion += 1
        return self._completion

    def value(self, leaf: Leaf) -> Any:
        place = self.place(leaf)
        return None if place == NEVER else self._values[place]

    def told(self, leaf: Leaf) -> str:
        return "" if (value := self.value(leaf)) is None else repr(value)

    def whole(self, program: Program) -> Running:
        """The program as a generator of waits; its value is the output's."""
        raise NotImplementedError
