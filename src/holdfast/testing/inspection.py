"""Reads the engine for tests: journals, state, invocations, and why nothing goes on.

Everything is read between commits, so it is what a crash would leave.
"""

from __future__ import annotations

from typing import TypeAlias, cast

from holdfast.core.model import (
    Activity,
    Completed,
    Failure,
    Inboxed,
    Invocation,
    InvocationId,
    Invoked,
    Paused,
    Row,
    Scheduled,
    Suspended,
    Target,
)
from holdfast.partition.loop import PartitionLoop
from holdfast.protocol.errors import InvalidId
from holdfast.protocol.ids import decode_invocation_id, encode_invocation_id
from holdfast.protocol.versions import VERSION_MAX
from holdfast.sdk.errors import UsageError
from holdfast.sdk.journal_file import StoredEntry, StoredJournal
from holdfast.server.node import Node
from holdfast.storage.step_metadata import step_metadata_of
from holdfast.testing.journal import InvocationView, Journal, decoded

ENTRIES_SHOWN_MAX = 5

Found: TypeAlias = tuple[PartitionLoop, Invocation]
Place: TypeAlias = tuple[PartitionLoop, Invocation | None]


def all_invocations(node: Node) -> list[Found]:
    """Every invocation that is kept, oldest first within a partition."""
    found: list[Found] = []
    for partition in node.partitions:
        invocations = partition.tables.invocations
        for (row,) in partition.tables.database.rows("SELECT row FROM invocation ORDER BY row"):
            invocation = invocations.get(cast(Row, row))
            if invocation is not None:
                found.append((partition, invocation))
    return found


def invocation_id(text: str) -> InvocationId:
    """The id in its printed form.

    Raises:
        UsageError: `invocation_id`, it is none.
    """
    try:
        return InvocationId(decode_invocation_id(text))
    except InvalidId as error:
        raise UsageError("invocation_id", f"{text!r} is not an invocation id: {error.message}") from None


def by_id(node: Node, text: str) -> Place:
    """The invocation with a printed id, and the partition that owns the id.

    Raises:
        UsageError: `invocation_id`, it is none.
    """
    id_ = invocation_id(text)
    partition = node.engine.owner(id_)
    return partition, partition.tables.invocations.find(id_)


def latest(node: Node, target: str) -> Found:
    """The newest invocation of `Service/handler` or `Service/key/handler`.

    Raises:
        UsageError: `no_invocation`, there is none; lists what there is.
    """
    known = all_invocations(node)
    of_target = [found for found in known if str(found[1].target) == target]
    if not of_target:
        there = ", ".join(sorted({str(invocation.target) for _, invocation in known})) or "none at all"
        raise UsageError("no_invocation", f"there is no invocation of {target}; there are those of: {there}")
    return max(of_target, key=lambda found: (found[1].created_at, found[1].row))


def journal_of(partition: PartitionLoop, invocation: Invocation) -> Journal:
    """The journal as it is stored, with the object's state."""
    target = invocation.target
    state = {} if target.key is None else partition.tables.state.all(target.object)
    told = step_metadata_of(partition.tables.database.rows, invocation.row)
    return Journal(
        StoredJournal(
            service=target.service,
            handler=target.handler,
            key=target.key,
            invocation_id=encode_invocation_id(invocation.id),
            protocol_version=invocation.protocol_version or VERSION_MAX,
            random_seed=int.from_bytes(invocation.id[16:24], "big"),
            state={key.decode("utf-8", "replace"): value for key, value in state.items()},
            entries=tuple(
                StoredEntry(type_, body) for type_, body in partition.tables.journal.frames(invocation.row)
            ),
        ),
        {index: described.metadata for index, described in told.items()},
    )


def state_of(node: Node, service: str, key: str) -> dict[str, object]:
    """An object's state, decoded."""
    partition = node.engine.owner(node.engine.owner_of_key(key))
    object_ = f"{service}/{key}"
    return {
        name.decode("utf-8", "replace"): decoded(value)
        for name, value in partition.tables.state.all(object_).items()
    }


def view(invocation: Invocation) -> InvocationView:
    """An invocation as a test sees it."""
    target: Target = invocation.target
    failure = None if invocation.failure is None else invocation.failure.message
    if isinstance(invocation.status, Completed):
        result = invocation.status.result
        failure = result.message if isinstance(result, Failure) else None
    return InvocationView(
        id=encode_invocation_id(invocation.id),
        target=str(target),
        service=target.service,
        handler=target.handler,
        key=target.key,
        status=_status(invocation),
        failure=failure,
        retry_count=invocation.retry_count,
        entries=invocation.length,
    )


def _status(invocation: Invocation) -> str:
    match invocation.status:
        case Scheduled():
            return "scheduled"
        case Inboxed():
            return "inboxed"
        case Invoked():
            return "backing-off" if invocation.activity is Activity.BACKING_OFF else "running"
        case Suspended():
            return "suspended"
        case Paused():
            return "paused"
        case Completed():
            return "completed"


def why_stuck(node: Node) -> str:
    """What everything that has not ended waits for, for a person to read."""
    lines: list[str] = []
    for partition, invocation in all_invocations(node):
        if isinstance(invocation.status, Completed):
            continue
        seen = view(invocation)
        lines.append(f"  {seen.target} ({seen.id}) is {seen.status}")
        if seen.failure:
            lines.append(f"    after {seen.retry_count} failed attempts; the last: {seen.failure}")
        entries = journal_of(partition, invocation)
        if len(entries) > ENTRIES_SHOWN_MAX:
            lines.append(f"    ... {len(entries) - ENTRIES_SHOWN_MAX} earlier entries")
        lines += [f"    {entry}" for entry in entries[-ENTRIES_SHOWN_MAX:]]
    return "\n".join(lines) if lines else "  no invocation is under way"
