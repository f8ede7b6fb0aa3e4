"""Partitions without loop, disk or network: records in, answers and actions out, mail carried by hand.

    world = World()
    caller = world.start(SERVICE)
    world.report(caller, sleep(1, world.now + 1000), suspend(1))
    world.pass_time(1000)
    assert world.started(caller)

Every record is committed before the next one, and `world.actions` holds what the last call led to, in
whatever partition, so that a story reads the same over one partition and over four. Rows are unique over all
partitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from holdfast.core import commands as c
from holdfast.core.apply import apply
from holdfast.core.messages import StartInvocation
from holdfast.core.model import (
    FROM_INGRESS,
    VOID,
    Activity,
    AttemptFailure,
    Await,
    Completed,
    Failure,
    Invocation,
    InvocationId,
    Invoked,
    OnMaxAttempts,
    Origin,
    OriginKind,
    Result,
    Retention,
    RetryPolicy,
    Row,
    SignalResult,
    Status,
    Success,
    Target,
    TargetKind,
)
from holdfast.core.outcome import (
    Action,
    Answer,
    Finished,
    Received,
    Ship,
    StartAttempt,
    Tell,
)
from holdfast.core.records import (
    AttemptReport,
    Cancel,
    Deliver,
    Delivered,
    Kill,
    Lookup,
    Pause,
    Purge,
    Record,
    Recover,
    ReplaceState,
    Resume,
    Signal,
    Start,
    TimerFired,
)
from holdfast.core.step import Step
from holdfast.core.tables import Entry
from holdfast.partition.placement import Minter
from holdfast.protocol import messages as wire
from holdfast.protocol.framing import MessageType
from holdfast.protocol.ids import encode_invocation_id
from holdfast.storage.partition_tables import PartitionTables

SERVICE = Target("Greeter", "greet", None, TargetKind.SERVICE)
COUNTER = Target("Counter", "add", "k", TargetKind.OBJECT_EXCLUSIVE)
COUNTER_SHARED = Target("Counter", "get", "k", TargetKind.OBJECT_SHARED)
FLOW = Target("Flow", "run", "w", TargetKind.WORKFLOW_RUN)
FLOW_SHARED = Target("Flow", "ask", "w", TargetKind.WORKFLOW_SHARED)
DAY_MS = 86_400_000
DAY = Retention(DAY_MS, DAY_MS)
GONE_AT_ONCE = Retention(0, 0)
EPOCH_MS = 1_700_000_000_000
DEPLOYMENT = "dp_1"
VERSION = 7
_ROWS_PER_PARTITION = 1 << 20

A = TypeVar("A")


class World:
    """All partitions of a server that is not there. `directory` keeps them in files; None in memory."""

    def __init__(self, partitions: int = 1, directory: Path | None = None) -> None:
        self.now = EPOCH_MS
        self.partitions = partitions
        self.minters = [Minter(i, partitions, 1 + i * _ROWS_PER_PARTITION) for i in range(partitions)]
        self.actions: list[Action] = []
        self.mail_is_held = False
        self._directory = directory
        self._turn = 0
        self.tables = self._open()

    def _open(self) -> list[PartitionTables]:
        files = self._directory
        opened = [
            PartitionTables(files / f"partition-{i}.sqlite" if files else None, i, self.partitions)
            for i in range(self.partitions)
        ]
        for tables in opened:
            # Nobody pulls the plug here, and waiting for the disk is most of the time otherwise.
            tables.database.execute("PRAGMA synchronous=OFF")
        return opened

    def close(self) -> None:
        for tables in self.tables:
            tables.close()

    def reopen(self) -> None:
        """A restart: everything in memory is lost, then the first record of every process."""
        self.close()
        self.tables = self._open()
        self.tell_all(Recover(self.now))

    # ------------------------------------------------------------ records

    def tell(self, partition: int, record: Record) -> Answer | None:
        """Apply a record, commit, carry the mail it caused; the answer."""
        self.actions = []
        answer = self._apply(partition, record)
        if not self.mail_is_held:
            self.carry_mail()
        return answer

    def tell_all(self, record: Record) -> None:
        actions: list[Action] = []
        for partition in range(self.partitions):
            self.tell(partition, record)
            actions += self.actions
        self.actions = actions

    def _apply(self, partition: int, record: Record) -> Answer | None:
        tables = self.tables[partition]
        answer = apply(Step(tables, self.actions), record)
        tables.commit()
        return answer

    def carry_mail(self) -> None:
        """Deliver what the outboxes hold, in order and once, until nothing is left."""
        while any(self.deliver(source, to) for source, to in self.outboxes()):
            pass

    def outboxes(self) -> list[tuple[int, int]]:
        """(source, destination) of outboxes that hold something."""
        return [(t.partition, to) for t in self.tables for to in t.post.destinations()]

    def deliver(self, source: int, to: int, *, limit: int = 100, confirm: bool = True) -> bool:
        """One Deliver record and, unless its answer is lost (`confirm` false), its Delivered."""
        post = self.tables[source].post
        waiting = post.waiting(to, 0, limit)
        if not waiting:
            return False
        rows = tuple(
            self.minters[to].row() if isinstance(message, StartInvocation) else Row(0)
            for _, message in waiting
        )
        messages = tuple(message for _, message in waiting)
        answer = self._apply(to, Deliver(self.now, source, waiting[0][0], messages, rows))
        assert isinstance(answer, Received)
        if confirm:
            self._apply(source, Delivered(self.now, to, answer.sequence))
        return True

    # ------------------------------------------------------------ invocations

    def home(self, target: Target) -> int:
        """The partition for a target: keys always the same one, plain services in turn."""
        if target.key is not None:
            return sum(target.key.encode()) % self.partitions
        self._turn = (self._turn + 1) % self.partitions
        return self._turn

    def request(
        self,
        target: Target = SERVICE,
        *,
        retention: Retention = DAY,
        start_at: int = 0,
        id_: InvocationId | None = None,
        idempotency_key: str | None = None,
        by: InvocationId | None = None,
    ) -> c.StartRequest:
        """A request with a fresh id, or, given `id_`, one whose id is derived from what it names.

        `by` is the calling invocation: a callee of another partition gets its row on arrival.
        """
        fresh = id_ is None
        if id_ is None:
            id_, row = self.minters[self.home(target)].anywhere()
        else:
            row = self.minters[self.owner(id_)].row()
        origin = FROM_INGRESS
        if by is not None:
            origin = Origin(OriginKind.SERVICE, by, str(target))
            if self.owner(by) != self.owner(id_):
                row = Row(0)
        raw = wire.InputCommandMessage(value=wire.Value(b'"in"')).encode()
        return c.StartRequest(
            id_, row, fresh, target, raw, retention, idempotency_key, start_at, origin=origin
        )

    def derived_id(self, target: Target, text: str) -> InvocationId:
        """The id that everything called `text` shares, in the partition of the target."""
        known = self.minters[self.home(target)].anywhere()[0]
        return InvocationId(known[:8] + text.encode().ljust(16, b"\0")[:16])

    def start(
        self, target: Target = SERVICE, *, retention: Retention = DAY, start_at: int = 0
    ) -> InvocationId:
        request = self.request(target, retention=retention, start_at=start_at)
        self.accept(request)
        return request.id

    def accept(self, request: c.StartRequest) -> Answer | None:
        return self.tell(self.owner(request.id), Start(self.now, request))

    def owner(self, id_: InvocationId) -> int:
        return self.tables[0].partition_of(id_)

    def find(self, id_: InvocationId) -> Invocation | None:
        return self.tables[self.owner(id_)].invocations.find(id_)

    def invocation(self, id_: InvocationId) -> Invocation:
        invocation = self.find(id_)
        assert invocation is not None, f"no invocation {id_.hex()}"
        return invocation

    def status(self, id_: InvocationId) -> Status:
        return self.invocation(id_).status

    def result(self, id_: InvocationId) -> Result:
        status = self.status(id_)
        assert isinstance(status, Completed), f"not completed but {status}"
        return status.result

    def is_running(self, id_: InvocationId) -> bool:
        """Whether an attempt is under way."""
        invocation = self.find(id_)
        return (
            invocation is not None
            and isinstance(invocation.status, Invoked)
            and invocation.activity is Activity.RUNNING
        )

    def report(
        self, id_: InvocationId, *items: c.Item, attempt: int | None = None, version: int = VERSION
    ) -> None:
        """The current attempt (or `attempt`) sent these items."""
        invocation = self.invocation(id_)
        number = invocation.attempt if attempt is None else attempt
        record = AttemptReport(self.now, invocation.row, number, DEPLOYMENT, version, list(items))
        self.tell(self.owner(id_), record)

    def known(self, id_: InvocationId) -> int:
        """Journal entries so far: what an attempt that was told of everything says when it suspends."""
        return self.invocation(id_).length

    def suspend(self, id_: InvocationId, *completions: int, **leaves: tuple[int, ...]) -> None:
        """The attempt, told of everything so far, suspends on the first of these."""
        self.report(id_, c.Suspend(Await(completions, leaves.get("signals", ())), self.known(id_)))

    def finish(self, id_: InvocationId, value: bytes = b'"out"') -> None:
        self.report(id_, output(Success(value)), c.End())

    def call(self, caller: InvocationId, target: Target, completion_id: int = 2) -> InvocationId:
        """The caller calls `target`, with completion ids `completion_id` - 1 and `completion_id`."""
        request = self.request(target, by=caller)
        self.report(caller, call(request, completion_id))
        return request.id

    # ------------------------------------------------------------ operators and time

    def signal(self, id_: InvocationId, signal: int | str, result: SignalResult = VOID) -> None:
        self.tell(self.owner(id_), Signal(self.now, id_, signal, result))

    def cancel(self, id_: InvocationId) -> Answer | None:
        return self.tell(self.owner(id_), Cancel(self.now, id_))

    def kill(self, id_: InvocationId) -> Answer | None:
        return self.tell(self.owner(id_), Kill(self.now, id_))

    def pause(self, id_: InvocationId) -> Answer | None:
        return self.tell(self.owner(id_), Pause(self.now, id_))

    def resume(
        self, id_: InvocationId, deployment: str | None = None, version: int | None = None
    ) -> Answer | None:
        return self.tell(self.owner(id_), Resume(self.now, id_, deployment, version))

    def purge(self, id_: InvocationId, *, journal_only: bool = False) -> Answer | None:
        return self.tell(self.owner(id_), Purge(self.now, id_, journal_only))

    def lookup(self, id_: InvocationId) -> Answer | None:
        return self.tell(self.owner(id_), Lookup(self.now, id_))

    def replace_state(
        self, target: Target, state: dict[bytes, bytes], version: str | None = None
    ) -> Answer | None:
        record = ReplaceState(self.now, target.object, tuple(state.items()), version)
        return self.tell(self.home(target), record)

    def pass_time(self, ms: int) -> None:
        """Move the clock, stopping at every timer on the way; `actions` are those of all that fired."""
        end, actions = self.now + ms, list[Action]()
        while due := self.due(end):
            partition, fired = due[0]
            self.now = max(self.now, fired.fire_at)
            fired.at = self.now
            self.tell(partition, fired)
            actions += self.actions
        self.now, self.actions = end, actions

    def due(self, at: int) -> list[tuple[int, TimerFired]]:
        """Timers due at `at`, earliest first, each with its partition."""
        found = [
            (t.fire_at, tables.partition, TimerFired(at, t.fire_at, t.kind, t.row, t.completion_id))
            for tables in self.tables
            for t in tables.timers.due(at, 10_000)
        ]
        return [(partition, fired) for _, partition, fired in sorted(found, key=lambda f: f[:2])]

    # ------------------------------------------------------------ what happened

    def all(self, kind: type[A]) -> list[A]:
        """The last call's actions of one kind."""
        return [action for action in self.actions if isinstance(action, kind)]

    def started(self, id_: InvocationId) -> bool:
        """Whether the last call made an attempt of the invocation."""
        return any(action.invocation.id == id_ for action in self.all(StartAttempt))

    def told(self, id_: InvocationId) -> list[tuple[int | str, object]]:
        """(ref, result) of what the running attempt is told because of the last call."""
        row = self.invocation(id_).row
        return [(t.notification.ref, t.notification.result) for t in self.all(Tell) if t.row == row]

    def finished(self) -> dict[InvocationId, Result]:
        """Invocations that the last call ended."""
        return {action.id: action.completed.result for action in self.all(Finished)}

    def visible(self) -> list[Action]:
        """The last call's actions without those that only concern the post."""
        return [action for action in self.actions if not isinstance(action, Ship)]

    def journal(self, id_: InvocationId) -> list[Entry]:
        return self.tables[self.owner(id_)].journal.entries(self.invocation(id_).row)

    def state(self, target: Target) -> dict[bytes, bytes]:
        return dict(self.tables[self.home(target)].state.all(target.object))

    def count(self, table: str) -> int:
        """Rows of a table over all partitions."""
        return sum(int(t.database.rows(f"SELECT count(*) FROM {table}")[0][0]) for t in self.tables)

    def dump(self) -> dict[str, list[tuple[object, ...]]]:
        """Every table of every partition, rows in key order."""
        return {
            f"{tables.partition}/{table}": tables.database.rows(f"SELECT * FROM {table} ORDER BY {order}")
            for tables in self.tables
            for table, order in ORDERS.items()
        }


