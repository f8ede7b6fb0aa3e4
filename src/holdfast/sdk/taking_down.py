"""Ending handler code whose attempt is over.

A suspended handler is a few coroutines in the middle of an `await`. Python closes them sooner or later
anyway, and then in an order nobody chose, so they are unwound here, at once: everything they wait for fails
with `AttemptEnded`, which passes `except Exception`, and the loop runs what that wakes. `finally` blocks and
`async with` exits run; what they await fails likewise, so that they come to an end. Code that keeps catching
`BaseException` is dropped after `ROUNDS_MAX` rounds.
"""

import asyncio
from typing import Any

from holdfast.sdk.errors import AttemptEnded, UsageError
from holdfast.sdk.loop.durable_loop import DurableLoop

ROUNDS_MAX = 100


def take_down(loop: DurableLoop, main: "asyncio.Task[Any] | None") -> None:
    """Unwind every task of the loop; none runs afterwards."""
    loop.ending = True
    if loop.is_running():
        # A mismatch found in the middle of handler code: the pump takes it down when that has unwound.
        return
    tasks = loop.open_tasks()
    if main is not None and not main.done():
        tasks.append(main)
    rounds = ROUNDS_MAX
    try:
        while tasks and rounds:
            rounds -= 1
            for task in tasks:
                waiter = task._fut_waiter  # type: ignore[attr-defined]
                if waiter is not None and not isinstance(waiter, asyncio.Task) and not waiter.done():
                    waiter.set_exception(AttemptEnded())
            loop.run_until_quiet()
            tasks = [task for task in tasks if not task.done()] + [
                task for task in loop.open_tasks() if task not in tasks
            ]
    except UsageError:
        pass  # it spins; it is dropped like the rest
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
