"""What a row of `sys_invocation` says, in the words that commands use."""

from __future__ import annotations

from holdfast.cli.admin_client import Row


def status_of(row: Row) -> str:
    """A completed one's is its result: succeeded or failed."""
    if row.get("status") == "completed":
        return "failed" if row.get("completion_result") == "failure" else "succeeded"
    return str(row.get("status", "unknown"))


def failure_of(row: Row) -> str:
    """In one line; empty when there is none."""
    said = row.get("completion_failure") or row.get("last_failure")
    return str(said).split("\n", 1)[0] if said else ""
