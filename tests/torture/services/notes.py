"""The effects file: one append-only write per line, `invocation id, tab, label` (see `harness.effects`)."""

import os
import secrets
from pathlib import Path

EFFECTS = Path(os.environ.get("SIDE_EFFECTS_FILE", os.devnull))


def note(invocation_id: str, label: str) -> str:
    with EFFECTS.open("ab", buffering=0) as file:
        file.write(f"{invocation_id}\t{label}\n".encode())
    return label


def begin(invocation_id: str) -> str:
    """A token for this attempt, written down; different each time, and never journaled."""
    token = secrets.token_hex(4)
    note(invocation_id, f"begin {token}")
    return token
