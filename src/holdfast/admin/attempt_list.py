"""The attempts of an invocation: those that are stored, the one under way, the only one there was.

Stored are attempts that did not finish the handler at the first go. What is stored of an error is short; its
stack trace is with the invocation's events, where the same error again is not repeated.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from holdfast.admin.invocation_list import HAS_ATTEMPTS, Found, entry_of_command
from holdfast.admin.invocation_shapes import Attempt, AttemptError, Outcome, instant
from holdfast.core.model import AttemptOutcome
from holdfast.query.connection import Connection
from holdfast.query.reads import Place
from holdfast.storage.attempts import ATTEMPTS_PER_INVOCATION_MAX

STACKTRACE_CHARACTERS_MAX = 16 * 1024

_OUTCOMES: dict[int, Outcome] = {
    AttemptOutcome.SUSPENDED: "suspended",
    AttemptOutcome.FAILED: "failed",
    AttemptOutcome.COMPLETED: "completed",
    AttemptOutcome.PAUSED: "paused",
    AttemptOutcome.ABORTED: "aborted",
}


def read_attempts(connection: Connection, found: Found) -> list[Attempt]:
    """The latest attempts, oldest first."""
    s = found.stored
    attempts = _stored(connection, found.place) if s.flags & HAS_ATTEMPTS else []
    if s.attempt_started_at is not None:
        number = attempts[-1].number + 1 if attempts else 1
        began = instant(s.attempt_started_at)
        attempts.append(Attempt(number, began, None, "running", s.deployment, None))
    elif not attempts and s.completed_at and s.running_at is not None and not s.journal_purged:
        began, ended = instant(s.running_at), instant(s.completed_at)
        attempts.append(Attempt(1, began, ended, "completed", s.deployment, None))
    return attempts


def _stored(connection: Connection, place: Place) -> list[Attempt]:
    partition, row = place
    rows = list(
        connection.select(
            "SELECT number, started_at, ended_at, outcome, deployment, error "
            f"FROM p{partition}.attempt WHERE row = ? ORDER BY number",
            (row,),
        )
    )
    events = _Events(connection, place) if any(row[-1] is not None for row in rows) else None
    attempts: list[Attempt] = []
    # People count from 1 and without gaps; of more attempts than are kept, the engine's own numbers are told.
    numbers_told = len(rows) >= ATTEMPTS_PER_INVOCATION_MAX
    for ordinal, (number, started_at, ended_at, outcome, deployment, error) in enumerate(rows, 1):
        attempt = Attempt(
            number if numbers_told else ordinal,
            instant(started_at),
            instant(ended_at),
            _OUTCOMES[outcome],
            deployment,
            None,
        )
        if error is not None and events is not None:
            attempt.error = events.whole(msgspec.json.decode(error), ended_at)
        attempts.append(attempt)
    return attempts


class _Events:
    """Finds the event of an error: the latest by then, if it says the same."""

    def __init__(self, connection: Connection, place: Place) -> None:
        partition, row = place
        self._connection = connection
        self._place = place
        self._entries: dict[int, int | None] = {}
        self._failures = [
            (at, cast("dict[str, Any]", msgspec.json.decode(detail)))
            for at, detail in connection.select(
                f"SELECT at, detail FROM p{partition}.event WHERE row = ? AND type = 'TransientError' "
                "ORDER BY number",
                (row,),
            )
        ]

    def whole(self, error: list[Any], ended_at: int) -> AttemptError:
        code, message, doc_code, command = error
        stacktrace: str | None = None
        for at, detail in reversed(self._failures):
            if at <= ended_at:
                text: str = detail.get("error_message", "")
                if text.startswith(message):
                    message, stacktrace = text, detail.get("error_stacktrace")
                break
        if stacktrace is not None:
            stacktrace = stacktrace[:STACKTRACE_CHARACTERS_MAX]
        return AttemptError(code, message, doc_code or None, stacktrace, self._entry(command))

    def _entry(self, command: int | None) -> int | None:
        if command is None:
            return None
        if command not in self._entries:
            self._entries[command] = entry_of_command(self._connection, self._place, command)
        return self._entries[command]
