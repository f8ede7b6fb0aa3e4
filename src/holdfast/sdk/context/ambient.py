"""The context of the handler that is running, for code that is not handed one."""

from typing import TypeVar, cast, overload

from holdfast.sdk.context.base import Context
from holdfast.sdk.context.variable import current_or_none
from holdfast.sdk.errors import UsageError
from holdfast.sdk.steps import set_current

C = TypeVar("C", bound=Context)


@overload
def current() -> Context: ...
@overload
def current(kind: type[C]) -> C: ...
def current(kind: type[C] | None = None) -> C | Context:
    """The context of the running handler.

    Args:
        kind: the class it must be, such as `ObjectContext`; for state, promises and the key.
    Raises:
        UsageError: `no_context`, outside a handler (a step counts as outside); `wrong_context`, the handler's
            is of another kind.
    """
    context = cast(Context | None, current_or_none())
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
