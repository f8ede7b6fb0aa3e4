"""The context variable behind `current()`, apart from the classes so that these may set it."""

from contextvars import ContextVar

from holdfast.sdk.context_kinds import ContextBase

_current: ContextVar[ContextBase | None] = ContextVar("holdfast_context", default=None)


def enter(context: ContextBase) -> None:
    """From here on, in this task and those it starts, `current()` is this one."""
    _current.set(context)


def leave() -> None:
    """A step's body begins: it has no context."""
    _current.set(None)


def current_or_none() -> ContextBase | None:
    """The context, None outside a handler and inside a step."""
    return _current.get()
