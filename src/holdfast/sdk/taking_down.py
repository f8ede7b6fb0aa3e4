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
from holdfast.sdk.loop.durable_loop import DurableLoop, waiter_of

ROUNDS_MAX = 100
CALLBACKS_PER_ROUND_MAX = 10_000
"""Unwinding takes a few callbacks per task; code that spins is dropped."""


def take_down(loop: DurableLoop, main: "asyncio.Task[Any] | None") -> None:
    """Unwind every task of the loop; none runs afterwards."""
    loop.ending = True
    if loop.is_running():
        # A mismatch found in the middle of handler code: the pump takes it down when that has unwound.
        return
    loop.callbacks_max = CALLBACKS_PER_ROUND_MAX
    tasks = _open_tasks(loop, main)
    if not tasks:
        loop.generators.close_open()
        tasks = _open_tasks(loop, main)
    rounds = ROUNDS_MAX
    raised: list[AttemptEnded] = []
    while (tasks or loop.ready) and rounds:
        rounds -= 1
        for task in tasks:
            waiter = waiter_of(task)
            if waiter is not None and not isinstance(waiter, asyncio.Task) and not waiter.done():
                raised.append(AttemptEnded())
                waiter.set_exception(raised[-1])
        try:
            loop.run_until_quiet()
        except UsageError:
            break  # it spins
        except BaseException:
            pass  # of a callback, or a task's SystemExit; the attempt is over as it is
        tasks = _open_tasks(loop, main)
        if not tasks:
            loop.generators.close_open()
            tasks = _open_tasks(loop, main)
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    for error in raised:
        # Its frames hold what was waited for, which holds the error: a cycle per suspension.
        error.__traceback__ = None
    loop.close()


def _open_tasks(loop: DurableLoop, main: "asyncio.Task[Any] | None") -> "list[asyncio.Task[Any]]":
    tasks = loop.open_tasks()
    if main is not None and not main.done():
        tasks.append(main)
    return tasks
