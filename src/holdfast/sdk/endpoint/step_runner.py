"""Runs the bodies of steps on the process's own event loop: what an attempt's port is made of.

A body is a task of the real loop, or, for a plain function, a call in the loop's thread pool. Whatever it
comes to is reported in the very task that ran it.
"""

import asyncio
import inspect
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from holdfast.protocol.results import Failure
from holdfast.sdk.attempt import Attempt
from holdfast.sdk.context.payloads import Payloads
from holdfast.sdk.errors import UsageError
from holdfast.sdk.reports import terminal_of
from holdfast.sdk.step_metadata import described
from holdfast.sdk.steps import PendingStep
from holdfast.sdk.waits import failure_of

log = logging.getLogger("holdfast.attempts")
"""Failed attempts, which the server retries: the line for whoever looks at the service's own output."""


class StepRunner(ABC):
    """The port of one attempt, but for the sending, which is the business of whoever holds the connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, payloads: Payloads) -> None:
        self._loop = loop
        self._payloads = payloads
        self._grace: asyncio.TimerHandle | None = None
        self.attempt: Attempt
        """Set by whoever makes both."""

    # The port.

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def start_step(self, step: PendingStep) -> None:
        step.task = self._loop.create_task(self._body(step), name=step.name, context=step.context)

    def stop_step(self, step: PendingStep) -> None:
        if step.task is not None:
            step.task.cancel()

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        self._grace = self._loop.call_later(delay_s, call)

    @abstractmethod
    def flush(self) -> None:
        """As of `AttemptPort`."""

    def close(self) -> None:
        """The request is over, the attempt has ended or was abandoned."""
        failure = self.attempt.failure
        if failure is not None:
            start = self.attempt.machine.start
            log.warning("attempt of %s failed: %s\n%s", start.debug_id, failure.message, failure.stacktrace)
        self.attempt.release()
        if self._grace is not None:
            self._grace.cancel()

    # Bodies.

    async def _body(self, step: PendingStep) -> None:
        spec, attempt = step.spec, self.attempt
        result: bytes | Failure
        metadata: bytes | UsageError | None = None
        try:
            if spec.is_async:
                value = await step.function(*step.args, **step.kwargs)
            else:
                value = await self._in_thread(step)
            result = self._payloads.encode(spec.serde, value, f"the result of step {step.name}")
            if spec.describe is not None and attempt.machine.takes_metadata:
                seen = self._payloads.decoder(spec.serde)(result)
                metadata = described(spec.describe, seen, step.name)
        except Exception as error:
            terminal = terminal_of(error)
            if terminal is None:
                attempt.step_raised(step, error)
            else:
                attempt.step_returned(step, failure_of(terminal))
        except asyncio.CancelledError as error:
            if step.future.done() or attempt.ended:
                raise
            # Not cancelled by us: the body, or a library in it, cancelled itself.
            attempt.step_raised(step, RuntimeError(f"the step was cancelled from inside: {error!r}"))
        except (SystemExit, KeyboardInterrupt) as error:
            # Raised further, these would end the process and with it everybody else's attempts.
            attempt.step_raised(step, RuntimeError(f"the step tried to end the process: {error!r}"))
        else:
            attempt.step_returned(step, result, metadata)

    async def _in_thread(self, step: PendingStep) -> Any:
        def call() -> Any:
            return step.function(*step.args, **step.kwargs)

        value: Any = await self._loop.run_in_executor(None, step.context.copy().run, call)
        if inspect.isawaitable(value):
            # A lambda around a coroutine function: `ctx.run("fetch", lambda: fetch(url))`.
            return await value
        return value
