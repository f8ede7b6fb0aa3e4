"""What handler code awaits: futures that the journal completes.

A `DurableFuture` is an `asyncio.Future` of the deterministic loop. So it can be awaited, given to `gather`,
`wait`, `as_completed` and `TaskGroup` tasks, and cancelled, all by the standard library's own code; only its
completion comes from a notification.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.protocol.results import Failure, InvocationIdResult, Result, StateKeys, Value
from holdfast.sdk.errors import TerminalError
from holdfast.sdk.loop.ordered import OrderedFuture

if TYPE_CHECKING:
    from holdfast.sdk.loop.durable_loop import DurableLoop

T = TypeVar("T")

Decode = Callable[[bytes], Any]


def no_value(content: bytes) -> None:
    """For results that say only that something happened."""


class DurableFuture(OrderedFuture[T]):
    """The answer to one command: a result, a failure, or, when it was cancelled here, neither.

    Cancelling it (by `cancel()`, a timeout or a task's cancellation) stops the waiting, nothing else: a call
    goes on in its own invocation, and a timer fires unheard. A step's body, which runs in this process, is
    cancelled with it.
    """

    def __init__(self, loop: "DurableLoop", decode: Decode, void: T | None = None) -> None:
        super().__init__(loop=loop)
        self._decode = decode
        self._void = void

    @property
    def awaited(self) -> bool:
        """Whether anything waits for it right now."""
        return not self.done() and bool(self._callbacks)

    @property
    def waiters(self) -> int:
        """How many wait for it."""
        return len(self._callbacks or ())

    def deliver(self, result: Result) -> None:
        """The notification came. Whatever it carries, a future that is done stays as it is."""
        if self.done():
            return
        if isinstance(result, Value):
            self.set_result(self._decode(result.content))
        elif isinstance(result, Failure):
            self.set_exception(terminal_error(result))
        elif isinstance(result, InvocationIdResult):
            self.set_result(result.invocation_id)  # type: ignore[arg-type]
        elif isinstance(result, StateKeys):
            self.set_result([key.decode() for key in result.keys])  # type: ignore[arg-type]
        else:
            self.set_result(self._void)  # type: ignore[arg-type]


class IdFuture(DurableFuture[str]):
    """The id of an invocation that this one started.

    Attributes:
        given: the id, also when the handler has cancelled this future; None until it comes.
    """

    def __init__(self, loop: "DurableLoop") -> None:
        super().__init__(loop, no_value)
        self.given: str | None = None

    def deliver(self, result: Result) -> None:
        if isinstance(result, InvocationIdResult):
            self.given = result.invocation_id
        super().deliver(result)


def terminal_error(failure: Failure) -> TerminalError:
    """The error that a failure in the journal is raised as."""
    return TerminalError(failure.message, code=failure.code, metadata=dict(failure.metadata) or None)


def failure_of(error: TerminalError) -> Failure:
    """The failure that a terminal error is stored as."""
    return Failure(error.code, error.message, tuple((error.metadata or {}).items()))
