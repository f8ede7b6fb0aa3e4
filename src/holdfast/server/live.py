"""What only memory knows of running attempts, for the SQL views."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from holdfast.core.model import Row
from holdfast.invoker.attempt import Attempt
from holdfast.invoker.runner import Runner
from holdfast.invoker.translate import await_tree
from holdfast.protocol.errors import ProtocolError
from holdfast.protocol.messages import AwaitingOnMessage
from holdfast.query.runner import LiveAttempt
from holdfast.storage.awaiting_json import encode_await


def live_attempts(runner: Runner) -> Iterable[LiveAttempt]:
    """A snapshot of the attempts under way."""
    return [_live(attempt) for attempt in runner.running]


def live_attempts_at(runner: Runner, places: Collection[tuple[int, Row]] | None) -> Iterable[LiveAttempt]:
    """The same of the invocations at these partitions and rows; of all, without what they wait for, when
    `places` is None: reading a thousand trees would hold up the loop."""
    if places is None:
        return [_live(attempt, with_awaiting=False) for attempt in runner.running]
    found = [runner.attempt_at(partition, row) for partition, row in places]
    return [_live(attempt) for attempt in found if attempt is not None]


def _live(attempt: Attempt, *, with_awaiting: bool = True) -> LiveAttempt:
    return LiveAttempt(
        id=attempt.invocation.id,
        # One that has ended stays until its peer closes; what came of it is with the invocation by then.
        retry_count=attempt.invocation.retry_count if attempt.finished else attempt.retry_count,
        in_flight=not attempt.finished,
        last_start_at=attempt.started_ms,
        deployment_id=attempt.deployment.id,
        server=attempt.server,
        awaiting_json=_awaiting(attempt.awaiting) if with_awaiting else None,
    )


def _awaiting(hint: bytes | None) -> str | None:
    """The last AwaitingOn frame as JSON; it is only a hint, so one that cannot be read is none."""
    if hint is None:
        return None
    try:
        tree = AwaitingOnMessage.decode(hint).awaiting_on
    except ProtocolError:
        return None
    return None if tree is None else encode_await(await_tree(tree))
