"""Side effects that tests count: a line each, `invocation id, tab, label` (see `harness.effects`)."""

import os
from pathlib import Path

import holdfast
from holdfast import Context

EFFECTS = Path(os.environ.get("SIDE_EFFECTS_FILE", os.devnull))


def note(invocation_id: str, label: str) -> str:
    """Append one side effect, with one write."""
    with EFFECTS.open("ab", buffering=0) as file:
        file.write(f"{invocation_id}\t{label}\n".encode())
    return label


def count(invocation_id: str, label: str) -> int:
    """How often it happened so far."""
    return EFFECTS.read_text().splitlines().count(f"{invocation_id}\t{label}")


def note_attempt(invocation_id: str) -> int:
    """One more attempt; how many there were. For handlers too, that are to behave differently each time."""
    with holdfast.allow_unrecorded("it is replays that are counted"):
        note(invocation_id, "attempt")
        return count(invocation_id, "attempt")


async def mark(label: str, ctx: Context | None = None) -> str:
    """A step that leaves a mark."""
    ctx = ctx or holdfast.current()
    return await ctx.run(label, note, ctx.invocation_id, label)
