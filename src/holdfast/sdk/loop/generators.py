"""Async generators that handler code leaves open.

`async for ... break` drops a generator in the middle, with a `finally` of its own still to run. Python hands
it to a hook of the running loop, at the moment its last reference goes. That moment is part of the program,
and the same in every replay, unless the garbage collector decides it. So a generator dropped by handler code
is closed by a task right away, as every asyncio loop does it. One that the collector found is kept, and
closed when the attempt ends, as are those that are still referred to then.

Without hooks of its own the durable loop would leave them to the process's loop, where the `finally` would
run outside the journal.
"""

import asyncio
import gc
import sys
import weakref
from collections.abc import AsyncGenerator
from contextlib import suppress
from threading import get_ident
from typing import Any, TypeAlias

Generator: TypeAlias = AsyncGenerator[Any, Any]
Hooks: TypeAlias = tuple[Any, Any]

CLOSING = "closing a generator"
BEGUN_LOOKED_AT_MIN = 64

_collecting_thread = 0


def _on_collection(phase: str, info: dict[str, int]) -> None:
    global _collecting_thread
    _collecting_thread = get_ident() if phase == "start" else 0


gc.callbacks.append(_on_collection)


class OpenGenerators:
    """Those of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop: asyncio.AbstractEventLoop | None = loop
        self._kept: list[Generator] = []
        self._begun: list[weakref.ref[Generator]] = []
        self._begun_looked_at = BEGUN_LOOKED_AT_MIN

    def enter(self) -> Hooks:
        """The loop starts running; answers the hooks to be given back to `leave`."""
        outer = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self._begin, self.dropped)
        return outer

    def leave(self, outer: Hooks) -> None:
        """The loop stops running."""
        sys.set_asyncgen_hooks(*outer)

    def dropped(self, generator: Generator) -> None:
        """The hook: nobody refers to this generator any more."""
        if self._loop is None:
            _unwind(generator)
        elif _collecting_thread == get_ident() or asyncio.events._get_running_loop() is not self._loop:
            self._kept.append(generator)
        else:
            # Not at once, as in every asyncio loop: a program has the same order of events on all of them.
            self._loop.call_soon(self._close, generator)

    def _begin(self, generator: Generator) -> None:
        self._begun.append(weakref.ref(generator))
        if len(self._begun) >= self._begun_looked_at:
            # Amortised: the list is at most twice as long as there are open generators.
            self._begun = [kept for kept in self._begun if _is_open(kept())]
            self._begun_looked_at = max(BEGUN_LOOKED_AT_MIN, 2 * len(self._begun))

    def close_open(self) -> None:
        """The handler has ended, and the loop refuses to wait: tasks to close what is open still."""
        begun = [generator for generator in (one() for one in self._begun) if generator is not None]
        kept, self._kept = [*self._kept, *begun], []
        self._begun.clear()
        for generator in filter(_is_open, kept):
            self._close(generator)

    def close(self) -> None:
        """The loop is closed; what is dropped from now on can only be unwound."""
        self._loop = None
        for generator in self._kept:
            _unwind(generator)
        self._kept.clear()

    def _close(self, generator: Generator) -> None:
        if self._loop is not None:
            self._loop.create_task(generator.aclose(), name=CLOSING)


def _is_open(generator: Generator | None) -> bool:
    return generator is not None and getattr(generator, "ag_frame", None) is not None


def _unwind(generator: Generator) -> None:
    """Runs its `finally` as far as that goes without waiting."""
    closing: Any = generator.aclose()
    # Errors go as Python's own finalizers let them go.
    with suppress(BaseException):
        closing.send(None)
