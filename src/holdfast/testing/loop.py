"""An asyncio event loop whose time jumps.

The idea is trio's: when nothing can happen until the next timer, do not wait for it, be there. The loop asks
its selector to wait for the next timer; the selector here first looks whether anything else could happen
earlier:

    a file descriptor is ready                 serve it, no time passes
    a thread of `run_in_executor` is running,
    or a busy check says so                    really wait for it, no time passes
    sockets or pipes are open                  really wait a little, once after each activity on them
    a step is running, and no timer pends but
    the engine's housekeeping                  really wait, once: it may have a thread of its own
    somebody waits in `settle`                 wake them, no time passes
    a stuck check says nothing can happen      it raises, or fails whoever waits
    otherwise                                  time is now the next timer's

How long "a little" is depends on whether a step is running: steps talk to real services, and their timeouts
are virtual. Threads that are started in other ways, and answer with `call_soon_threadsafe`, are seen only
then.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import Context
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple, Unpack

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

IO_PATIENCE_S = 0.25
"""How long real sockets get to show activity before time goes on, while no step is running."""
STEP_PATIENCE_S = 5.0
"""How long they, and whatever else a step waits for, get while one is."""
THREAD_POLL_S = 0.05
"""How often the state of threads is looked at while they run; their results wake the loop at once."""
CLOCK_RESOLUTION_S = 1e-6
"""Coarser than the distance of two floats that are centuries in seconds."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time, which begins at 0.

    Args:
        io_patience_s: real seconds to wait for open sockets and pipes before time jumps.
        step_patience_s: likewise, while a step is running.
    """

    def __init__(
        self, io_patience_s: float = IO_PATIENCE_S, step_patience_s: float = STEP_PATIENCE_S
    ) -> None:
        self._now_s = 0.0
        self._threads = 0
        self._settling: list[asyncio.Future[None]] = []
        self._foreground: list[asyncio.TimerHandle] = []
        self.busy_checks: list[Callable[[], bool]] = []
        self.stuck_checks: list[Callable[[], None]] = []
        self.background_owners: tuple[type, ...] = ()
        self._io_patience_s = io_patience_s
        self._step_patience_s = step_patience_s
        self._steps = 0
        self._steps_changed = False
        self._jumping = _JumpingSelector(self._socket_patience_s, self._idle)
        super().__init__(self._jumping)
        self._jumping.ignore_registered()
        # asyncio's own: timers due within it are due. The default is finer than a float of many days.
        self._clock_resolution = CLOCK_RESOLUTION_S
        self.set_default_executor(ThreadPoolExecutor(thread_name_prefix="virtual-loop"))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_s

    @property
    def io_waits(self) -> int:
        """How often open sockets or pipes have held time up for `io_patience_s`, or part of it."""
        return self._jumping.io_waits

    def real_work_begins(self) -> None:
        """A step starts: what it waits for may be real."""
        self._steps += 1
        self._steps_changed = True

    def real_work_ends(self) -> None:
        """A step is over."""
        self._steps -= 1

    async def settle(self) -> None:
        """Wait until nothing more can happen without time passing."""
        waiter: asyncio.Future[None] = self.create_future()
        self._settling.append(waiter)
        await waiter

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = super().call_at(when, callback, *args, context=context)
        if not isinstance(getattr(callback, "__self__", None), self.background_owners):
            self._foreground.append(handle)
        return handle

    def set_default_executor(self, executor: ThreadPoolExecutor) -> None:  # type: ignore[override]
        super().set_default_executor(executor)
        self._pool = executor

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        work = (executor or self._pool).submit(func, *args)
        self._threads += 1
        future = asyncio.wrap_future(work, loop=self)
        # After the callback that brings the result: until that is here, time must not pass. Called, too, when
        # the work was cancelled before a thread took it.
        work.add_done_callback(lambda _: self.call_soon_threadsafe(self._thread_ended))
        return future

    def _thread_ended(self) -> None:
        self._threads -= 1

    def _idle(self, wait_s: float | None) -> float | None:
        """Nothing is ready. Real seconds to wait for threads; 0 when time, or somebody, has moved instead."""
        if self._threads or any(check() for check in self.busy_checks):
            return THREAD_POLL_S
        if self._steps and self._steps_changed and not self._foreground_timers():
            self._steps_changed = False
            return self._step_patience_s
        if self._settling:
            settling, self._settling = self._settling, []
            for waiter in settling:
                if not waiter.done():
                    waiter.set_result(None)
            return 0
        if self.stuck_checks and not self._foreground_timers():
            for check in self.stuck_checks:
                check()
        if wait_s is None:
            return 0 if self.stuck_checks else None
        self._now_s += wait_s
        return 0

    def _socket_patience_s(self) -> float:
        return self._step_patience_s if self._steps else self._io_patience_s

    def _foreground_timers(self) -> bool:
        """Whether a timer is pending that is not housekeeping."""
        now = self._now_s
        self._foreground = [h for h in self._foreground if h.when() > now and not h.cancelled()]
        return bool(self._foreground)


class _JumpingSelector(selectors.BaseSelector):
    """The platform's selector, which asks before it waits."""

    def __init__(self, patience_s: Callable[[], float], idle: Callable[[float | None], float | None]) -> None:
        self._real = selectors.DefaultSelector()
        self._patience_s = patience_s
        self._idle = idle
        self._own: frozenset[int] = frozenset()
        self._active = False
        self.io_waits = 0

    def ignore_registered(self) -> None:
        """What is registered now is the loop's own pipe: no real I/O."""
        self._own = frozenset(key.fd for key in self._real.get_map().values())
        self._active = False

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: object = None
    ) -> selectors.SelectorKey:
        self._active = True
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        self._active = True
        return self._real.unregister(fileobj)

    def modify(self, fileobj: FileDescriptorLike, events: int, data: object = None) -> selectors.SelectorKey:
        self._active = True
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = self._real.select(0)
        if events or (timeout is not None and timeout <= 0):
            self._active = self._active or any(key.fd not in self._own for key, _ in events)
            return events
        if self._active and len(self._real.get_map()) > len(self._own):
            self.io_waits += 1
            events = self._real.select(self._patience_s())
            self._active = any(key.fd not in self._own for key, _ in events)
            if events:
                return events
        return self._real.select(self._idle(timeout))
