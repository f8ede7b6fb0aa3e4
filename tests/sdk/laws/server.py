"""A model of the server for one invocation: small enough to be plainly right.

It keeps the journal in order of arrival, decides by its random numbers what happens next (a frame is stored,
a completion is journaled, delivered, a step's body ends, the input is closed, the connection is cut), and
holds the attempt to the protocol: one proposal per step, no step whose completion is there, suspensions on
something that can come.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from copy import copy
from random import Random
from typing import Any

from holdfast.protocol import messages as m
from holdfast.protocol.framing import HEADER_BYTES, FrameDecoder, MessageType, is_command, pack_header
from holdfast.protocol.notifications import NotificationTemplate
from holdfast.sdk.attempt import Attempt
from holdfast.sdk.context.payloads import Payloads
from holdfast.sdk.endpoint.running import make_attempt
from holdfast.sdk.steps import PendingStep
from tests.sdk.laws.play import flow, playing
from tests.sdk.laws.programs import NAMES, Program

ID = bytes(range(24))
PAYLOADS = Payloads(None)
HANDLER = flow.handlers["play"]
ACTIONS_MAX = 3000
ATTEMPTS_MAX = 200
RUN = int(MessageType.RUN_COMMAND)
KEPT = b"kept"
"""A key of the state that programs read and never write."""
SILENT = (
    int(MessageType.SET_STATE_COMMAND), int(MessageType.CLEAR_STATE_COMMAND),
    int(MessageType.CLEAR_ALL_STATE_COMMAND), int(MessageType.OUTPUT_COMMAND),
    int(MessageType.GET_EAGER_STATE_COMMAND), int(MessageType.SEND_SIGNAL_COMMAND),
)  # fmt: skip
"""Commands that nothing answers."""
TIMED = (int(MessageType.SLEEP_COMMAND), int(MessageType.ONE_WAY_CALL_COMMAND))


class Broken(AssertionError):
    """A law does not hold."""


class Port:
    """The process around an attempt; the model plays the steps' bodies."""

    def __init__(self, now_ms: int) -> None:
        self.now = now_ms
        self.steps: list[PendingStep] = []
        self.started: list[int] = []
        self.later: list[Callable[[], None]] = []

    def now_ms(self) -> int:
        return self.now

    def start_step(self, step: PendingStep) -> None:
        self.steps.append(step)
        self.started.append(step.completion_id)

    def stop_step(self, step: PendingStep) -> None:
        self.steps.remove(step)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.later.append(call)

    def flush(self) -> None:
        """The model looks by itself."""


def opened(program: Program, version: int, now_ms: int) -> tuple[Attempt, Port]:
    """A fresh attempt at the program."""
    playing[:] = [program]
    port = Port(now_ms)
    return make_attempt(HANDLER, version, PAYLOADS, port, {}), port


def packed(message: m.Message) -> bytes:
    return m.frame(message)


def frame_of(frame: bytes) -> tuple[int, bytes]:
    """Type and body of a single frame."""
    return int.from_bytes(frame[:2], "big"), frame[HEADER_BYTES:]


def frames_of(data: bytes) -> list[tuple[int, bytes]]:
    """Type and body of each; without hints of what is awaited, which depend on when the attempt ran."""
    frames = FrameDecoder().feed(data)
    return [(type_, body) for type_, _, body in frames if type_ != MessageType.AWAITING_ON]


def timeless(type_: int, body: bytes) -> tuple[int, bytes]:
    """A command without what the clock decides."""
    if type_ == TIMED[0]:
        sleep = m.SleepCommandMessage.decode(body)
        sleep.wake_up_time = 0
        return type_, sleep.encode()
    if type_ == TIMED[1]:
        send = m.OneWayCallCommandMessage.decode(body)
        send.invoke_time = 0
        return type_, send.encode()
    return type_, body


