"""The loop of one partition: take what is queued, apply, commit, act.

    take everything that arrived while the last commit ran        group commit
    core.apply for each record                                    pure, synchronous
    one transaction                                               COMMIT, see `committer`
    answers, then actions                                         only now

While a COMMIT runs, records queue up and nothing is applied: the connection is busy, and what the next
records see must be what is durable or in the buffer. So between commits ("settled") the file and memory
agree, and that is when journals are read for attempts and due timers are looked up.

When a commit fails (disk full, I/O error) nothing is lost: the buffer keeps the batch and it is tried again
until it succeeds. Meanwhile new invocations are refused and everything else waits. A read that fails (a file
that is damaged) is worse: half a record may have been applied, so the partition stops as it does for a bug.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, cast

import apsw
import structlog

from holdfast.core.apply import apply
from holdfast.core.model import InvariantViolation, Invocation, Row
from holdfast.core.outcome import (
    AbortAttempt,
    Acknowledge,
    Action,
    Answer,
    ArmTimer,
    AttemptDone,
    Finished,
    HalfClose,
    Refused,
    Ship,
    StartAttempt,
    Tell,
)
from holdfast.core.records import Record
from holdfast.core.step import Step
from holdfast.partition.committer import Committer
from holdfast.partition.feed import Gone, OnChanges
from holdfast.storage.database import StorageError, storage_error
from holdfast.storage.notifications import encode_notification
from holdfast.storage.partition_tables import PartitionTables
from holdfast.storage.timers import Timers

log = structlog.get_logger("holdfast.partition")

RECORDS_PER_COMMIT_MAX = 4_000
RECORDS_QUEUED_MAX = 20_000
COMMIT_RETRY_S = 0.5
UNAVAILABLE = Refused(503, "unavailable", "the server cannot store anything at the moment, try again later")

OnAnswer = Callable[[Answer | None], None]
OnFinished = Callable[[Finished], None]


class AttemptRunner(Protocol):
    """The invoker as a partition sees it. Calls come after the commit, on the loop."""

    def start(
        self, partition: PartitionLoop, invocation: Invocation, attempt: int, input_raw: bytes | None
    ) -> None: ...
    def tell(
        self, partition: PartitionLoop, row: Row, attempt: int, index: int, type_: int, body: bytes
    ) -> None: ...
    def acknowledge(self, partition: PartitionLoop, row: Row, attempt: int, completion_id: int) -> None: ...
    def half_close(self, partition: PartitionLoop, row: Row, attempt: int) -> None: ...
    def abort(self, partition: PartitionLoop, row: Row, attempt: int) -> None: ...
    def done(self, partition: PartitionLoop, row: Row, attempt: int) -> None: ...


class PartitionLoop:
    """One partition's records, commits and actions."""

    def __init__(
        self,
        tables: PartitionTables,
        loop: asyncio.AbstractEventLoop,
        runner: AttemptRunner,
        on_timer: Callable[[int], None],
        on_ship: Callable[[int], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self.index = tables.partition
        self.tables = tables
        self._loop = loop
        self._runner = runner
        self._on_timer = on_timer
        self._on_ship = on_ship
        self._on_fatal = on_fatal
        database = tables.database
        self._committer = Committer(loop, f"commit-{tables.partition}", lambda: database.checkpoint_due)
        self._queue: list[tuple[Record, OnAnswer | None]] = []
        self._answers: list[tuple[OnAnswer, Answer | None]] = []
        self._actions: list[Action] = []
        self._settled_calls: list[Callable[[], None]] = []
        self._watchers: dict[Row, list[OnFinished]] = {}
        self._scheduled = False
        self._committing = False
        self._closed = False
        self.degraded = False
        self.on_changes: OnChanges | None = None
        """Told what each commit touched, while somebody watches (see `feed`)."""
        self._on_idle: Callable[[], None] | None = None
        self._perform: dict[type, Callable[[Action], None]] = cast(
            "dict[type, Callable[[Action], None]]",
            {
                StartAttempt: self._start_attempt,
                Tell: self._tell,
                Acknowledge: self._acknowledge,
                HalfClose: self._half_close,
                AbortAttempt: self._abort,
                AttemptDone: self._done,
                Finished: self._finished,
                ArmTimer: self._arm,
                Ship: self._ship,
            },
        )

    # ------------------------------------------------------------ in

    @property
    def backlog(self) -> int:
        """Records that wait for the next transaction."""
        return len(self._queue)

    @property
    def settled(self) -> bool:
        """Whether nothing is queued and no commit is under way (one that keeps failing does not count)."""
        return not self._queue and (not self._committing or self.degraded)

    @property
    def timers(self) -> Timers:
        """The timer table, for the timer service."""
        return self.tables.timers

    def submit(self, record: Record, on_answer: OnAnswer | None = None) -> None:
        """Queue a record. `on_answer` is called once, after the commit, or with UNAVAILABLE."""
        if self._closed:
            if on_answer is not None:
                self._loop.call_soon(on_answer, UNAVAILABLE)
            return
        self._queue.append((record, on_answer))
        if not self._scheduled and not self._committing:
            self._scheduled = True
            self._loop.call_soon(self._tick)

    def watch(self, row: Row, on_finished: OnFinished) -> None:
        """Call back when the invocation finishes, once."""
        self._watchers.setdefault(row, []).append(on_finished)

    def unwatch(self, row: Row, on_finished: OnFinished) -> None:
        watching = self._watchers.get(row)
        if watching is not None and on_finished in watching:
            watching.remove(on_finished)
            if not watching:
                del self._watchers[row]

    def when_settled(self, call: Callable[[], None]) -> None:
        """Run `call` when memory and file agree: now, unless a commit is under way."""
        if self._committing:
            self._settled_calls.append(call)
        elif not self._closed:
            try:
                call()
            except apsw.Error as error:
                self._stop(error)

    # ------------------------------------------------------------ the loop

    def _tick(self) -> None:
        self._scheduled = False
        if self._committing or self._closed:
            return
        queue = self._queue
        if len(queue) > RECORDS_PER_COMMIT_MAX:
            batch, self._queue = queue[:RECORDS_PER_COMMIT_MAX], queue[RECORDS_PER_COMMIT_MAX:]
        else:
            batch, self._queue = queue, []
        tables, actions, answers = self.tables, self._actions, self._answers
        step = Step(tables, actions)
        record: Record | None = None
        try:
            tables.database.hold()
            for record, on_answer in batch:
                answer = apply(step, record)
                if on_answer is not None:
                    answers.append((on_answer, answer))
        except Exception as bug:
            # Whatever it was, core has left the record half done in memory: nothing of this may be written.
            log.critical(
                "invariant violated" if isinstance(bug, InvariantViolation) else "record failed",
                partition=self.index,
                record=repr(record)[:500],
                error=repr(bug),
            )
            answers.clear()
            self._queue = batch + self._queue
            self._stop(bug)
            return
        self._commit()

    def _commit(self) -> None:
        try:
            self.tables.flush()
        except apsw.Error as error:
            self.tables.database.rollback()
            self._commit_failed(storage_error(error))
            return
        database = self.tables.database
        if database.has_written:
            self._committing = True
            self._committer.submit(database.commit, self._committed)
        else:
            database.release()
            self._settle()

    def _committed(self, error: StorageError | None) -> None:
        if self._closed:
            return
        if error is not None:
            self._commit_failed(error)
            return
        self._settle()

    def _commit_failed(self, error: StorageError) -> None:
        """Keep the batch and try again; new work is refused until it succeeds."""
        self._committing = True
        if not self.degraded:
            self.degraded = True
            log.error("commit failed", partition=self.index, code=error.code, error=str(error))
        self._loop.call_later(COMMIT_RETRY_S, self._retry_commit)

    def _retry_commit(self) -> None:
        if not self._closed:
            self._commit()

    def _settle(self) -> None:
        """The batch is durable: answer, act, go on."""
        if self.on_changes is not None:
            self._publish(self.on_changes)
        self.tables.committed()
        self._committing = False
        if self.degraded:
            self.degraded = False
            log.info("commits work again", partition=self.index)
        answers, actions, perform = self._answers, self._actions, self._perform
        self._answers, self._actions = [], []
        # One receiver's bug must not keep the answers, pushes and timers of everybody else from happening.
        for on_answer, answer in answers:
            try:
                on_answer(answer)
            except apsw.Error as error:
                self._stop(error)
                return
            except Exception:
                log.exception("the receiver of an answer failed", partition=self.index)
        for action in actions:
            try:
                perform[type(action)](action)
            except apsw.Error as error:
                self._stop(error)
                return
            except Exception:
                log.exception("an action failed", partition=self.index, action=repr(action)[:500])
        self.tables.database.release()
        if self._settled_calls:
            calls, self._settled_calls = self._settled_calls, []
            for call in calls:
                self.when_settled(call)
        if self._queue:
            if not self._scheduled:
                self._scheduled = True
                self._loop.call_soon(self._tick)
        elif self._on_idle is not None:
            self._on_idle()

    def _publish(self, on_changes: OnChanges) -> None:
        """Say what this commit touched; nobody acts on it before the actions below have begun."""
        invocations = self.tables.invocations
        rows, keys = invocations.changed_rows, self.tables.journal.changed_keys
        if rows or keys:
            gone = tuple(Gone(one.row, one.id, one.target) for one in invocations.forgotten)
            on_changes(self.index, rows, keys, gone)

    def changed(self, row: Row) -> None:
        """Something that only memory knows has changed about an invocation: its attempt has begun, or
        said what it waits for."""
        if self.on_changes is not None:
            self.on_changes(self.index, (row,), ())

    def _stop(self, bug: BaseException) -> None:
        """End without writing: the file keeps the last commit, from which the next process goes on."""
        if self._closed:
            return
        self._closed = True
        self.tables.database.rollback()
        self._refuse_waiting()
        if isinstance(bug, apsw.Error):
            # A read failed: what should have happened next is not known, and no memory of it may be written.
            failure = storage_error(bug)
            bug = StorageError(failure.code, f"{self.tables.database.path}: {failure}")
            log.critical("reading failed", partition=self.index, code=failure.code, error=str(bug))
        self._on_fatal(bug)

    def _refuse_waiting(self) -> None:
        """Answer everybody who will not get an answer of core's any more."""
        for on_answer, _ in self._answers:
            self._loop.call_soon(on_answer, UNAVAILABLE)
        for _, waiting in self._queue:
            if waiting is not None:
                self._loop.call_soon(waiting, UNAVAILABLE)
        self._answers.clear()
        self._queue.clear()

    # ------------------------------------------------------------ actions

    def _start_attempt(self, action: StartAttempt) -> None:
        if action.input_raw is None:
            self.tables.database.hold()  # for its journal, and those of the attempts behind it
        self._runner.start(self, action.invocation, action.attempt, action.input_raw)

    def _tell(self, action: Tell) -> None:
        notification = action.notification
        body = encode_notification(notification)
        self._runner.tell(self, action.row, action.attempt, action.index, notification.kind, body)

    def _acknowledge(self, action: Acknowledge) -> None:
        self._runner.acknowledge(self, action.row, action.attempt, action.completion_id)

    def _half_close(self, action: HalfClose) -> None:
        self._runner.half_close(self, action.row, action.attempt)

    def _abort(self, action: AbortAttempt) -> None:
        self._runner.abort(self, action.row, action.attempt)

    def _done(self, action: AttemptDone) -> None:
        self._runner.done(self, action.row, action.attempt)

    def _finished(self, action: Finished) -> None:
        for on_finished in self._watchers.pop(action.row, ()):
            on_finished(action)

    def _arm(self, action: ArmTimer) -> None:
        self._on_timer(action.fire_at)

    def _ship(self, action: Ship) -> None:
        self._on_ship(action.destination)

    # ------------------------------------------------------------ end

    async def close(self, grace_s: float) -> None:
        """Finish what is queued, within the grace, then close the file."""
        if (self._queue or self._committing) and not self._closed:
            idle = asyncio.Event()
            self._on_idle = idle.set
            with suppress(TimeoutError):
                await asyncio.wait_for(idle.wait(), grace_s)
        self._closed = True
        self._refuse_waiting()
        await self._loop.run_in_executor(None, self._committer.close)
        self.tables.database.rollback()
        self.tables.close()