ORDERS = {
    "meta": "name", "invocation": "row", "invocation_alias": "id", "journal": "key", "event": "number",
    "state": "object, key", "object_lock": "object", "inbox": "object, sequence", "promise": "object, key",
    "promise_listener": "object, key, sequence", "waiter": "row, sequence",
    "timer": "fire_at, row, kind, completion_id", "outbox": "destination, sequence",
    "step_metadata": "key", "attempt": "row, number",
    "blob": "digest", "blob_use": "holder, name",
}  # fmt: skip
"""Every table of the schema and its key."""

# ---------------------------------------------------------------- what attempts send


def output(result: Result) -> c.Output:
    wired = (
        wire.Value(result.value) if isinstance(result, Success) else wire.Failure(result.code, result.message)
    )
    return c.Output(MessageType.OUTPUT_COMMAND, wire.OutputCommandMessage(result=wired).encode(), result)


def run(completion_id: int) -> c.Plain:
    raw = wire.RunCommandMessage(completion_id, "step").encode()
    return c.Plain(MessageType.RUN_COMMAND, raw, completion_id)


def proposal(completion_id: int, value: bytes = b"7", *, ack: bool = False) -> c.RunProposal:
    return c.RunProposal(completion_id, Success(value), ack)


def sleep(completion_id: int, wake_up_at: int) -> c.Sleep:
    raw = wire.SleepCommandMessage(wake_up_at, completion_id).encode()
    return c.Sleep(MessageType.SLEEP_COMMAND, raw, wake_up_at, completion_id)


