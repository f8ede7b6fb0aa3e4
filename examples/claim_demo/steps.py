"""Durable steps that also leave a line in the effects log, so that the demo can count what really ran.

A service of your own would call `ctx.run` directly; the log is the only thing this adds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from examples.claim_demo.effects import EffectLog
from holdfast import Context

P = ParamSpec("P")
T = TypeVar("T")


class Steps:
    """The steps of one attempt."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._log = EffectLog(Path(os.environ.get("CLAIM_EFFECTS", "effects.jsonl")))
        self._log.append(ctx.invocation_id, "attempt")

    async def run(
        self, name: str, action: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """A step: from the body that runs now, or from the journal."""
        ran = False

        @wraps(action)  # with its annotations: the result's type is how it is stored
        async def body(*args: P.args, **kwargs: P.kwargs) -> T:
            nonlocal ran
            ran = True
            self._log.append(self._ctx.invocation_id, "started", name)
            result = await action(*args, **kwargs)
            self._log.append(self._ctx.invocation_id, "finished", name)
            return result

        value = await self._ctx.run(name, body, *args, **kwargs)
        if not ran:
            self._log.append(self._ctx.invocation_id, "replayed", name)
        return value
