"""The context of the handler that is running, for code that is not handed one."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar, overload

from holdfast.sdk.errors import UsageError
from holdfast.sdk.steps import set_current

if TYPE_CHECKING:
    from holdfast.sdk.context.base import Context

C = TypeVar("C", bound="Context")

_current: "ContextVar[Context | None]" = ContextVar("holdfast_context", default=None)


def enter(context: "Context") -> None:
    """From here on, in this task and those it starts, `current()` is this one."""
    _current.set(context)


def leave() -> None:
    """A step's body begins: it has no context."""
    _current.set(None)


def current_or_none() -> "Context | None":
    """The context, None outside a handler and inside a step."""
    return _current.get()


@overload
def current() -> "Context": ...
@overload
def current(kind: type[C]) -> C: ...
def current(kind: type[C] | None = None) -> "C | Context":
    """The context of the running handler.

    Args:
        kind: the class it must be, such as `ObjectContext`; for state, promises and the key.
    Raises:
        UsageError: `no_context`, outside a handler (a step counts as outside); `wrong_context`, the handler's
            is of another kind.
    """
    context = _current.get()
    if context is None:
        raise UsageError(
            "no_context",
            "holdfast.current() was called outside a handler (a step's body counts as outside); call it in "
            "handler code and hand what is needed to the step",
        )
    if kind is not None and not isinstance(context, kind):
        raise UsageError(
            "wrong_context",
            f"holdfast.current({kind.__name__}) was called in {context.handler_name}, whose context is a "
            f"{type(context).__name__}",
        )
    return context


set_current(current_or_none)
