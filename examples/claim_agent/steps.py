"""Durable steps that also leave a line in the effects log, so that the demo can count what really ran.

A service of your own would call `ctx.run_typed` directly; the log is the only thing this adds.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import restate

from examples.claim_agent.effects import EffectLog

P = ParamSpec("P")
T = TypeVar("T")


class Steps:
    """The steps of one attempt."""

    def __init__(self, ctx: restate.WorkflowContext) -> None:
        self._ctx = ctx
        self._invocation = ctx.request().id
        self._log = EffectLog(Path(os.environ.get("CLAIM_EFFECTS", "effects.jsonl")))
        self._log.append(self._invocation, "attempt")

    def start(
        self, name: str, action: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """Begin a step now; several may run at once. Await the answer for its result."""
        ran = False

        @wraps(action)
        async def body(*args: P.args, **kwargs: P.kwargs) -> T:
            nonlocal ran
            ran = True
            self._log.append(self._invocation, "started", name)
            result = await action(*args, **kwargs)
            self._log.append(self._invocation, "finished", name)
            return result

        result = self._ctx.run_typed(name, body, restate.RunOptions(), *args, **kwargs)

        async def wait() -> T:
            value = await result
            if not ran:
                self._log.append(self._invocation, "replayed", name)
            return value

        return wait()
