"""Runs that end for good: errors of the agent's own that every replay would raise again."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

from pydantic_ai.exceptions import AgentRunError, UnexpectedModelBehavior, UsageLimitExceeded

from holdfast.sdk.errors import TerminalError

FOR_GOOD = (UnexpectedModelBehavior, UsageLimitExceeded)
"""What the run makes of answers that are journaled: of the same answers, always the same."""


@contextmanager
def ends_for_good() -> Generator[None]:
    """What is raised inside and will be raised by every replay is a `TerminalError` too.

    It stays what it is, so `except UsageLimitExceeded` goes on to work in handlers.
    """
    try:
        yield
    except FOR_GOOD as error:
        if isinstance(error, TerminalError):
            raise
        raise _terminal(error) from error


_kinds: dict[type[AgentRunError], type[TerminalError]] = {}
"""Bounded: as many as Pydantic AI has classes."""


def _terminal(error: AgentRunError) -> TerminalError:
    kind = _kinds.get(type(error))
    if kind is None:
        made: object = type(type(error).__name__, (TerminalError, type(error)), {})
        kind = _kinds[type(error)] = cast("type[TerminalError]", made)
    terminal = kind.__new__(kind)
    terminal.__dict__.update(error.__dict__)
    TerminalError.__init__(terminal, str(error))
    return terminal
