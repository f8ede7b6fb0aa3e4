"""How a query is refused."""

from __future__ import annotations


class QueryError(Exception):
    """A query that gets no answer. `status` is HTTP's: 400 it cannot be parsed or is no query, 429 too many
    queries, 500 otherwise (protocol, "SQL")."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
