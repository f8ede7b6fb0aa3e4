"""Would an app's code, as it is now, replay a journal that older code wrote? The base of safe upgrades.

A stored journal is fed to an attempt the way a server would feed it, in a request that ends there, and the
attempt answers as it would in production: by going on, suspending, or saying where code and journal part
(protocol, "Replay checks in official SDKs"). Nothing else happens: bodies of steps never run, and what the
attempt writes is thrown away.

What it cannot see: code that is reached only after the journal's end, and differences in what steps do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from holdfast.protocol import messages
from holdfast.protocol.control import ErrorMessage, StartMessage
from holdfast.protocol.errors import InvalidId
from holdfast.protocol.framing import FrameDecoder, MessageType, encode_frame
from holdfast.protocol.ids import INVOCATION_ID_BYTES, decode_invocation_id
from holdfast.protocol.versions import VERSION_MAX, VERSION_MIN
from holdfast.sdk.endpoint.app import App
from holdfast.sdk.endpoint.running import make_attempt
from holdfast.sdk.journal_file import StoredJournal
from holdfast.sdk.steps import PendingStep
from holdfast.sdk.strict import loop_maker
from holdfast.sdk.vm.machine import CODE_JOURNAL_MISMATCH


class Outcome(Enum):
    """How a replay ends; the first three are well."""

    COMPLETED = "completed"
    """The handler returned. Where the journal had ended with its result, it returned the same."""
    SUSPENDED = "suspended"
    """It waits for what has not come yet."""
    RUNS_STEPS = "runs steps"
    """It would run steps now, whose results are not in the journal."""
    MISMATCH = "mismatch"
    """It asks for something else than the journal holds."""
    FAILED = "failed"
    """The attempt fails, with all of its journal replayed or before."""
    NOT_SERVED = "not served"
    """The app has no such handler, or does not speak the journal's protocol version."""


GOOD = frozenset({Outcome.COMPLETED, Outcome.SUSPENDED, Outcome.RUNS_STEPS})


@dataclass(frozen=True, slots=True)
class Replay:
    """What became of a journal.

    Attributes:
        message: what is wrong, many lines for a mismatch; empty when `ok`.
        steps: names of the steps that would run now, in the order they start.
        new_commands: how many commands the code issues that the journal does not hold.
    """

    outcome: Outcome
    message: str = ""
    steps: tuple[str, ...] = ()
    new_commands: int = 0

    @property
    def ok(self) -> bool:
        """Whether the app can take this invocation over."""
        return self.outcome in GOOD


def replay_check(app: App, journal: StoredJournal) -> Replay:
    """Replay a journal against the code of an app.

    Handler code runs up to where the journal ends; it sees no request headers. Never raises for what the
    journal or the handler does.
    """
    handler = next(
        (
            service.handlers[journal.handler]
            for service in app.routes.services
            if service.name == journal.service and journal.handler in service.handlers
        ),
        None,
    )
    if handler is None:
        return Replay(Outcome.NOT_SERVED, f"the app has no handler {journal.service}/{journal.handler}")
    version = journal.protocol_version
    if not VERSION_MIN <= version <= VERSION_MAX:
        speaks = f"this release speaks {VERSION_MIN} to {VERSION_MAX}"
        return Replay(Outcome.NOT_SERVED, f"the journal is in protocol version {version}; {speaks}")
    port = _Port()
    attempt = make_attempt(
        handler, version, app.payloads, port, {}, app.max_message_bytes, loop_maker(app.strict)
    )
    attempt.receive(_request(journal))
    attempt.close_input()
    for call in port.later:
        call()
    machine = attempt.machine
    ended = attempt.ended
    output = machine.take_output()
    new_commands = machine.new_commands
    attempt.abandon()
    if not ended:
        return Replay(Outcome.RUNS_STEPS, steps=tuple(port.steps), new_commands=new_commands)
    return _read(output, version, new_commands)


def _request(journal: StoredJournal) -> bytes:
    try:
        id_ = bytes(decode_invocation_id(journal.invocation_id))
    except InvalidId:
        # Only awakeables are made of it, and those are not compared.
        id_ = bytes(INVOCATION_ID_BYTES)
    start = StartMessage(
        id=id_,
        debug_id=journal.invocation_id,
        known_entries=len(journal.entries),
        state_map=tuple((key.encode(), value) for key, value in sorted(journal.state.items())),
        key=journal.key or "",
        random_seed=journal.random_seed,
    )
    frames = [encode_frame(MessageType.START, start.encode())]
    frames += [encode_frame(entry.type, entry.body) for entry in journal.entries]
    return b"".join(frames)


def _read(output: bytes, version: int, new_commands: int) -> Replay:
    """What the attempt's last frame says."""
    type_, _, body = list(FrameDecoder().feed(output))[-1]
    if type_ == MessageType.SUSPENSION:
        return Replay(Outcome.SUSPENDED, new_commands=new_commands)
    if type_ != MessageType.ERROR:
        return Replay(Outcome.COMPLETED, new_commands=new_commands)
    error = messages.decode(type_, body, version)
    if not isinstance(error, ErrorMessage):
        raise TypeError(f"an error frame was read as {type(error).__name__}")
    if error.code == CODE_JOURNAL_MISMATCH:
        return Replay(Outcome.MISMATCH, error.message, new_commands=new_commands)
    stack = f"\n{error.stacktrace.rstrip()}" if error.stacktrace else ""
    return Replay(Outcome.FAILED, f"{error.message}{stack}", new_commands=new_commands)


class _Port:
    """Where nothing runs. Time is the first instant there is: no command is compared by its time."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.later: list[Callable[[], None]] = []

    def now_ms(self) -> int:
        return 0

    def start_step(self, step: PendingStep) -> None:
        self.steps.append(step.name)

    def stop_step(self, step: PendingStep) -> None:
        pass

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.later.append(call)

    def flush(self) -> None:
        pass