def call(request: c.StartRequest, completion_id: int = 2) -> c.Call:
    target = request.target
    raw = wire.CallCommandMessage(
        target.service,
        target.handler,
        key=target.key or "",
        invocation_id_notification_idx=completion_id - 1,
        result_completion_id=completion_id,
    ).encode()
    id_text = encode_invocation_id(request.id)
    return c.Call(MessageType.CALL_COMMAND, raw, request, id_text, completion_id - 1, completion_id)


def send(request: c.StartRequest, id_completion_id: int = 1) -> c.Send:
    raw = wire.OneWayCallCommandMessage(
        request.target.service, request.target.handler, invocation_id_notification_idx=id_completion_id
    ).encode()
    id_text = encode_invocation_id(request.id)
    return c.Send(MessageType.ONE_WAY_CALL_COMMAND, raw, request, id_text, id_completion_id)


def attach(target: InvocationId, completion_id: int) -> c.Attach:
    raw = wire.AttachInvocationCommandMessage(encode_invocation_id(target), completion_id).encode()
    return c.Attach(MessageType.ATTACH_INVOCATION_COMMAND, raw, target, completion_id)


def get_output(target: InvocationId, completion_id: int) -> c.GetOutput:
    raw = wire.GetInvocationOutputCommandMessage(encode_invocation_id(target), completion_id).encode()
    return c.GetOutput(MessageType.GET_INVOCATION_OUTPUT_COMMAND, raw, target, completion_id)


