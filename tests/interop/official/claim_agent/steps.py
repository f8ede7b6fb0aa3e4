"""Durable steps of the official SDK that also leave a line in the effects log, as the demo wants it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Generic, ParamSpec, TypeVar

import restate

import holdfast
from examples.claim_demo import model
from examples.claim_demo.effects import EffectLog

P = ParamSpec("P")
T = TypeVar("T")


class Step(Generic[T]):
    """A step that has begun. `future` is what `restate.gather` takes, to let several run at the same time."""

    def __init__(self, future: restate.RestateDurableFuture[T], on_replay: Callable[[], None]) -> None:
        self.future = future
        self.ran = False
        self._on_replay = on_replay

    async def result(self) -> T:
        """Its result: from the body that just ran, or from the journal."""
        value = await self.future
        if not self.ran:
            self._on_replay()
        return value


class Steps:
    """The steps of one attempt."""

    def __init__(self, ctx: restate.WorkflowContext) -> None:
        self._ctx = ctx
        self._invocation = ctx.request().id
        self._log = EffectLog(Path(os.environ.get("CLAIM_EFFECTS", "effects.jsonl")))
        self._log.append(self._invocation, "attempt")

    def begin(
        self, name: str, action: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Step[T]:
        """Begin a step without waiting for it."""

        @wraps(action)
        async def body(*args: P.args, **kwargs: P.kwargs) -> T:
            step.ran = True
            self._log.append(self._invocation, "started", name)
            result = await action(*args, **kwargs)
            self._log.append(self._invocation, "finished", name)
            return result

        future = self._ctx.run_typed(name, body, restate.RunOptions(), *args, **kwargs)
        step = Step(future, lambda: self._log.append(self._invocation, "replayed", name))
        return step


async def ask_model(conversation: list[model.Message]) -> model.Answer:
    """The model call, with its final failure in the words of the official SDK."""
    try:
        return await model.ask_model(conversation)
    except holdfast.TerminalError as error:
        raise restate.TerminalError(error.message) from error