class State:
    """The key's state as the server has it, and which of it Start carries."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        # In partial mode one key comes with Start and the handler never writes: what is known must not depend
        # on where the replay starts, or a read would rightly be another kind of command.
        self.values: dict[bytes, bytes] = {b"a": b'"first"', KEPT: b"1"}

    def apply(self, type_: int, body: bytes) -> None:
        if type_ == MessageType.SET_STATE_COMMAND:
            write = m.SetStateCommandMessage.decode(body)
            assert write.value is not None
            self.values[write.key] = write.value.content
        elif type_ == MessageType.CLEAR_STATE_COMMAND:
            self.values.pop(m.ClearStateCommandMessage.decode(body).key, None)
        elif type_ == MessageType.CLEAR_ALL_STATE_COMMAND:
            self.values.clear()

    def start(self) -> dict[str, Any]:
        if self.mode == "eager":
            return {"state_map": tuple(sorted(self.values.items())), "partial_state": False}
        known = {KEPT: self.values[KEPT]} if self.mode == "partial" and KEPT in self.values else {}
        return {"state_map": tuple(known.items()), "partial_state": True}


def start_frames(journal: list[bytes], state: State, seed: int, retry_count: int = 0) -> bytes:
    """Start and the journal, as an attempt gets them."""
    start = m.StartMessage(
        ID, "inv_1x", len(journal), key="k", random_seed=seed, **state.start(),
        retry_count_since_last_stored_entry=retry_count,
    )  # fmt: skip
    return packed(start) + b"".join(journal)


class Server:
    """One invocation, run to its end by chance."""

    def __init__(self, seed: int, program: Program) -> None:
        self.rng = rng = Random(seed)
        self.program = program
        self.seed = seed & 0xFFFF
        self.version = rng.choice((5, 6, 7, 7))
        self.state = State(rng.choice(("eager", "eager", "lazy", "partial")))
        self.mode = rng.choice(("open", "open", "closed", "mixed"))
        self.hurry = rng.choice((0.1, 0.5, 0.9))
        self.cuts_left = rng.choice((0, 0, 1, 3))
        self.cancels_left = rng.choice((0, 0, 0, 1, 1, 2))
        self.cancelled = False
        self.signals_left = 6
        self.now_ms = 1_767_225_600_000
        self.journal: list[bytes] = [packed(m.InputCommandMessage(value=m.Value(b"")))]
        self.outstanding: list[list[bytes]] = []
        """What may be journaled next, each with what follows it."""
        self.here: set[tuple[str, object]] = set()
        """Ids of the notifications in the journal."""
        self.open_runs: set[int] = set()
        self.unsent: deque[bytes] = deque()
        self.awakeables = list(range(17, 17 + program.awakeables))
        self.awaited_names: tuple[str, ...] = ()
        self.failures: dict[int, int] = {}
        self.retry_count = 0
        self.promises: dict[str, m.Value | m.Failure] = {}
        self.outcome: tuple[str, bytes] | None = None
        self.crossing: Server | None = None
        """As it was before one of its attempts."""
        self.actions = 0
        self.attempts = 0

    def run(self) -> Server:
        """Attempts until the invocation has ended."""
        while self.outcome is None:
            if self.rng.random() < 0.5:
                self.crossing = self.copied()
            self.attempts += 1
            if self.attempts > ATTEMPTS_MAX:
                raise Broken("the invocation never ends")
            self.attempt()
            self.now_ms += 1000
        return self

    def copied(self) -> Server:
        """The invocation as it is now, between two attempts, to be continued otherwise."""
        twin = copy(self)
        twin.state = copy(self.state)
        twin.state.values = dict(self.state.values)
        twin.journal, twin.awakeables = list(self.journal), list(self.awakeables)
        twin.outstanding = [list(chain) for chain in self.outstanding]
        twin.here, twin.open_runs = set(self.here), set(self.open_runs)
        twin.unsent = deque()
        twin.failures, twin.promises = dict(self.failures), dict(self.promises)
        return twin

    def otherwise(self) -> Server | None:
        """The same invocation from one of its crossings on, with other chances, run to its end."""
        other = self.crossing
        if other is None:
            return None
        other.rng = Random(self.seed + 1)
        other.crossing = None
        other.actions = other.attempts = 0
        return other.run()

    # One attempt.

    def attempt(self) -> None:
        rng = self.rng
        self.unsent.clear()
        attempt, port = opened(self.program, self.version, self.now_ms)
        known = {id_ for kind, id_ in self.here if kind == "c"}
        opening = start_frames(self.journal, self.state, self.seed, self.retry_count)
        if rng.random() < 0.2:
            cut = rng.randrange(len(opening))
            attempt.receive(opening[:cut])
            opening = opening[cut:]
        attempt.receive(opening)
        closed = self.mode == "closed" or (self.mode == "mixed" and rng.random() < 0.5)
        if closed:
            attempt.close_input()
        inflight: deque[tuple[int, bytes]] = deque()
        step_failed = False
        while True:
            self.actions += 1
            if self.actions > ACTIONS_MAX:
                raise Broken("too many actions: something goes on for ever")
            inflight.extend(frames_of(attempt.machine.take_output()))
            if not known.isdisjoint(port.started):
                raise Broken(f"a step was started whose completion is in the journal: {port.started}")
            if attempt.ended:
                if port.steps:
                    raise Broken("the attempt has ended and a step's body goes on")
                while inflight:
                    type_, frame_body = inflight.popleft()
                    if inflight:
                        self.store(type_, frame_body, live=False)
                self.ended(type_, frame_body, step_failed)
                return
            if self.cuts_left and rng.random() < 0.05:
                self.cuts_left -= 1
                for _ in range(rng.randint(0, len(inflight))):
                    type_, frame_body = inflight.popleft()
                    if type_ in (MessageType.END, MessageType.SUSPENSION, MessageType.ERROR):
                        break
                    self.store(type_, frame_body, live=False)
                attempt.abandon()
                if port.steps:
                    raise Broken("an abandoned attempt leaves a step's body running")
                self.retry_count += 1
                return
            choices: list[str] = []
            if inflight:
                choices += ["store"] * 4
            if self.events():
                choices += ["event"] * 2
            if self.unsent and not closed:
                choices += ["deliver"] * 3
            if port.steps:
                choices += ["step"] * 2
            if port.later:
                choices.append("grace")
            if not choices or (not closed and rng.random() < 0.02):
                if closed:
                    raise Broken("the attempt hangs: nothing to wait for, and it neither ends nor suspends")
                closed = True
                attempt.close_input()
                continue
            choice = rng.choice(choices)
            if choice == "store":
                for _ in range(len(inflight) if rng.random() < self.hurry else 1):
                    self.store(*inflight.popleft(), live=True)
            elif choice == "event":
                self.unsent.append(self.event())
            elif choice == "deliver":
                count = len(self.unsent) if rng.random() < self.hurry else 1
                attempt.receive(b"".join(self.unsent.popleft() for _ in range(count)))
            elif choice == "step":
                step_failed |= self.finish(attempt, port, rng.choice(port.steps))
            else:
                port.later.pop()()

    def finish(self, attempt: Attempt, port: Port, step: PendingStep) -> bool:
        """A step's body ends; answers whether it failed for now."""
        port.steps.remove(step)
        number, kind = step.args
        if kind == "fails":
            attempt.step_returned(step, m.Failure(500, f"step {number} gave up"))
        elif kind != "ok" and self.failures.get(step.completion_id, 0) < int(kind.split()[1]):
            self.failures[step.completion_id] = self.failures.get(step.completion_id, 0) + 1
            attempt.step_raised(step, ValueError(f"step {number} failed for now"))
            return True
        else:
            attempt.step_returned(step, json.dumps(f"r{number}").encode())
        return False

    def ended(self, type_: int, body: bytes, step_failed: bool) -> None:
        if type_ == MessageType.END:
            type_, output = frame_of(self.journal[-1])
            if type_ != MessageType.OUTPUT_COMMAND:
                raise Broken("End without Output")
            self.outcome = ("end", output)
        elif type_ == MessageType.SUSPENSION:
            self.suspended(body)
        elif type_ == MessageType.ERROR:
            error = m.ErrorMessage.decode(body)
            if "deadlock" in error.message:
                # What was journaled and not delivered may yet end it: the next attempt has that.
                if not self.unsent:
                    self.outcome = ("deadlock", b"")
            elif not step_failed or error.related_command_type != RUN:
                raise Broken(f"the attempt failed: {error.code} {error.message}\n{error.stacktrace}")
            self.retry_count += 1
        else:
            raise Broken(f"the attempt's last frame is {type_:#x}")

    def suspended(self, body: bytes) -> None:
        groups: list[set[tuple[str, int | str]]] = []
        if self.version >= 7:
            tree = m.SuspensionMessage.decode(body).awaiting_on
            assert tree is not None
            completions, signals, names = (
                tree.waiting_completions, tree.waiting_signals, tree.waiting_named_signals,
            )  # fmt: skip
            groups = [{("c", one) for one in node.waiting_completions} for node in tree.nested_futures]
        else:
            old = m.SuspensionMessageV6.decode(body)
            completions, signals, names = (
                old.waiting_completions, old.waiting_signals, old.waiting_named_signals,
            )  # fmt: skip
        if 1 not in signals:
            raise Broken("a suspension that cancelling would not end")
        awaited = {("c", one) for one in completions} | {("n", one) for one in names}
        awaited |= {("s", one) for one in signals if one != 1}
        if any(len(group) < 2 for group in groups):
            raise Broken(f"suspended on groups of one: {groups}")
        self.awaited_names = tuple(names)
        coming = {id_of(frame_of(frame)[1]) for chain in self.outstanding for frame in chain}
        coming |= {("s", one) for one in self.awakeables} | {("n", one) for one in NAMES} | self.here
        if awaited.isdisjoint(coming) and not any(group <= coming for group in groups):
            raise Broken(f"suspended on {awaited}, none of which can come; only {coming} can")
        # Waits until one of them is here; others may come meanwhile. A name counts whenever it came: waking
        # too early is allowed.
        while self.here.isdisjoint(awaited) and not self.group_is_here(groups):
            self.actions += 1
            if self.actions > ACTIONS_MAX:
                raise Broken(f"suspended on {awaited}, which never comes")
            before = self.cancels_left
            self.event()
            if self.cancels_left < before:
                break
        if self.rng.random() < 0.3 and self.events():
            self.event()

    def group_is_here(self, groups: list[set[tuple[str, int | str]]]) -> bool:
        """All of a group is here. A failure in it wakes too, and so may anything: at times one will do."""
        early = self.rng.random() < 0.2
        return any(group <= self.here or (early and group & self.here) for group in groups)

    # Storing what the attempt sent.

    def store(self, type_: int, body: bytes, live: bool) -> None:
        if type_ == MessageType.PROPOSE_RUN_COMPLETION:
            self.proposed(body, live)
            return
        if type_ == MessageType.AWAITING_ON:
            return
        if not is_command(type_):
            raise Broken(f"frame {type_:#x} where a command was expected")
        self.journal.append(pack_header(type_, 0, len(body)) + body)
        self.retry_count = 0
        self.state.apply(type_, body)
        if type_ in SILENT:
            return
        message: Any = m.decode(type_, body, self.version)
        completion_id = getattr(message, "result_completion_id", 0)
        if type_ == RUN:
            self.open_runs.add(completion_id)
            return
        answer = self.answer(message, completion_id)
        if answer:
            self.outstanding.append([packed(one) for one in answer])

    def proposed(self, body: bytes, live: bool) -> None:
        proposal = m.ProposeRunCompletionMessage.decode(body)
        completion_id = proposal.result_completion_id
        if completion_id not in self.open_runs:
            raise Broken(f"a proposal for {completion_id}, which is not an open run")
        self.open_runs.remove(completion_id)
        result = m.Value(proposal.result) if isinstance(proposal.result, bytes) else proposal.result
        full = packed(m.RunCompletionNotificationMessage(completion_id, result))
        self.journal.append(full)
        self.here.add(("c", completion_id))
        if live:
            acked = self.version >= 7 and isinstance(result, m.Value) and self.rng.random() < 0.8
            self.unsent.append(packed(m.ProposeRunCompletionAckMessage(completion_id)) if acked else full)

    def answer(self, message: Any, completion_id: int) -> list[m.Message]:
        rng = self.rng
        value = m.Value(json.dumps(f"v{completion_id}").encode())
        failed = m.Failure(500, f"failed {completion_id}")
        either = failed if rng.random() < 0.2 else value
        if isinstance(message, m.SleepCommandMessage):
            return [m.SleepCompletionNotificationMessage(completion_id)]
        if isinstance(message, m.CallCommandMessage):
            id_index = message.invocation_id_notification_idx
            return [
                m.CallInvocationIdCompletionNotificationMessage(id_index, f"inv_{id_index}"),
                m.CallCompletionNotificationMessage(completion_id, either),
            ]
        if isinstance(message, m.OneWayCallCommandMessage):
            id_index = message.invocation_id_notification_idx
            return [m.CallInvocationIdCompletionNotificationMessage(id_index, f"inv_{id_index}")]
        if isinstance(message, m.GetLazyStateCommandMessage):
            found = self.state.values.get(message.key)
            result = m.VOID if found is None else m.Value(found)
            return [m.GetLazyStateCompletionNotificationMessage(completion_id, result)]
        if isinstance(message, m.GetLazyStateKeysCommandMessage):
            keys = m.StateKeys(tuple(sorted(self.state.values)))
            return [m.GetLazyStateKeysCompletionNotificationMessage(completion_id, keys)]
        if isinstance(message, m.GetPromiseCommandMessage):
            result = self.promises.setdefault(message.key, either)
            return [m.GetPromiseCompletionNotificationMessage(completion_id, result)]
        if isinstance(message, m.PeekPromiseCommandMessage):
            found_now = self.promises.get(message.key, m.VOID)
            return [m.PeekPromiseCompletionNotificationMessage(completion_id, found_now)]
        if isinstance(message, m.CompletePromiseCommandMessage):
            if message.key in self.promises:
                taken = m.Failure(409, "completed before")
                return [m.CompletePromiseCompletionNotificationMessage(completion_id, taken)]
            assert message.completion is not None
            self.promises[message.key] = message.completion
            return [m.CompletePromiseCompletionNotificationMessage(completion_id, m.VOID)]
        if isinstance(message, m.AttachInvocationCommandMessage):
            return [m.AttachInvocationCompletionNotificationMessage(completion_id, either)]
        return []

    # What happens by itself.

    def events(self) -> bool:
        """Whether anything can."""
        by_chance = self.awakeables or self.signals_left or self.cancels_left
        return bool(self.outstanding or self.awaited_names or by_chance)

    def event(self) -> bytes:
        """Journals something and answers it."""
        rng = self.rng
        choices = ["completion"] * 8 if self.outstanding else []
        choices += ["awakeable"] * (2 if self.awakeables else 0)
        choices += ["name"] if self.signals_left else []
        choices += ["awaited"] * (2 if self.awaited_names else 0)
        choices += ["cancel"] if self.cancels_left else []
        choice = rng.choice(choices)
        if choice == "completion":
            chain = rng.choice(self.outstanding)
            frame = chain.pop(0)
            if not chain:
                self.outstanding.remove(chain)
        elif choice == "awakeable":
            index = self.awakeables.pop(rng.randrange(len(self.awakeables)))
            result = m.Failure(500, "rejected") if rng.random() < 0.2 else m.Value(b'"woken"')
            frame = packed(m.SignalNotificationMessage(idx=index, result=result))
        elif choice == "cancel":
            self.cancels_left -= 1
            self.cancelled = True
            frame = packed(m.SignalNotificationMessage(idx=1, result=m.VOID))
        else:
            self.signals_left -= choice == "name"
            name = rng.choice(NAMES if choice == "name" else self.awaited_names)
            value = m.Value(json.dumps(len(self.journal)).encode())
            frame = packed(m.SignalNotificationMessage(name=name, result=value))
        self.journal.append(frame)
        self.here.add(id_of(frame_of(frame)[1]))
        return frame


def id_of(body: bytes) -> tuple[str, object]:
    """What a notification is about."""
    template = NotificationTemplate.decode(body)
    if template.completion_id is not None:
        return "c", template.completion_id
    if template.signal_id is not None:
        return "s", template.signal_id
    return "n", template.signal_name