def send_signal(target: InvocationId, signal: int | str, result: SignalResult = VOID) -> c.SendSignal:
    raw = wire.SendSignalCommandMessage(encode_invocation_id(target), 0).encode()
    return c.SendSignal(MessageType.SEND_SIGNAL_COMMAND, raw, target, signal, result)


def set_state(key: bytes, value: bytes) -> c.SetState:
    raw = wire.SetStateCommandMessage(key, wire.Value(value)).encode()
    return c.SetState(MessageType.SET_STATE_COMMAND, raw, key, value)


def clear_state(key: bytes) -> c.ClearState:
    return c.ClearState(MessageType.CLEAR_STATE_COMMAND, wire.ClearStateCommandMessage(key).encode(), key)


def clear_all_state() -> c.ClearAllState:
    return c.ClearAllState(MessageType.CLEAR_ALL_STATE_COMMAND, b"")


def get_lazy(key: bytes, completion_id: int) -> c.GetLazyState:
    raw = wire.GetLazyStateCommandMessage(key, completion_id).encode()
    return c.GetLazyState(MessageType.GET_LAZY_STATE_COMMAND, raw, key, completion_id)


def get_lazy_keys(completion_id: int) -> c.GetLazyStateKeys:
    raw = wire.GetLazyStateKeysCommandMessage(completion_id).encode()
    return c.GetLazyStateKeys(MessageType.GET_LAZY_STATE_KEYS_COMMAND, raw, completion_id)


