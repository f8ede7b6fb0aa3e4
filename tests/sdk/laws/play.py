"""The handler that runs a generated program. It writes down everything it sees, in order, and returns that:
two runs that differ in anything a handler can notice have different results."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from typing import Any

import holdfast
from holdfast import TerminalError, WorkflowContext
from tests.sdk.laws.programs import Node, Program

CALLEE = holdfast.remote("Other", "work", input=int, output=object)
ONCE_MORE = holdfast.Retry(max_attempts=2, initial_interval=0.01)

# Tasks left behind fail in half of the programs, and say so.
logging.getLogger("holdfast.sdk").addFilter(lambda record: "did not await" not in record.msg)

playing: list[Program] = []
"""The program the next attempt runs; the last one counts."""

flow = holdfast.Workflow("Generated")


@flow.main
async def play(ctx: WorkflowContext) -> bytes:
    """Runs `playing[-1]`."""
    return json.dumps(await Player(ctx).play(playing[-1].root)).encode()


def body(number: int, kind: str) -> str:
    """What steps are made of; the model server never calls it but plays its part."""
    raise AssertionError(f"step {number} ({kind}) was called")


@holdfast.step(retry=ONCE_MORE)
def stubborn_body(number: int, kind: str) -> str:
    """The same, tried twice at most."""
    raise AssertionError(f"step {number} ({kind}) was called")


def describe(error: BaseException) -> object:
    if isinstance(error, TerminalError):
        return f"{type(error).__name__} {error.code} {error.message}"
    if isinstance(error, BaseExceptionGroup):
        return [describe(one) for one in error.exceptions]
    return type(error).__name__


class Player:
    def __init__(self, ctx: WorkflowContext) -> None:
        self.ctx = ctx
        self.trace: list[object] = []
        self.queue: asyncio.Queue[int] = asyncio.Queue()
        self.event = asyncio.Event()
        self.lock = asyncio.Lock()
        self.kept: list[object] = []

    async def play(self, root: Node) -> list[object]:
        try:
            self.trace.append(await self.do(root))
        except (Exception, asyncio.CancelledError) as error:
            self.trace.append(describe(error))
        return self.trace

    async def do(self, node: Node) -> Any:
        try:
            value = await getattr(self, f"do_{node[0]}")(*node[1:])
        except BaseException as error:
            self.trace.append((node[0], describe(error)))
            raise
        self.trace.append((node[0], value))
        return value

    def future(self, node: Node) -> asyncio.Future[Any]:
        ctx, kind = self.ctx, node[0]
        argument: Any = node[1] if len(node) > 1 else None
        if kind == "run":
            return ctx.run(body, argument, "ok")
        if kind == "run_fails":
            return ctx.run(f"step {argument}", body, argument, "fails")
        if kind == "call":
            return ctx.call(CALLEE, argument)
        if kind == "ctx_sleep":
            return ctx.sleep(timedelta(seconds=argument), name=f"nap {argument}")
        if kind == "awakeable":
            return ctx.awakeable().future
        if kind == "signal":
            return ctx.signal(argument)
        if kind == "promise":
            return ctx.promise(argument).get()
        return ctx.get(argument)

    # Leaves.

    async def do_run(self, number: int) -> str:
        return await self.ctx.run(body, number, "ok")

    async def do_run_fails(self, number: int) -> str:
        return await self.ctx.run(f"step {number}", body, number, "fails")

    async def do_run_flaky(self, number: int, failures: int, stubborn: bool) -> str:
        if stubborn:
            return await self.ctx.run(stubborn_body, number, f"flaky {failures}")
        return await self.ctx.run(body, number, f"flaky {failures}")

    async def do_sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def do_ctx_sleep(self, seconds: float) -> None:
        await self.ctx.sleep(seconds)

    async def do_call(self, number: int) -> object:
        return await self.ctx.call(CALLEE, number)

    async def do_call_cancelled(self, number: int) -> object:
        call = self.ctx.call(CALLEE, number)
        await call.cancel_invocation()
        return await call

    async def do_send(self, number: int) -> str:
        handle = self.ctx.send(CALLEE, number, delay=number)
        return await handle.invocation_id()

    async def do_attach(self, number: int) -> object:
        return await self.ctx.invocation(f"inv_{number}").attach()

    async def do_get(self, name: str) -> object:
        return await self.ctx.get(name, default="unset")

    async def do_set(self, name: str) -> None:
        self.ctx.set(name, len(self.trace))

    async def do_clear(self, name: str) -> None:
        self.ctx.clear(name)

    async def do_clear_all(self) -> None:
        self.ctx.clear_all()

    async def do_keys(self) -> list[str]:
        return await self.ctx.state_keys()

    async def do_awakeable(self) -> object:
        return await self.ctx.awakeable()

    async def do_promise(self, name: str) -> object:
        return await self.ctx.promise(name)

    async def do_peek(self, name: str) -> object:
        return await self.ctx.promise(name).peek()

    async def do_resolve(self, name: str) -> None:
        await self.ctx.promise(name).resolve("mine")

    async def do_signal(self, name: str) -> object:
        return await self.ctx.signal(name)

    async def do_random(self) -> int:
        return self.ctx.random.randrange(1000)

    async def do_clock(self) -> float:
        return asyncio.get_running_loop().time()

    async def do_put(self, number: int) -> None:
        self.queue.put_nowait(number)

    async def do_take(self) -> int:
        return await self.queue.get()

    async def do_set_event(self) -> None:
        self.event.set()

    async def do_wait_event(self) -> None:
        await self.event.wait()

    async def do_yield(self, times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(0)

    async def do_raise(self) -> None:
        raise TerminalError("raised", 418)

    # Combinations.

    async def do_seq(self, *nodes: Node) -> object:
        value = None
        for node in nodes:
            value = await self.do(node)
        return value

    async def do_gather(self, *nodes: Node) -> object:
        return await asyncio.gather(*map(self.do, nodes))

    async def do_gather_settled(self, *nodes: Node) -> object:
        results = await asyncio.gather(*map(self.do, nodes), return_exceptions=True)
        return [describe(one) if isinstance(one, BaseException) else one for one in results]

    async def do_group(self, *nodes: Node) -> object:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.do(node)) for node in nodes]
        return [task.result() for task in tasks]

    async def do_wait(self, how: str, seconds: float | None, then: str, *nodes: Node) -> object:
        tasks = [asyncio.create_task(self.do(node)) for node in nodes]
        number = {task: index for index, task in enumerate(tasks)}
        done, pending = await asyncio.wait(tasks, timeout=seconds, return_when=how)
        # Sets, iterated as people do: the order must not be chance.
        seen = [[number[task] for task in done], [number[task] for task in pending]]
        for task in pending:
            if then == "cancel":
                task.cancel()
            elif then == "await":
                await self.settle(task)
        return seen

    async def do_drain(self, *nodes: Node) -> object:
        pending: set[asyncio.Task[Any]] = {asyncio.create_task(self.do(node)) for node in nodes}
        number = {task: index for index, task in enumerate(pending)}
        order: list[int] = []
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            order += [number[task] for task in done]
        return order

    async def do_as_completed(self, take: int, bare: bool, *nodes: Node) -> object:
        found: list[object] = []
        waiting: list[Any] = [self.do(node) for node in nodes]
        if not bare:
            waiting = [asyncio.create_task(one) for one in waiting]
        for next_one in asyncio.as_completed(waiting):
            found.append(await self.settle(next_one))
            if len(found) == take:
                break
        return found

    async def do_timeout(self, seconds: float, node: Node) -> object:
        try:
            async with asyncio.timeout(seconds):
                return await self.do(node)
        except TimeoutError:
            return "timed out"

    async def do_wait_for(self, seconds: float, node: Node) -> object:
        return await asyncio.wait_for(self.do(node), seconds)

    async def do_loop(self, count: int, node: Node) -> object:
        return [await self.do(node) for _ in range(count)]

    async def do_background(self, then: str, behind: Node, front: Node) -> object:
        task = asyncio.create_task(self.do(behind))
        value = await self.do(front)
        if then.startswith("cancel"):
            task.cancel()
            if then == "cancel_twice":
                await asyncio.sleep(0)
                task.cancel()
        if then != "leave":
            return [value, await self.settle(task)]
        return value

    async def do_attempt(self, node: Node, otherwise: Node) -> object:
        try:
            return await self.do(node)
        except TerminalError as error:
            return [describe(error), await self.do(otherwise)]

    async def do_finally(self, node: Node, cleanup: Node) -> object:
        try:
            return await self.do(node)
        finally:
            await self.do(cleanup)

    async def do_swallow(self, node: Node, after: Node) -> object:
        try:
            await self.do(node)
        except* TerminalError as errors:
            self.trace.append(describe(errors))
        return await self.do(after)

    async def do_left_open(self, first: Node, cleanup: Node) -> object:
        async for value in self.generate(first, cleanup):
            return value
        return None

    async def generate(self, first: Node, cleanup: Node) -> AsyncIterator[object]:
        try:
            yield await self.do(first)
            yield None
        finally:
            await self.do(cleanup)

    async def do_futures(self, how: str, *nodes: Node) -> object:
        futures = [self.future(node) for node in nodes]
        if how == "wait":
            done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
            return [[index for index, one in enumerate(futures) if one in done], len(done)]
        if how == "gather":
            return await asyncio.gather(*futures)
        if how == "cancel":
            await asyncio.sleep(0)
            futures[0].cancel()
        return [await self.settle(future) for future in reversed(futures)]

    async def do_shield(self, node: Node) -> object:
        return await asyncio.shield(self.do(node))

    async def do_locked(self, node: Node) -> object:
        async with self.lock:
            return await self.do(node)

    async def settle(self, waiting: Awaitable[object]) -> object:
        try:
            return await waiting
        except (Exception, asyncio.CancelledError) as error:
            return describe(error)
