"""What a test environment may tell an attempt: the time, and which steps fail.

`holdfast.testing` runs applications in its own process and puts an `AttemptHooks` into the `extensions` of
each request's ASGI scope. Servers put nothing there: then an attempt is run as if this module did not exist.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any, Final, Protocol, cast

from holdfast.sdk.context.payloads import Payloads
from holdfast.sdk.endpoint.sending_runner import Send, SendingRunner
from holdfast.sdk.steps import PendingStep

HOOKS: Final = "holdfast.testing"
"""The key in the scope's `extensions`."""


class AttemptHooks(Protocol):
    """One attempt's."""

    def now_ms(self) -> int:
        """The wall clock, epoch ms."""
        ...

    def before_step(self, name: str) -> None:
        """Called before a step's body starts. Raises what the body is to raise instead of running."""
        ...

    def after_step(self, name: str) -> None:
        """Called when the body is over, whatever came of it; once for each `before_step`."""
        ...


def step_runner(
    scope: MutableMapping[str, Any], loop: asyncio.AbstractEventLoop, payloads: Payloads, send: Send
) -> SendingRunner:
    """The port for a request's attempt."""
    hooks = scope.get("extensions", _NONE).get(HOOKS)
    if hooks is None:
        return SendingRunner(loop, payloads, send)
    return _HookedRunner(loop, payloads, send, cast("AttemptHooks", hooks))


class _HookedRunner(SendingRunner):
    def __init__(
        self, loop: asyncio.AbstractEventLoop, payloads: Payloads, send: Send, hooks: AttemptHooks
    ) -> None:
        super().__init__(loop, payloads, send)
        self._hooks = hooks

    def now_ms(self) -> int:
        return self._hooks.now_ms()

    def start_step(self, step: PendingStep) -> None:
        try:
            self._hooks.before_step(step.name)
        except Exception as error:
            step.function = _raising(error, is_async=step.spec.is_async)
        super().start_step(step)
        if step.task is not None:
            step.task.add_done_callback(lambda _: self._hooks.after_step(step.spec.name))


def _raising(error: Exception, *, is_async: bool) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    async def fail_later(*_: object, **__: object) -> Any:
        raise error

    return fail_later if is_async else fail


_NONE: dict[str, Any] = {}