def get_promise(key: str, completion_id: int) -> c.GetPromise:
    raw = wire.GetPromiseCommandMessage(key, completion_id).encode()
    return c.GetPromise(MessageType.GET_PROMISE_COMMAND, raw, key, completion_id)


def peek_promise(key: str, completion_id: int) -> c.PeekPromise:
    raw = wire.PeekPromiseCommandMessage(key, completion_id).encode()
    return c.PeekPromise(MessageType.PEEK_PROMISE_COMMAND, raw, key, completion_id)


def complete_promise(key: str, result: Result, completion_id: int) -> c.CompletePromise:
    raw = wire.CompletePromiseCommandMessage(key, wire.Value(b""), completion_id).encode()
    return c.CompletePromise(MessageType.COMPLETE_PROMISE_COMMAND, raw, key, result, completion_id)


def error(
    code: int = 500,
    *,
    policy: RetryPolicy | None = None,
    retry_after_ms: int | None = None,
    behavior: int = c.Behavior.RETRY,
    jitter: float = 0.0,
) -> c.AttemptError:
    failure = AttemptFailure(code, "it broke", "RT0007")
    return c.AttemptError(failure, policy or RetryPolicy(), jitter, retry_after_ms, behavior)


def policy(max_attempts: int, then: OnMaxAttempts) -> RetryPolicy:
    return RetryPolicy(max_attempts=max_attempts, on_max_attempts=then)


def failed(result: object, code: int) -> bool:
    return isinstance(result, Failure) and result.code == code


def every(world: World, condition: Callable[[Invocation], bool]) -> Iterator[Invocation]:
    """Stored invocations that fulfil a condition."""
    for tables in world.tables:
        for (row,) in tables.database.rows("SELECT row FROM invocation ORDER BY row"):
            invocation = tables.invocations.get(Row(row))
            if invocation is not None and condition(invocation):
                yield invocation
