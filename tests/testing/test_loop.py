"""Virtual time: what makes it pass, and what holds it up."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.testing import VirtualLoop

T = TypeVar("T")
DEADLINE_S = 20.0


def run(main: Callable[[], Awaitable[T]]) -> T:
    async def whole() -> T:
        return await main()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(whole())


def test_a_sleep_takes_virtual_time_only() -> None:
    async def main() -> float:
        await asyncio.sleep(86_400 * 365)
        return asyncio.get_running_loop().time()

    assert run(main) == 86_400 * 365


@given(st.lists(st.floats(0, 1e9), max_size=20))
@settings(max_examples=30, deadline=None)
def test_timers_ring_in_order_at_their_time(delays: list[float]) -> None:
    async def main() -> list[tuple[float, float]]:
        rung: list[tuple[float, float]] = []

        async def one(delay: float) -> None:
            await asyncio.sleep(delay)
            rung.append((asyncio.get_running_loop().time(), delay))

        await asyncio.gather(*(one(delay) for delay in delays))
        return rung

    rung = run(main)
    assert [delay for _, delay in rung] == sorted(delays)
    assert all(abs(at - delay) <= 1e-5 for at, delay in rung)


def test_timers_due_at_once_ring_after_decades() -> None:
    async def main() -> None:
        await asyncio.sleep(1e9)
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(0, done.set)
        await done.wait()

    run(main)


def test_time_waits_for_threads() -> None:
    async def main() -> float:
        release = threading.Event()
        async with asyncio.timeout(3600):
            timer = threading.Timer(0.1, release.set)
            timer.start()
            await asyncio.to_thread(release.wait, DEADLINE_S)
        return asyncio.get_running_loop().time()

    assert run(main) == 0


def test_work_that_is_cancelled_before_a_thread_takes_it_holds_nothing_up() -> None:
    async def main() -> float:
        release = threading.Event()
        loop = asyncio.get_running_loop()
        running = [loop.run_in_executor(None, release.wait, DEADLINE_S) for _ in range(200)]
        for work in running[100:]:
            work.cancel()
        release.set()
        await asyncio.gather(*running[:100])
        await asyncio.sleep(5)
        return loop.time()

    assert run(main) == 5


def test_time_waits_for_a_socket_that_answers() -> None:
    async def main() -> float:
        here, there = socket.socketpair()
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection(sock=here)
        timer = threading.Timer(0.05, there.send, (b"answer\n",))
        timer.start()
        async with asyncio.timeout(3600):
            assert await reader.readline() == b"answer\n"
        at = loop.time()
        writer.close()
        there.close()
        return at

    assert run(main) == 0


def test_an_idle_socket_delays_years_once() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        here, there = socket.socketpair()
        _, writer = await asyncio.open_connection(sock=here)
        for _ in range(365):
            await asyncio.sleep(86_400)
        writer.close()
        there.close()
        return loop.io_waits

    assert run(main) == 1


def test_settling_is_not_waiting() -> None:
    async def main() -> tuple[list[int], float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        seen: list[int] = []

        async def count(number: int) -> None:
            seen.append(number)
            if number < 100:
                await asyncio.sleep(0)
                await count(number + 1)

        counting = asyncio.ensure_future(count(0))
        later = loop.call_later(1, seen.append, -1)
        await loop.settle()
        later.cancel()
        await counting
        return seen, loop.time()

    assert run(main) == (list(range(101)), 0)
