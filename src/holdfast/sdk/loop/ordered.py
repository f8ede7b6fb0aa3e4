"""Sets of tasks and futures that iterate the same way in every replay.

A set's order follows from the hashes of what is in it, and a future's hash is its address: chance. People
iterate such sets (`for task in pending: task.cancel()`), and so does asyncio itself, in `TaskGroup`, `wait`
and `as_completed`. So futures of the durable loop are hashed by a number of their own, counted per loop.
Equality stays identity.

`as_completed` also makes a set of bare coroutines before it makes tasks of them, and no coroutine's hash can
be changed. Inside a handler the name `set` in `asyncio.tasks` therefore makes the tasks first, in the order
given; everywhere else it is `set`.
"""

import asyncio
import sys
from asyncio import tasks
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar, cast

T = TypeVar("T")


class CountingLoop(Protocol):
    """A loop that numbers its futures."""

    def next_hash(self) -> int:
        """A number not given before."""
        ...


class OrderedTask(asyncio.Task[T]):
    """A task hashed by its number."""

    _hash: int

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            self._hash = cast(CountingLoop, self.get_loop()).next_hash()
            return self._hash


class OrderedFuture(asyncio.Future[T]):
    """A future hashed by its number, which it gets when it is first hashed."""

    _hash: int

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            self._hash = cast(CountingLoop, self.get_loop()).next_hash()
            return self._hash


def order_sets_of(loop_type: type) -> None:
    """Makes `asyncio.tasks` build its sets in order when the running loop is of this type."""
    forbids_coroutines = asyncio.wait.__code__

    def ordered(items: Iterable[Any] = ()) -> set[Any]:
        loop = asyncio.events._get_running_loop()
        caller = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
        if isinstance(loop, loop_type) and caller.f_code is not forbids_coroutines:
            return {asyncio.ensure_future(item, loop=loop) for item in dict.fromkeys(items)}
        return set(items)

    def hash_of_gathering(self: Any) -> int:
        return hash(self._children[0])

    tasks.__dict__["set"] = ordered
    tasks._GatheringFuture.__hash__ = hash_of_gathering  # type: ignore[attr-defined]
