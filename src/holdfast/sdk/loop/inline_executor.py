"""An executor for libraries that hand plain functions to `run_in_executor`, whether or not they block."""

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

THREADS_MAX = min(32, (os.cpu_count() or 1) + 4)
"""As many as asyncio's own default executor has."""


class InlineExecutor(Executor):
    """On a handler's loop: calls the function at once, as part of the handler. Elsewhere: in a thread.

    The handler's loop refuses threads, since what they do is not journaled. A library's callback that runs in
    the handler (an agent's instructions, a validator) is the handler's own code, and needs none. The same
    library in a step's body, on the process's loop, must not block that.

    Args:
        name: of the threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._threads: ThreadPoolExecutor | None = None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """In a thread: whoever comes here is not a handler's loop, which calls without submitting."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS_MAX, self._name)
        return self._threads.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the threads go; a later `submit` starts others."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait, cancel_futures=cancel_futures)
