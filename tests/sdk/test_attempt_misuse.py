"""Wrong use of a context: each a clear error at the right moment, and never the end of the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from typing import Any

import pytest

import holdfast
from holdfast import Context, ObjectContext, SharedObjectContext, TerminalError, VirtualObject
from holdfast.protocol import messages as m
from holdfast.sdk.errors import UsageError
from tests.sdk.attempts import Fed, served, slept

PLAIN = holdfast.remote("Plain", "work", keyed=False)
KEYED = holdfast.remote("Keyed", "work", keyed=True)


class Opaque:
    """Nothing knows how to write this."""


async def step() -> str:
    return "done"


def failed(fed: Fed, code: str) -> str:
    """The attempt failed with a usage error of this code; answers its text."""
    error = fed.error()
    assert f"[{code}]" in error.message, error.message
    return error.message


async def key_left_out(ctx: Context) -> None:
    await ctx.call(KEYED)


async def key_too_many(ctx: Context) -> None:
    ctx.send(PLAIN, key="k")


async def state_in_a_service(ctx: Context) -> None:
    ctx.set("a", 1)  # type: ignore[attr-defined]


async def promise_in_a_service(ctx: Context) -> None:
    ctx.promise("p")  # type: ignore[attr-defined]


async def a_result_instead_of_a_function(ctx: Context) -> None:
    with closing(step()) as coroutine:
        await ctx.run(coroutine)  # type: ignore[call-overload]


async def a_name_without_a_function(ctx: Context) -> None:
    await ctx.run("charge")  # type: ignore[call-overload]


async def a_negative_sleep(ctx: Context) -> None:
    await ctx.sleep(-1)


async def an_endless_sleep(ctx: Context) -> None:
    await asyncio.sleep(1e12)


async def another_thread_of_the_loop(ctx: Context) -> None:
    await asyncio.to_thread(print)


async def a_socket(ctx: Context) -> None:
    await asyncio.open_connection("127.0.0.1", 1)


async def spinning(ctx: Context) -> None:
    while True:  # noqa: ASYNC110 - that is the mistake
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("handler", "code"),
    [
        (key_left_out, "key_missing"),
        (key_too_many, "key_unexpected"),
        (state_in_a_service, "state_in_service"),
        (promise_in_a_service, "promise_outside_workflow"),
        (a_result_instead_of_a_function, "step_not_callable"),
        (a_name_without_a_function, "step_without_function"),
        (a_negative_sleep, "bad_delay"),
        (an_endless_sleep, "bad_delay"),
        (another_thread_of_the_loop, "unrecorded_io"),
        (a_socket, "unrecorded_io"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_refused_with_its_code(handler: Any, code: str) -> None:
    failed(served(handler).begin(b""), code)


def test_a_handler_that_spins_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.sdk.loop.durable_loop.CALLBACKS_PER_RUN_MAX", 1000)
    text = failed(served(spinning).begin(b""), "spinning")
    assert "asyncio.sleep(0)" in text


def test_a_shared_handler_may_not_write() -> None:
    thing = VirtualObject("Thing")

    @thing.shared
    async def peek(ctx: SharedObjectContext) -> None:
        ctx.set("a", 1)  # type: ignore[attr-defined]

    text = failed(Fed(peek).begin(b"", key="k"), "write_in_shared_handler")
    assert "Thing/peek" in text


def test_a_step_result_that_cannot_be_written() -> None:
    async def handler(ctx: Context) -> None:
        async def make() -> object:
            return Opaque()

        await ctx.run(make)

    error = served(handler).begin(b"").finish_step().error()
    assert "the result of step make" in error.message
    assert error.related_command_name == "make"
    assert error.related_command_type == 0x0411


def test_a_handler_result_that_cannot_be_written() -> None:
    async def handler(ctx: Context) -> Any:
        return Opaque()

    error = served(handler).begin(b"").error()
    assert "the result of Story/handler" in error.message
    assert "test_attempt_misuse.py" in error.message


def test_a_context_in_a_step() -> None:
    async def handler(ctx: Context) -> None:
        async def make() -> None:
            await ctx.run(step)

        await ctx.run(make)

    fed = served(handler).begin(b"").finish_step()
    assert "test_attempt_misuse.py" in failed(fed, "context_in_step")


def test_a_context_in_a_thread() -> None:
    seen: list[BaseException] = []

    async def handler(ctx: Context) -> str:
        def work() -> None:
            try:
                ctx.run(step)
            except BaseException as error:
                seen.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(10)
        return "here"

    assert served(handler).begin(b"").result() == "here"
    assert isinstance(seen[0], UsageError)
    assert seen[0].code == "context_in_step"


@pytest.mark.parametrize("what", ["event", "queue", "task"])
def test_waking_the_handler_from_a_step(what: str) -> None:
    """Goal: no replay can go another way. Method: a step hands its result over by an asyncio primitive."""

    async def handler(ctx: Context) -> None:
        event = asyncio.Event()
        queue: asyncio.Queue[int] = asyncio.Queue()
        waiting = asyncio.create_task(event.wait())
        taking = asyncio.create_task(queue.get())
        await asyncio.sleep(0)

        async def hand_over() -> None:
            if what == "event":
                event.set()
            elif what == "queue":
                queue.put_nowait(1)
            else:
                waiting.cancel()

        await ctx.run(hand_over)
        await asyncio.gather(waiting, taking)

    failed(served(handler).begin(b"").finish_step(), "woken_from_outside")


def test_a_context_kept_after_the_end() -> None:
    kept: list[Context] = []

    async def handler(ctx: Context) -> None:
        kept.append(ctx)

    served(handler).begin(b"").result()
    with pytest.raises(UsageError, match="context_after_end"):
        kept[0].run(step)


def test_a_context_of_another_attempt() -> None:
    kept: list[Context] = []

    async def first(ctx: Context) -> None:
        kept.append(ctx)
        await ctx.sleep(1)

    async def second(ctx: Context) -> None:
        await kept[0].sleep(1)

    served(first).begin(b"")
    failed(served(second).begin(b""), "context_in_step")


# What handlers raise.


class Odd(BaseException):
    """Neither an Exception nor anything Python knows."""


@pytest.mark.parametrize(
    "raised", [SystemExit(3), KeyboardInterrupt(), Odd("odd"), GeneratorExit()], ids=repr
)
@pytest.mark.parametrize("where", ["handler", "task", "callback"])
def test_nothing_a_handler_raises_leaves_the_attempt(raised: BaseException, where: str) -> None:
    async def fail() -> None:
        raise raised

    def fail_now() -> None:
        raise raised

    async def handler(ctx: Context) -> None:
        if where == "callback":
            asyncio.get_running_loop().call_soon(fail_now)
            await ctx.sleep(1)
        elif where == "task":
            await asyncio.create_task(fail())
        else:
            await fail()

    error = served(handler).begin(b"").error()
    assert error.code == 500
    assert type(raised).__name__ in error.message


def test_an_ordinary_exception_is_retried_with_its_stack() -> None:
    async def handler(ctx: Context) -> None:
        ctx.send(PLAIN)
        raise ValueError("broken")

    error = served(handler).begin(b"").error()
    assert error.message == "ValueError: broken"
    assert "test_attempt_misuse.py" in error.stacktrace
    assert error.related_command_type == 0x040E


def test_a_group_of_terminal_errors_is_terminal() -> None:
    async def fail(code: int) -> None:
        raise TerminalError("gave up", code)

    async def handler(ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(418))
            group.create_task(fail(419))

    failure = served(handler).begin(b"").result()
    assert failure == m.Failure(418, "gave up")


def test_a_mixed_group_is_retried() -> None:
    async def handler(ctx: Context) -> None:
        raise ExceptionGroup("both", [TerminalError("gave up"), ValueError("broken")])

    assert "ExceptionGroup" in served(handler).begin(b"").error().message


def test_cancelled_error_raised_by_the_handler_itself() -> None:
    async def handler(ctx: Context) -> None:
        raise asyncio.CancelledError

    assert "asyncio.CancelledError" in served(handler).begin(b"").error().message


def test_the_end_of_the_attempt_raised_by_the_handler_itself() -> None:
    async def handler(ctx: Context) -> None:
        raise holdfast.sdk.errors.AttemptEnded

    assert served(handler).begin(b"").error().code == 500


def test_a_retryable_error_says_when() -> None:
    async def handler(ctx: Context) -> None:
        raise holdfast.RetryableError("busy", retry_after=3)

    assert served(handler).begin(b"").error().next_retry_delay == 3000


def test_an_error_without_a_text() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    async def handler(ctx: Context) -> None:
        raise Mute

    assert "Mute" in served(handler).begin(b"").error().message


def test_a_huge_error_text_is_cut() -> None:
    async def handler(ctx: Context) -> None:
        raise ValueError("x" * 1_000_000)

    assert len(served(handler).begin(b"").error().message) < 20_000


# Deadlocks, generators, tasks left behind.


def test_a_deadlock_is_named_when_the_input_closes() -> None:
    async def handler(ctx: Context) -> None:
        await asyncio.Event().wait()

    fed = served(handler).begin(b"")
    assert not fed.attempt.ended
    message = fed.close().error().message
    assert "deadlock" in message
    assert "test_attempt_misuse.py" in message


def test_a_generator_left_open_is_closed_in_the_handler() -> None:
    """Goal: its `finally` may use the context. Method: `break` drops it; the next wait lets it be closed."""

    async def handler(ctx: Context) -> list[str]:
        seen: list[str] = []

        async def numbers() -> AsyncIterator[int]:
            try:
                yield 1
                yield 2
            finally:
                await ctx.sleep(1)
                seen.append("closed")

        async for _ in numbers():
            break
        await ctx.sleep(2)
        return seen

    fed = served(handler).begin(b"").feed(slept(2), slept(1))
    assert fed.result() == ["closed"]


def test_a_generator_kept_open_is_closed_with_the_attempt() -> None:
    seen: list[str] = []

    async def handler(ctx: Context) -> None:
        async def numbers() -> AsyncIterator[int]:
            try:
                yield 1
            finally:
                seen.append("closing")
                await ctx.sleep(1)
                seen.append("never")

        generator = numbers()
        await anext(generator)
        await ctx.sleep(5)

    served(handler, version=6).begin(b"").close()
    assert seen == ["closing"]


def test_tasks_left_behind_end_with_the_handler() -> None:
    seen: list[str] = []

    async def handler(ctx: Context) -> str:
        async def forever() -> None:
            try:
                while True:
                    await ctx.sleep(1)
            finally:
                seen.append("unwound")

        asyncio.create_task(forever())  # noqa: RUF006 - left behind on purpose
        await ctx.sleep(2)
        return "done"

    fed = served(handler).begin(b"").feed(slept(1))
    assert fed.result() == "done"
    assert seen == ["unwound"]


def test_finally_blocks_run_when_an_attempt_is_suspended_and_may_not_wait() -> None:
    seen: list[str] = []

    async def handler(ctx: Context) -> None:
        try:
            await ctx.sleep(10)
        finally:
            seen.append("finally")
            await ctx.run(step)
            seen.append("never")

    fed = served(handler).begin(b"").close()
    assert fed.names() == ["Sleep", "Suspension"]
    assert seen == ["finally"]


@pytest.mark.parametrize("what", ["context", "asyncio"])
def test_code_that_will_not_be_unwound_is_dropped(what: str) -> None:
    stubborn = [True]

    async def handler(ctx: Context) -> None:
        with suppress(BaseException):
            await ctx.sleep(10)
        while stubborn:
            with suppress(BaseException):
                await (ctx.sleep(10) if what == "context" else asyncio.Event().wait())

    fed = served(handler).begin(b"").close()
    assert fed.names() == ["Sleep", "Suspension"]
    stubborn.clear()


def test_an_exclusive_handler_reads_its_own_writes() -> None:
    thing = VirtualObject("Thing")

    @thing.handler
    async def write(ctx: ObjectContext) -> list[Any]:
        ctx.set("a", 1)
        first = await ctx.get("a", int)
        ctx.clear_all()
        return [first, await ctx.get("a", int), await ctx.state_keys()]

    assert Fed(write).begin(b"", key="k", partial_state=True).result() == [1, None, []]
