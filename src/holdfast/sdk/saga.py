"""Sagas: undoing, in reverse, what has been done, when an invocation fails for good.

    async with holdfast.saga() as undo:
        flight = await ctx.run(book_flight, trip)
        undo.add(cancel_flight, flight)
        hotel = await ctx.run(book_hotel, trip)
        undo.add(cancel_hotel, hotel)
        await ctx.run(charge, trip)

Only what ends the invocation undoes: a `TerminalError`, which a cancellation is too. Any other exception
fails the attempt alone; the next one goes on where this one stopped, so there is nothing to undo.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, Self

from holdfast.sdk.context.ambient import current
from holdfast.sdk.context.base import Context
from holdfast.sdk.reports import terminal_of

P = ParamSpec("P")


class Saga:
    """Compensations of one block; `saga()` makes it."""

    def __init__(self, context: Context | None) -> None:
        self._context = context
        self._undo: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []

    def add(self, action: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Run this step if the block fails for good: the last one added first, each once, as `ctx.run` does.

        Add it after the step it undoes, or before that step where an effect may be there although the step
        failed; it must then bear that there is nothing to undo.
        """
        self._undo.append((action, args, kwargs))

    async def __aenter__(self) -> Self:
        if self._context is None:
            self._context = current()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or self._context is None or terminal_of(error) is None:
            return
        while self._undo:
            action, args, kwargs = self._undo.pop()
            await self._context.run(action, *args, **kwargs)


def saga(context: Context | None = None) -> Saga:
    """A block whose steps are undone when it fails for good; see the module's text.

    Args:
        context: the handler's; the current one when not given.
    """
    return Saga(context)
