"""Runs that end for good: errors of the agent's own that every replay would raise again."""

from typing import cast

from pydantic_ai.exceptions import AgentRunError, UnexpectedModelBehavior, UsageLimitExceeded

from holdfast.sdk.errors import TerminalError

FOR_GOOD = (UnexpectedModelBehavior, UsageLimitExceeded)
"""What the run makes of answers that are journaled: of the same answers, always the same."""


def for_good(error: BaseException) -> BaseException:
    """The error to raise: what every replay will raise again is a `TerminalError` too.

    It stays what it is, so `except UsageLimitExceeded` goes on to work in handlers.
    """
    if isinstance(error, FOR_GOOD) and not isinstance(error, TerminalError):
        return _terminal(error)
    return error


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
    return terminal.with_traceback(error.__traceback__)
