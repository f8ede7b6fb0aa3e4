"""Metadata of steps: kept beside the journal with the run command or its result, for people to read.

It comes in one item with what it belongs to (`Described`), so a result and what is said of it are stored
together or not at all: a step that is run once more after a crash counts once. Two sources make one object,
what was known when the step was issued and what its result tells; the keys of the later one win. A second
proposal of the same step changes nothing, as with its result.

An invocation's row says whether it has any (`has_step_metadata`). All the others are spared every look-up.
"""

from __future__ import annotations

import msgspec

from holdfast.core.commands import Described, RunProposal
from holdfast.core.model import JOURNAL_ENTRIES_MAX, STEP_METADATA_BYTES_MAX, Invocation
from holdfast.core.step import Step

_Members = dict[str, msgspec.Raw]
_members = msgspec.json.Decoder(_Members)
_encode = msgspec.json.Encoder().encode


def keep(step: Step, invocation: Invocation, item: Described) -> str | None:
    """Store the metadata of an item that is applied next; answers why not, when the service broke a rule."""
    tables, row, completion_id = step.tables, invocation.row, item.completion_id
    metadata, index = item.metadata, invocation.length
    if not 0 < completion_id < JOURNAL_ENTRIES_MAX:
        return f"step metadata names completion id {completion_id}, which no step of a journal can have"
    if isinstance(item.item, RunProposal):
        if completion_id in step.refs(invocation).completions:
            return None
        known = tables.step_metadata.get(row, completion_id) if invocation.has_step_metadata else None
        if known is None:
            found = tables.journal.run_index(row, index, completion_id)
            if found is None:
                return f"step metadata names completion id {completion_id}, but no step of the journal has it"
            index = found
        else:
            index, earlier = known
            metadata = merged(earlier, metadata)
    if len(metadata) > STEP_METADATA_BYTES_MAX:
        return (
            f"the metadata of step {completion_id} is {len(metadata)} bytes, at most "
            f"{STEP_METADATA_BYTES_MAX} are kept; send less"
        )
    tables.step_metadata.put(row, completion_id, index, metadata)
    if not invocation.has_step_metadata:
        invocation.has_step_metadata = True
        tables.invocations.put(invocation)
    return None


def merged(earlier: bytes, later: bytes) -> bytes:
    """One JSON object out of two; the later one's keys win."""
    return _encode({**_members.decode(earlier), **_members.decode(later)})
