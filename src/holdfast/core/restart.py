"""Restart as new: run a completed invocation again, from its input or from a prefix of its journal.

The copy gets its own id, since the old one keeps its result. A prefix is whole commands with their
completions: a command in it that was never completed would wait for something that went to the old
invocation, so it is refused. Awakeables and signals belong to the old id and are not copied.
"""

from __future__ import annotations

from holdfast.core.lifecycle import begin, find_live
from holdfast.core.model import (
    INVOKED,
    Completed,
    Inboxed,
    Invocation,
    NotificationKind,
    Origin,
    OriginKind,
    Row,
    Scheduled,
    TargetKind,
)
from holdfast.core.operate import NOT_COMPLETED, NOT_FOUND, NOT_STARTED
from holdfast.core.outcome import Refused, Restarted
from holdfast.core.records import RestartAsNew
from holdfast.core.step import Step
from holdfast.core.tables import Entry

WORKFLOW = Refused(422, "workflow", "a workflow run cannot be restarted: its key runs once")
JOURNAL_GONE = Refused(410, "journal_gone", "the journal is not retained any more")
SEEDED_BY_ID = Refused(
    422,
    "prefix_protocol",
    "its protocol version 5 draws randomness from the invocation id, so a copy could not replay the prefix; "
    "restart it from its input, or upgrade the deployment to protocol version 6",
)
OUT_OF_RANGE = Refused(400, "prefix_range", "the journal has fewer commands than the prefix asks for")
INCOMPLETE = Refused(400, "prefix_incomplete", "the prefix holds a command that was never completed")

_FIRST_NOTIFICATION_TYPE = 0x8000


def apply_restart(step: Step, record: RestartAsNew) -> Restarted | Refused:
    """Accept a copy of a completed invocation."""
    old = find_live(step, record.id)
    if old is None:
        return NOT_FOUND
    if isinstance(old.status, Scheduled | Inboxed):
        return NOT_STARTED
    if not isinstance(old.status, Completed):
        return NOT_COMPLETED
    if old.target.kind is TargetKind.WORKFLOW_RUN:
        return WORKFLOW
    if record.keep_commands > 1 and old.protocol_version is not None and old.protocol_version < 6:
        return SEEDED_BY_ID
    entries = [] if old.journal_purged else step.tables.journal.entries(old.row)
    if not entries:
        return JOURNAL_GONE
    prefix = _prefix(entries, record.keep_commands)
    if isinstance(prefix, Refused):
        return prefix
    journal = step.tables.journal
    journal.append_input(record.new_row, prefix[0].raw, step.at)
    commands, described = 0, False
    for index, entry in enumerate(prefix):
        commands += entry.type < _FIRST_NOTIFICATION_TYPE
        if index > 0:
            journal.copy(record.new_row, index, entry, step.at)
        if old.has_step_metadata:
            described |= _copy_metadata(step, old, entry, record.new_row, index)
    invocation = Invocation(
        row=record.new_row,
        id=record.new_id,
        target=old.target,
        status=INVOKED,
        created_at=step.at,
        modified_at=step.at,
        retention=old.retention,
        origin=Origin(OriginKind.RESTART, old.id, str(old.target)),
        deployment=record.deployment,
        protocol_version=record.protocol_version,
        length=len(prefix),
        commands=commands,
        progress_at=step.at,
        scope=old.scope,
        limit_key=old.limit_key,
        trace_parent=old.trace_parent,
        has_step_metadata=described,
    )
    begin(step, invocation)
    return Restarted(record.new_id)


def _copy_metadata(step: Step, old: Invocation, entry: Entry, new_row: Row, index: int) -> bool:
    """What was said of a step that is kept is kept too; answers whether there was anything."""
    copied = False
    for completion_id in entry.completion_ids:
        known = step.tables.step_metadata.get(old.row, completion_id)
        if known is not None:
            step.tables.step_metadata.put(new_row, completion_id, index, known[1])
            copied = True
    return copied


def _prefix(entries: list[Entry], keep_commands: int) -> list[Entry] | Refused:
    """The first `keep_commands` commands, then their completions, each in journal order."""
    commands = [e for e in entries if e.type < _FIRST_NOTIFICATION_TYPE]
    if not 1 <= keep_commands <= len(commands):
        return OUT_OF_RANGE
    kept = commands[:keep_commands]
    wanted = {completion for command in kept for completion in command.completion_ids}
    completions = [
        e
        for e in entries
        if e.type >= _FIRST_NOTIFICATION_TYPE and e.type != NotificationKind.SIGNAL and e.ref in wanted
    ]
    if len(completions) < len(wanted):
        return INCOMPLETE
    return kept + completions
