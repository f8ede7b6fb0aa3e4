"""Broken engines. Each is the real one with one mistake that a person could make; the laws must notice.

`python -m tests.simulation.mutants [SEEDS]` runs them all and tells at which seed each was caught.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import import_module
from typing import Any
from unittest.mock import patch

from holdfast.core import attempts, calls, journal, lifecycle, operate, post, restart
from holdfast.core.commands import AttemptError, RunProposal
from holdfast.core.messages import Complete, StartInvocation
from holdfast.core.model import Completed, Invocation, InvocationId, Invoked, Notification, Row
from holdfast.core.outcome import Acknowledge, Received, Refused
from holdfast.core.records import Deliver, Recover, Sweep, TimerFired
from holdfast.core.step_metadata import merged
from holdfast.core.tables import Mutation
from holdfast.invoker import translate
from holdfast.invoker.step_metadata import hold
from holdfast.partition.loop import PartitionLoop
from holdfast.partition.post import PostOffice
from holdfast.protocol.framing import MessageType
from holdfast.storage import invocations
from holdfast.storage.blobs import Blobs
from holdfast.storage.database import StorageError
from holdfast.storage.invocations import Invocations
from holdfast.storage.journal import Journal
from holdfast.storage.objects import Objects
from holdfast.storage.post import Post
from holdfast.storage.promises import Promises
from holdfast.storage.state import State
from holdfast.storage.timers import Timers
from holdfast.storage.waiters import Waiters
from holdfast.timers.service import TimerService
from tests.simulation.run import Simulation

SEEDS_MAX = 3_000
Mutant = Callable[[], AbstractContextManager[object]]
MUTANTS: dict[str, Mutant] = {}

_apply: Any = import_module("holdfast.core.apply")


def mutant(make: Mutant) -> Mutant:
    MUTANTS[make.__name__] = make
    return make


@mutant
def acts_before_the_commit() -> AbstractContextManager[object]:
    commit = PartitionLoop._commit

    def hasty(self: PartitionLoop) -> None:
        answers, actions = self._answers, self._actions
        self._answers, self._actions = [], []
        for on_answer, answer in answers:
            on_answer(answer)
        for action in actions:
            self._perform[type(action)](action)
        commit(self)

    return patch.object(PartitionLoop, "_commit", hasty)


@mutant
def parks_though_the_result_is_here() -> AbstractContextManager[object]:
    return patch.object(attempts, "is_satisfied", lambda *_: False)


@mutant
def serves_the_youngest_first() -> AbstractContextManager[object]:
    dequeue = Objects.dequeue

    def last_in(self: Objects, object_: str) -> Any:
        self._inbox.flush()
        found = self._database.first(
            "SELECT max(sequence), row FROM inbox WHERE object = ? AND row IS NOT NULL", (object_,)
        )
        if found is None or found[0] is None:
            return dequeue(self, object_)
        self._inbox.pending[object_, found[0]] = None  # type: ignore[index]
        return found[1]

    return patch.object(Objects, "dequeue", last_in)


@mutant
def forgets_idempotency() -> AbstractContextManager[object]:
    accept = lifecycle.accept

    def anew(step: Any, request: Any, waiter: Any = None) -> Any:
        request.fresh = True
        return accept(step, request, waiter)

    return _all(patch.object(lifecycle, "accept", anew), patch.object(post, "accept", anew))


@mutant
def takes_messages_twice() -> AbstractContextManager[object]:
    def deliver(step: Any, record: Deliver) -> Received:
        for message, row in zip(record.messages, record.rows, strict=True):
            if isinstance(message, StartInvocation):
                message.request.row = row
            post.handle(step, message)
        last = record.first_sequence + len(record.messages) - 1
        step.tables.post.set_received(record.source, last)
        return Received(last)

    return patch.dict(_apply._HANDLERS, {Deliver: deliver})


@mutant
def drops_a_message_too_many() -> AbstractContextManager[object]:
    drop = Post.drop
    return patch.object(Post, "drop", lambda self, to, upto: drop(self, to, upto + 1))


@mutant
def never_sends_again() -> AbstractContextManager[object]:
    return patch.object(PostOffice, "start", lambda self: None)


@mutant
def keeps_contents_nobody_holds() -> AbstractContextManager[object]:
    return _all(
        patch.object(Blobs, "drop", lambda *_: None), patch.object(Blobs, "drop_range", lambda *_: None)
    )


@mutant
def deletes_contents_others_hold() -> AbstractContextManager[object]:
    def sweep(self: Blobs, given_up: set[bytes]) -> None:
        self._database.executemany("DELETE FROM blob WHERE digest = ?", [(digest,) for digest in given_up])

    return patch.object(Blobs, "_sweep", sweep)


@mutant
def fires_timers_again() -> AbstractContextManager[object]:
    def take(self: Timers, fire_at: int, kind: int, row: Row, completion_id: int) -> bool:
        self._buffer.pending[(fire_at, row, kind, completion_id)] = None  # type: ignore[index]
        return True

    submit = PartitionLoop.submit

    def twice(self: PartitionLoop, record: Any, on_answer: Any = None) -> None:
        submit(self, record, on_answer)
        if isinstance(record, TimerFired):
            submit(self, record)

    return _all(patch.object(Timers, "take", take), patch.object(PartitionLoop, "submit", twice))


@mutant
def fires_timers_early() -> AbstractContextManager[object]:
    due = Timers.due
    return patch.object(Timers, "due", lambda self, at, limit: due(self, at + 300, limit))


@mutant
def loses_timers_armed_while_firing() -> AbstractContextManager[object]:
    def fired(self: TimerService, _: object) -> None:
        self._firing = False
        self._wake_at = None

    return patch.object(TimerService, "_fired", fired)


@mutant
def delivers_results_twice() -> AbstractContextManager[object]:
    def complete(step: Any, message: Complete) -> None:
        invocation = step.tables.invocations.find(message.destination)
        if invocation is not None and not isinstance(invocation.status, Completed):
            note = Notification(message.kind, message.completion_id, message.result)
            journal.notify(step, invocation, note)
            journal.notify(step, invocation, note)

    return patch.dict(post._HANDLERS, {Complete: complete})


@mutant
def acknowledges_steps_it_does_not_keep() -> AbstractContextManager[object]:
    proposed = attempts._HANDLERS[RunProposal]

    def forgetful(step: Any, invocation: Invocation, item: Any) -> bool:
        if not item.ack:
            return proposed(step, invocation, item)
        step.actions.append(Acknowledge(invocation.row, invocation.attempt, item.completion_id))
        return False

    return patch.dict(attempts._HANDLERS, {RunProposal: forgetful})


@mutant
def writes_state_with_the_next_commit() -> AbstractContextManager[object]:
    flush, committed = State.flush, State.committed
    late: dict[int, bool] = {}

    def flushed(self: State) -> None:
        late[id(self)] = not late.get(id(self), False)
        if not late[id(self)]:
            flush(self)

    def kept(self: State) -> None:
        if not late.get(id(self), False):
            committed(self)

    return _all(patch.object(State, "flush", flushed), patch.object(State, "committed", kept))


@mutant
def forgets_state_in_the_cache() -> AbstractContextManager[object]:
    def clear_all(self: State, object_: str) -> None:
        for key in tuple(self.all(object_)):
            self._buffer.pending[object_, key] = None

    return patch.object(State, "clear_all", clear_all)


@mutant
def does_not_wake_for_a_cancellation() -> AbstractContextManager[object]:
    wakes = journal._wakes

    def deaf(step: Any, invocation: Any, status: Any, notification: Any) -> bool:
        return notification.ref != 1 and wakes(step, invocation, status, notification)

    return patch.object(journal, "_wakes", deaf)


@mutant
def wakes_for_the_first_leaf_only() -> AbstractContextManager[object]:
    def awaits(tree: Any, ref: Any, *, is_signal: bool) -> bool:
        return bool(
            ref in (tree.names if isinstance(ref, str) else tree.signals if is_signal else tree.completions)
        )

    return patch.object(journal, "awaits", awaits)


@mutant
def counts_failures_from_the_start_again() -> AbstractContextManager[object]:
    failed = attempts._HANDLERS[AttemptError]

    def forgiving(step: Any, invocation: Invocation, item: Any) -> bool:
        invocation.retry_count = 0
        return failed(step, invocation, item)

    return patch.dict(attempts._HANDLERS, {AttemptError: forgiving})


@mutant
def keeps_the_lock_to_itself() -> AbstractContextManager[object]:
    return patch.object(lifecycle, "pass_lock_on", lambda step, object_: step.tables.objects.unlock(object_))


@mutant
def lends_the_lock_to_two() -> AbstractContextManager[object]:
    return patch.object(Objects, "holder", lambda self, object_: None)


@mutant
def leaves_the_killed_in_the_inbox() -> AbstractContextManager[object]:
    return _all(
        patch.object(operate, "withdraw", lambda *_: None), patch.object(calls, "withdraw", lambda *_: None)
    )


@mutant
def completes_promises_again() -> AbstractContextManager[object]:
    get, seen = Promises.get, set[int]()

    def every_other(self: Promises, object_: str, key: str) -> Any:
        found = get(self, object_, key)
        seen.add(len(seen))
        return None if len(seen) % 2 else found

    return patch.object(Promises, "get", every_other)


@mutant
def tells_one_listener_only() -> AbstractContextManager[object]:
    take = Promises.take_listeners
    return patch.object(Promises, "take_listeners", lambda self, o, k: take(self, o, k)[:1])


@mutant
def forgets_those_who_attached() -> AbstractContextManager[object]:
    take = Waiters.take
    return patch.object(Waiters, "take", lambda self, row: take(self, row)[1:])


@mutant
def does_not_recover() -> AbstractContextManager[object]:
    return patch.dict(_apply._HANDLERS, {Recover: lambda step, record: None})


@mutant
def recovers_without_counting_the_journal() -> AbstractContextManager[object]:
    def count(self: Invocations, row: Row) -> tuple[int, int]:
        found = self.get(row)
        return (0, 0) if found is None else (found.length, found.commands)

    return patch.object(Invocations, "_journal_size", count)


@mutant
def forgets_the_batch_of_a_failed_commit() -> AbstractContextManager[object]:
    failed = PartitionLoop._commit_failed

    def forgetful(self: PartitionLoop, error: StorageError) -> None:
        self.tables.committed()
        failed(self, error)

    return patch.object(PartitionLoop, "_commit_failed", forgetful)


@mutant
def replays_too_little() -> AbstractContextManager[object]:
    frames = Journal.frames

    def short(self: Journal, row: Row) -> list[tuple[int, bytes]]:
        found = frames(self, row)
        return found[:-1] if len(found) > 3 and found[-1][0] >= 0x8000 else found

    return patch.object(Journal, "frames", short)


@mutant
def uses_rows_again() -> AbstractContextManager[object]:
    put = Invocations.put

    def unreserved(self: Invocations, invocation: Invocation) -> None:
        known = self._meta.get("row_limit", 1)
        put(self, invocation)
        self._meta.set("row_limit", known)

    return patch.object(Invocations, "put", unreserved)


@mutant
def tells_callers_nothing_of_a_kill() -> AbstractContextManager[object]:
    finish = lifecycle.finish

    def silent(step: Any, invocation: Invocation, result: Any) -> None:
        invocation.waiter = None
        finish(step, invocation, result)

    return patch.object(operate, "finish", silent)


@mutant
def kills_only_the_caller() -> AbstractContextManager[object]:
    return patch.object(Journal, "open_calls", lambda self, row: [])


@mutant
def swallows_signals_of_those_who_wait_in_line() -> AbstractContextManager[object]:
    deliver = calls.deliver_signal

    def picky(step: Any, id_: InvocationId, signal: Any, result: Any) -> None:
        target = step.tables.invocations.find(id_)
        if target is not None and isinstance(target.status, Invoked):
            deliver(step, id_, signal, result)

    return patch.object(operate, "deliver_signal", picky)


@mutant
def drops_mutations_in_line() -> AbstractContextManager[object]:
    return patch.object(Objects, "enqueue", _unless_mutation(Objects.enqueue))


@mutant
def sweeps_what_still_runs() -> AbstractContextManager[object]:
    def sweep(step: Any, record: Any) -> None:
        for row in record.rows:
            invocation = step.tables.invocations.get(row + 1)
            if invocation is not None and not isinstance(invocation.status, Completed):
                step.tables.journal.delete(row + 1)

    return patch.dict(_apply._HANDLERS, {Sweep: sweep})


@mutant
def copies_a_prefix_without_its_completions() -> AbstractContextManager[object]:
    prefix = restart._prefix

    def commands_only(entries: Any, keep: int) -> Any:
        found = prefix(entries, keep)
        return found if isinstance(found, Refused) else found[:keep]

    return patch.object(restart, "_prefix", commands_only)


@mutant
def keeps_what_a_step_says_apart_from_its_result() -> AbstractContextManager[object]:
    """Metadata is stored when it comes, as if the frame it belongs to were sure to come as well."""

    def at_once(of: Any, type_: int, flags: int, body: bytes) -> None:
        hold(of, type_, flags, body)
        assert of.held is not None
        step_metadata = of.partition.tables.step_metadata
        known = step_metadata.get(of.row, of.held.result_completion_id)
        if known is not None:
            both = merged(known[1], of.held.json)
            step_metadata.put(of.row, of.held.result_completion_id, known[0], both)

    return patch.dict(translate.TRANSLATIONS, {int(MessageType.STEP_METADATA): at_once})


@mutant
def forgets_what_steps_said_after_a_restart() -> AbstractContextManager[object]:
    """The flag of a row is lost on its way from the disk."""
    decode = invocations.decode_invocation

    def without(stored: Any) -> Invocation:
        invocation = decode(stored)
        invocation.has_step_metadata = False
        return invocation

    return patch.object(invocations, "decode_invocation", without)


@mutant
def pushes_what_is_forgotten() -> AbstractContextManager[object]:
    """Found by this simulation: resumed and killed in one batch, with nothing to be kept."""
    forget = lifecycle.forget

    def too_late(step: Any, invocation: Invocation) -> None:
        if invocation.retention.completion_ms == 0:
            invocation.attempt -= 1
        forget(step, invocation)

    return patch.object(lifecycle, "forget", too_late)


@mutant
def finds_no_alias() -> AbstractContextManager[object]:
    find = Invocations.find

    def by_row(self: Invocations, id_: InvocationId) -> Invocation | None:
        found = find(self, id_)
        return found if found is None or found.idempotency_key is None else None

    return patch.object(Invocations, "find", by_row)


def _unless_mutation(enqueue: Callable[[Objects, str, Any], int]) -> Callable[[Objects, str, Any], int]:
    return lambda self, object_, waiting: (
        -1 if isinstance(waiting, Mutation) else enqueue(self, object_, waiting)
    )


@contextmanager
def _all(*patches: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for one in patches:
            stack.enter_context(one)
        yield


def caught(name: str, seeds: int = SEEDS_MAX, first: int = 1) -> tuple[int, str] | None:
    """The first seed at which a mutant breaks a law, and how; None when it survives."""
    with MUTANTS[name]():
        for seed in range(first, first + seeds):
            try:
                Simulation(seed).run()
            except Exception as error:
                return seed, f"{type(error).__name__}: {error}"
    return None


def main(arguments: list[str]) -> int:
    seeds = int(arguments[0]) if arguments else SEEDS_MAX
    survived = 0
    for name in MUTANTS:
        found = caught(name, seeds)
        survived += found is None
        told = "SURVIVED" if found is None else f"seed {found[0]:3}: {found[1][:140]}"
        print(f"{name:42} {told}", flush=True)
    print(f"{len(MUTANTS) - survived} caught of {len(MUTANTS)}")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
