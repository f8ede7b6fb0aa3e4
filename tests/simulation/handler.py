"""A small SDK: one attempt at a program, replaying its journal and going on from there.

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
from holdfast.protocol.ids import awakeable_id
from tests.simulation.programs import Program
from tests.simulation.virtual import Broken

NEVER = 1 << 60
_TIMED = {int(MessageType.SLEEP_COMMAND), int(MessageType.ONE_WAY_CALL_COMMAND)}
_CANCEL = 1


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


class Play:
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
        self.output: m.Value | m.Failure | None = None
        self.failure: str | None = None
        self.sent_commands = 0
        self._state = None if start.partial_state else dict(start.state_map)
        self._commands = [(type_, body) for type_, body in replay if is_command(type_)]
        self._next = 1
        self._notes: list[bool] = []
        self._places: dict[int | str | tuple[str, int | str], list[int]] = {}
        self._values: list[Any] = []
        self._completion = 0
        self._awakeable = 16
        self._heard: dict[int | str, int] = {}
        self._cancels = 0
        self._trace: list[object] = []
        self._open_calls: list[int] = []
        for type_, body in replay:
            if not is_command(type_):
                self._note(type_, body)
        given = m.InputCommandMessage.decode(self._commands[0][1]).value
        program: Program = json.loads(given.content if given is not None else b"[]")
        self._program = self._whole(program)
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
        proposal = m.ProposeRunCompletionMessage(completion, result)
        self.frames.append(m.frame(proposal, ACK_REQUESTED if ack else 0))
        self._go_on()

    def _note(self, type_: int, body: bytes) -> None:
        note = m.NotificationTemplate.decode(body)
        place = len(self._notes)
        self._notes.append(not isinstance(note.result, m.Failure))
        self._values.append(note.result)
        if type_ == MessageType.SIGNAL_NOTIFICATION:
            ref = note.signal_name if note.signal_id is None else note.signal_id
            assert ref is not None
            self._places.setdefault(("signal", ref), []).append(place)
            return
        assert note.completion_id is not None
        before = self._places.setdefault(note.completion_id, [])
        if before:
            raise Broken(f"completion {note.completion_id} of {self.start.debug_id} was delivered twice")
        before.append(place)

    # ------------------------------------------------------------ waiting

    def _place(self, wait: Wait) -> int:
        """Where in the journal's notifications the wait was over; NEVER while it is not."""
        if isinstance(wait, Leaf):
            key: Any = ("signal", wait.ref) if wait.signal else wait.ref
            places = self._places.get(key, ())
            return places[wait.nth] if len(places) > wait.nth else NEVER
        places = [self._place(part) for part in wait.parts]
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
            place = self._place(self._waits)
            cancels = self._places.get(("signal", _CANCEL), ())
            cancel = cancels[self._cancels] if len(cancels) > self._cancels else NEVER
            if cancel < place:
                self._cancels += 1
                self._resume(Cancelled())
            elif place != NEVER:
                self._resume(None)
            else:
                break
        if not self.ended and self._waits is not None and self.input_closed and not self.running_steps:
            self._end(self._suspension(self._waits))

    def _suspension(self, wait: Wait) -> bytes:
        leaves = (wait,) if isinstance(wait, Leaf) else wait.parts
        open_ = [leaf for leaf in leaves if self._place(leaf) == NEVER]
        completions = tuple(leaf.ref for leaf in open_ if not leaf.signal and isinstance(leaf.ref, int))
        signals = tuple(leaf.ref for leaf in open_ if leaf.signal and isinstance(leaf.ref, int))
        names = tuple(leaf.ref for leaf in open_ if isinstance(leaf.ref, str))
        if self.version < 7:
            return m.frame(m.SuspensionMessageV6(completions, (*signals, _CANCEL), names))
        if isinstance(wait, Leaf):
            tree = m.Future(completions, (*signals, _CANCEL), names, (), m.CombinatorType.FIRST_COMPLETED)
        else:
            inner = m.Future(completions, signals, names, (), _COMBINATORS[wait.how])
            tree = m.Future((), (_CANCEL,), (), (inner,), m.CombinatorType.FIRST_COMPLETED)
        return m.frame(m.SuspensionMessage(tree))

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
        if self._next >= len(self._commands):
            self._commands.append((type_, body))
            self._next += 1
            self.sent_commands += 1
            self.frames.append(m.frame(message))
            return message
        stored_type, stored = self._commands[self._next]
        self._next += 1
        found = m.decode(stored_type, stored)
        if type_ == stored_type and type_ in _TIMED | {
            int(MessageType.GET_EAGER_STATE_COMMAND),
            int(MessageType.GET_EAGER_STATE_KEYS_COMMAND),
        }:
            return found  # made from the clock, or from the state as it was then
        if (stored_type, stored) != (type_, body):
            raise Broken(f"{self.start.debug_id}: the journal has {found} where the handler sent {message}")
        return found

    def _id(self) -> int:
        self._completion += 1
        return self._completion

    def _value(self, leaf: Leaf) -> Any:
        place = self._place(leaf)
        return None if place == NEVER else self._values[place]

    def _told(self, leaf: Leaf) -> str:
        return "" if (value := self._value(leaf)) is None else repr(value)

    # ------------------------------------------------------------ the program

    def _whole(self, program: Program) -> Running:
        try:
            for number, op in enumerate(program):
                waits = _OPS[op[0]](self, number, *op[1:])
                if waits is not None:
                    self._trace.append((yield from waits))
        except Cancelled:
            for announced in self._open_calls:
                with_id = Leaf(announced)
                while self._value(with_id) is None:
                    try:
                        yield with_id
                    except Cancelled:
                        continue
                self.command(
                    m.SendSignalCommandMessage(self._value(with_id).invocation_id, _CANCEL, None, m.VOID)
                )
            raise Terminal(409, "canceled") from None
        return repr(self._trace)

    def _run(self, number: int, fails: int, terminal: bool) -> Running:
        return self._wait(self._begin_run(number, fails, terminal))

    def _begin_run(self, number: int, fails: int, terminal: bool) -> Leaf:
        completion = self._id()
        self.command(m.RunCommandMessage(completion, f"r{number}"))

        def body() -> m.Value | m.Failure:
            if self.outside.times((self.id, "run", completion)) < fails:
                raise Died(f"step {number} fails for now")
            return m.Failure(418, "no tea") if terminal else m.Value(b"step %d" % completion)

        self._start_step(completion, body)
        return Leaf(completion)

    def _start_step(self, completion: int, body: Callable[[], m.Value | m.Failure]) -> None:
        if completion not in self._places:
            self.running_steps.add(completion)
            self.steps.append((completion, body))

    def _wait(self, leaf: Leaf) -> Running:
        yield leaf
        return self._told(leaf)

    def _sleep(self, _: int, ms: int) -> Running:
        return self._wait(self._begin_sleep(ms))

    def _begin_sleep(self, ms: int) -> Leaf:
        completion = self._id()
        self.command(m.SleepCommandMessage(self.outside.now_ms() + ms, completion))
        return Leaf(completion)

    def _call(
        self,
        _: int,
        service: str,
        handler: str,
        key: str | None,
        idem: str | None,
        program: Program,
        then: str,
    ) -> Running | None:
        leaf = self._begin_call(service, handler, key, idem, program)
        announced = self._open_calls[-1]
        if then == "leave":
            return None
        return self._cancel(announced, leaf) if then == "cancel" else self._wait(leaf)

    def _begin_call(
        self, service: str, handler: str, key: str | None, idem: str | None, program: Program
    ) -> Leaf:
        announced, completion = self._id(), self._id()
        parameter = json.dumps(program).encode()
        self.command(
            m.CallCommandMessage(
                service, handler, parameter, (), key or "", idem, None, None, announced, completion
            )
        )
        self._open_calls.append(announced)
        return Leaf(completion)

    def _cancel(self, announced: int, leaf: Leaf) -> Running:
        yield Leaf(announced)
        target = self._value(Leaf(announced)).invocation_id
        self.command(m.SendSignalCommandMessage(target, _CANCEL, None, m.VOID))
        yield leaf
        return self._told(leaf)

    def _send(
        self, _: int, service: str, handler: str, key: str | None, delay: int, program: Program, then: str
    ) -> Running:
        announced = self._id()
        at = self.outside.now_ms() + delay if delay else 0
        parameter = json.dumps(program).encode()
        self.command(
            m.OneWayCallCommandMessage(
                service, handler, parameter, at, (), key or "", None, None, None, announced
            )
        )
        yield Leaf(announced)
        target = self._value(Leaf(announced)).invocation_id
        if then == "cancel":
            self.command(m.SendSignalCommandMessage(target, _CANCEL, None, m.VOID))
        elif then:
            leaf = self._begin_attach(target, waits=then == "attach")
            yield leaf
            return self._told(leaf)
        return target

    def _begin_attach(self, target: Any, *, waits: bool) -> Leaf:
        completion = self._id()
        kind = m.AttachInvocationCommandMessage if waits else m.GetInvocationOutputCommandMessage
        self.command(kind(target, completion))
        return Leaf(completion)

    def _attach_idempotent(self, _: int, key: str, waits: bool) -> Running:
        return self._wait(self._begin_attach(m.IdempotentRequestTarget("S", None, "plain", key), waits=waits))

    def _attach_workflow(self, _: int, key: str, waits: bool) -> Running:
        return self._wait(self._begin_attach(m.WorkflowTarget("W", key), waits=waits))

    def _get(self, _: int, key: str) -> Running | None:
        raw = key.encode()
        completion = self._id()
        if self._reads_lazily(int(MessageType.GET_LAZY_STATE_COMMAND)):
            self.command(m.GetLazyStateCommandMessage(raw, completion))
            return self._wait(Leaf(completion))
        value = None if self._state is None else self._state.get(raw)
        read = m.GetEagerStateCommandMessage(raw, "", m.VOID if value is None else m.Value(value))
        self._trace.append(repr(self.command(read).result))
        return None

    def _reads_lazily(self, lazy: int) -> bool:
        """As the journal has it, since the state may have outgrown what is sent along; else as it is now."""
        if self._next < len(self._commands):
            return self._commands[self._next][0] == lazy
        return self._state is None

    def _keys(self, _: int) -> Running | None:
        completion = self._id()
        if self._reads_lazily(int(MessageType.GET_LAZY_STATE_KEYS_COMMAND)):
            self.command(m.GetLazyStateKeysCommandMessage(completion))
            return self._wait(Leaf(completion))
        keys = m.StateKeys(tuple(sorted(self._state or ())))
        self._trace.append(repr(self.command(m.GetEagerStateKeysCommandMessage("", keys)).value))
        return None

    def _set(self, _: int, key: str, value: str) -> None:
        self.command(m.SetStateCommandMessage(key.encode(), m.Value(value.encode())))
        if self._state is not None:
            self._state[key.encode()] = value.encode()

    def _clear(self, _: int, key: str) -> None:
        self.command(m.ClearStateCommandMessage(key.encode()))
        if self._state is not None:
            self._state.pop(key.encode(), None)

    def _clear_all(self, _: int) -> None:
        self.command(m.ClearAllStateCommandMessage())
        if self._state is not None:
            self._state.clear()

    def _promise(self, _: int, name: str) -> Running:
        completion = self._id()
        self.command(m.GetPromiseCommandMessage(name, completion))
        return self._wait(Leaf(completion))

    def _peek(self, _: int, name: str) -> Running:
        completion = self._id()
        self.command(m.PeekPromiseCommandMessage(name, completion))
        return self._wait(Leaf(completion))

    def _complete(self, _: int, name: str, value: str, fails: bool) -> Running:
        completion = self._id()
        result = m.Failure(500, value) if fails else m.Value(value.encode())
        self.command(m.CompletePromiseCommandMessage(name, result, completion))
        return self._wait(Leaf(completion))

    def _awakeable_op(self, _: int) -> Running:
        return self._wait(self._begin_awakeable())

    def _begin_awakeable(self) -> Leaf:
        self._awakeable += 1
        self.outside.publish("a", self.id, awakeable_id(self.id, self._awakeable))
        return Leaf(self._awakeable, signal=True)

    def _signal(self, _: int, name: str) -> Running:
        nth = self._heard.get(name, 0)
        self._heard[name] = nth + 1
        self.outside.publish("s", self.id, f"{self.start.debug_id} {name}")
        return self._wait(Leaf(name, signal=True, nth=nth))

    def _poke(self, number: int) -> Running:
        """Complete what somebody waits for; who that is, is chance, so a step finds out."""
        completion = self._id()
        self.command(m.RunCommandMessage(completion, f"r{number}"))
        self._start_step(completion, lambda: m.Value(self.outside.published().encode()))
        yield Leaf(completion)
        found = self._value(Leaf(completion)).content.decode()
        result = m.Value(b"%s %d" % (self.id.hex().encode(), number))
        if found.startswith("sign"):
            self.command(m.CompleteAwakeableCommandMessage(found, result))
        elif found:
            target, name = found.split()
            self.command(m.SendSignalCommandMessage(target, None, name, result))
        return found

    def _par(self, number: int, how: str, parts: list[Any]) -> Running:
        leaves: list[Leaf] = []
        for op in parts:
            match op[0]:
                case "run":
                    leaves.append(self._begin_run(number, op[1], op[2]))
                case "sleep":
                    leaves.append(self._begin_sleep(op[1]))
                case "call":
                    leaves.append(self._begin_call(*op[1:6]))
                case _:
                    leaves.append(self._begin_awakeable())
        tree = Tree(how, tuple(leaves))
        yield tree
        over = self._place(tree)
        return repr([self._told(leaf) for leaf in leaves if self._place(leaf) <= over])

    def _dies(self, number: int, times: int) -> None:
        if self._next >= len(self._commands) and self.outside.times((self.id, "dies", number)) < times:
            raise Died(f"operation {number} fails for now")

    def _fail(self, _: int, code: int) -> None:
        raise Terminal(code, "the handler gives up")


_OPS: dict[str, Callable[..., Running | None]] = {
    "run": Play._run, "sleep": Play._sleep, "call": Play._call, "send": Play._send, "get": Play._get,
    "keys": Play._keys, "set": Play._set, "clear": Play._clear, "clear_all": Play._clear_all,
    "promise": Play._promise, "peek": Play._peek, "complete": Play._complete, "awakeable": Play._awakeable_op,
    "signal": Play._signal, "poke": Play._poke, "par": Play._par, "dies": Play._dies, "fail": Play._fail,
    "attach_idempotent": Play._attach_idempotent, "attach_workflow": Play._attach_workflow,
}  # fmt: skip
