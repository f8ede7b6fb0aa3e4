"""The interop services on the official Python SDK, served by Hypercorn.

The contract (names, arguments, answers, side effects) is the same as in ../typescript/app.mjs; the tests
do not know which one they talk to. Handler names are camel case because names are part of the contract.

PORT                where to listen
REQUEST_RESPONSE    set: HTTP/1.1, request/response; else HTTP/2, full duplex
PREFIX              of the service names, Py by default
MAX_REQUESTS        before a connection is closed with GOAWAY; Hypercorn's own default is 1000
TIMEOUT_MS          inactivity and abort timeout of every service
SIDE_EFFECTS_FILE   one line per side effect: invocation id, tab, label
"""

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import NoReturn, TypedDict, cast

import hypercorn.asyncio
import hypercorn.config
import restate
from restate import (
    Context,
    InvocationRetryPolicy,
    ObjectContext,
    ObjectSharedContext,
    RestateDurableFuture,
    RunOptions,
    Service,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
)
from restate.exceptions import RetryableError

EFFECTS = Path(os.environ["SIDE_EFFECTS_FILE"])
HOUR = timedelta(hours=1)

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class Target(TypedDict, total=False):
    service: str
    key: str | None
    handler: str
    argument: Json
    delayMs: int
    idempotencyKey: str


class Options(TypedDict, total=False):
    invocation_retry_policy: InvocationRetryPolicy
    inactivity_timeout: timedelta
    abort_timeout: timedelta


def write(invocation_id: str, label: str) -> None:
    """Append one side effect, with one write."""
    with EFFECTS.open("ab", buffering=0) as file:
        file.write(f"{invocation_id}\t{label}\n".encode())


def written(invocation_id: str, label: str) -> int:
    return EFFECTS.read_text().splitlines().count(f"{invocation_id}\t{label}")


def step(ctx: Context, label: str) -> RestateDurableFuture[str]:
    """A durable step whose execution the tests can count."""
    invocation_id = ctx.request().id

    async def body() -> str:
        write(invocation_id, label)
        return label

    return ctx.run_typed(label, body)


def ms(milliseconds: float) -> timedelta:
    return timedelta(milliseconds=milliseconds)


def retries(attempts: int, then: str) -> InvocationRetryPolicy:
    return InvocationRetryPolicy(
        initial_interval=ms(20),
        exponentiation_factor=1.5,
        max_interval=ms(200),
        max_attempts=attempts,
        on_max_attempts="pause" if then == "pause" else "kill",
    )


def run_options(attempts: int) -> RunOptions[int]:
    return RunOptions(
        max_attempts=attempts,
        initial_retry_interval=ms(10),
        retry_interval_factor=1.5,
        max_retry_interval=ms(100),
    )


def encode(target: Target) -> bytes:
    return json.dumps(target["argument"]).encode() if "argument" in target else b""


def decode(answer: bytes) -> Json:
    return cast(Json, json.loads(answer)) if answer else None


def actions(prefix: str, options: Options) -> Service:
    service = Service(f"{prefix}Actions", **options)

    def on_self(ctx: Context, handler: str, argument: bytes) -> restate.RestateDurableCallFuture[bytes]:
        return ctx.generic_call(f"{prefix}Actions", handler, argument)

    @service.handler()
    async def echo(_ctx: Context, value: Json) -> Json:
        return value

    @service.handler()
    async def headers(ctx: Context) -> dict[str, str]:
        return ctx.request().headers

    @service.handler()
    async def steps(ctx: Context, count: int) -> list[str]:
        return [await step(ctx, f"step {i}") for i in range(count)]

    @service.handler("runFailsThenSucceeds")
    async def run_fails_then_succeeds(ctx: Context, times: int) -> int:
        invocation_id = ctx.request().id

        async def body() -> int:
            write(invocation_id, "attempt")
            attempt = written(invocation_id, "attempt")
            if attempt <= times:
                raise ValueError(f"attempt {attempt} fails")
            return attempt

        return await ctx.run_typed("unlucky", body, run_options(20))

    @service.handler("runGivesUp")
    async def run_gives_up(ctx: Context) -> str:
        invocation_id = ctx.request().id

        async def body() -> int:
            write(invocation_id, "attempt")
            raise ValueError("never works")

        try:
            await ctx.run_typed("hopeless", body, run_options(3))
        except TerminalError:
            return "gave up"
        return "worked"

    @service.handler("runFailsForGood")
    async def run_fails_for_good(ctx: Context) -> None:
        invocation_id = ctx.request().id

        async def body() -> NoReturn:
            write(invocation_id, "attempt")
            raise TerminalError("short and stout", 418)

        await ctx.run_typed("teapot", body)

    @service.handler()
    async def fails(_ctx: Context, failure: dict[str, Json]) -> None:
        metadata = cast(dict[str, str] | None, failure.get("metadata"))
        raise TerminalError(str(failure["message"]), cast(int, failure["code"]), metadata)

    @service.handler()
    async def flaky(ctx: Context, times: int) -> int:
        invocation_id = ctx.request().id
        write(invocation_id, "attempt")
        attempt = written(invocation_id, "attempt")
        if attempt <= times:
            raise ValueError(f"attempt {attempt} fails")
        return attempt

    @service.handler("retryAfter")
    async def retry_after(ctx: Context, delay_ms: int) -> str:
        invocation_id = ctx.request().id
        write(invocation_id, "attempt")
        if written(invocation_id, "attempt") == 1:
            raise RetryableError("later", retry_after=ms(delay_ms))
        return "recovered"

    @service.handler("untilFixed", invocation_retry_policy=retries(2, "pause"))
    async def until_fixed(ctx: Context) -> str:
        await step(ctx, "before")
        if not written(ctx.request().id, "fixed"):
            raise ValueError("not fixed yet")
        return "fixed"

    @service.handler("killedByPolicy", invocation_retry_policy=retries(2, "kill"))
    async def killed_by_policy(_ctx: Context) -> None:
        raise ValueError("always fails")

    @service.handler()
    async def nap(ctx: Context, duration_ms: int) -> str:
        await ctx.sleep(ms(duration_ms), "nap")
        return "rested"

    @service.handler("callEcho")
    async def call_echo(ctx: Context, value: Json) -> Json:
        return await ctx.service_call(echo, value)

    @service.handler("callMany")
    async def call_many(ctx: Context, count: int) -> list[Json]:
        calls = [ctx.service_call(echo, i) for i in range(count)]
        return [await call for call in await restate.gather(*calls)]

    @service.handler()
    async def call(ctx: Context, target: Target) -> Json:
        key = target.get("key")
        return decode(await ctx.generic_call(target["service"], target["handler"], encode(target), key))

    @service.handler()
    async def send(ctx: Context, target: Target) -> str:
        handle = ctx.generic_send(
            target["service"],
            target["handler"],
            encode(target),
            target.get("key"),
            ms(target["delayMs"]) if "delayMs" in target else None,
            target.get("idempotencyKey"),
        )
        return await handle.invocation_id()

    @service.handler("callThenCancel")
    async def call_then_cancel(ctx: Context) -> int:
        future = on_self(ctx, "nap", b"3600000")
        ctx.cancel_invocation(await future.invocation_id())
        try:
            await future
        except TerminalError as error:
            return error.status_code
        return 200

    @service.handler("waitAwakeable")
    async def wait_awakeable(ctx: Context) -> Json:
        awakeable_id, future = ctx.awakeable(type_hint=object)
        await step(ctx, f"awakeable {awakeable_id}")
        return cast(Json, await future)

    @service.handler("resolveAwakeable")
    async def resolve_awakeable(ctx: Context, request: dict[str, Json]) -> None:
        ctx.resolve_awakeable(str(request["id"]), request["value"])

    @service.handler("rejectAwakeable")
    async def reject_awakeable(ctx: Context, request: dict[str, str]) -> None:
        ctx.reject_awakeable(request["id"], request["reason"])

    @service.handler("waitSignal")
    async def wait_signal(ctx: Context, name: str) -> Json:
        await step(ctx, "waiting")
        return cast(Json, await ctx.signal(name))

    @service.handler("resolveSignal")
    async def resolve_signal(ctx: Context, request: dict[str, Json]) -> None:
        ctx.resolve_signal(str(request["id"]), str(request["name"]), request["value"])

    @service.handler("rejectSignal")
    async def reject_signal(ctx: Context, request: dict[str, str]) -> None:
        ctx.reject_signal(request["id"], request["name"], request["reason"])

    @service.handler("attachTo")
    async def attach_to(ctx: Context, invocation_id: str) -> Json:
        return cast(Json, await ctx.attach_invocation(invocation_id))

    @service.handler("cancelOther")
    async def cancel_other(ctx: Context, invocation_id: str) -> None:
        ctx.cancel_invocation(invocation_id)

    @service.handler()
    async def identity(ctx: Context) -> Json:
        # What the first attempt drew is journaled; every later attempt draws again from the same seed.
        drawn: dict[str, Json] = {"uuid": str(ctx.uuid()), "number": ctx.random().random()}

        async def body() -> Json:
            return drawn

        journaled = await ctx.run_typed("drawn", body)
        await ctx.sleep(ms(10))
        return {"drawn": drawn, "journaled": journaled}

    @service.handler()
    async def now(ctx: Context) -> float:
        first = await ctx.time()
        await ctx.sleep(ms(10))
        return first * 1000

    @service.handler()
    async def combine(ctx: Context) -> Json:
        def ok(label: str) -> RestateDurableFuture[str]:
            async def body() -> str:
                return label

            return ctx.run_typed(label, body)

        def bad(label: str) -> RestateDurableFuture[str]:
            async def body() -> str:
                raise TerminalError(label, 418)

            return ctx.run_typed(label, body)

        async def outcome(future: RestateDurableFuture[str]) -> str:
            try:
                return await future
            except TerminalError as error:
                return error.message

        settled = [await outcome(future) for future in await restate.gather(ok("fine"), bad("broken"))]
        early, late = ok("early"), ctx.sleep(HOUR)
        name, _ = await restate.select(early=early, late=late)
        any_succeeded = ""
        async for future in restate.as_completed(bad("first"), ok("second")):
            with_outcome = await outcome(future)
            if with_outcome == "second":
                any_succeeded = with_outcome
                break
        first_two = [ok("a"), ok("b")]
        nap_5 = ctx.sleep(ms(5))
        await restate.gather(*first_two, nap_5)
        everything = [await future for future in first_two]
        return {
            "race": name,
            "any": any_succeeded,
            "all": [*everything, "c"],
            "settled": [*settled],
        }

    @service.handler()
    async def timeout(ctx: Context, duration_ms: int) -> str:
        _, never = ctx.awakeable(type_hint=object)
        name, _ = await restate.select(value=never, timeout=ctx.sleep(ms(duration_ms)))
        return "timed out" if name == "timeout" else "answered"

    @service.handler()
    async def cleanup(ctx: Context) -> None:
        await step(ctx, "started")
        try:
            await ctx.sleep(HOUR)
        except TerminalError:
            await step(ctx, "cleaned up")
            raise

    @service.handler()
    async def outer(ctx: Context) -> None:
        future = on_self(ctx, "cleanup", b"")
        await step(ctx, f"callee {await future.invocation_id()}")
        try:
            await future
        except TerminalError:
            await step(ctx, "outer cleaned up")
            raise

    return service


def counter(name: str, options: Options, lazy: bool = False) -> VirtualObject:
    counter_object = VirtualObject(name, enable_lazy_state=lazy, **options)

    @counter_object.handler()
    async def add(ctx: ObjectContext, amount: int) -> int:
        total = (await ctx.get("total", type_hint=int) or 0) + amount
        ctx.set("total", total)
        return total

    @counter_object.handler("addSlowly")
    async def add_slowly(ctx: ObjectContext, amount: int) -> int:
        # Reads, waits and writes: lost updates would show if two ran at once on one key.
        before = await ctx.get("total", type_hint=int) or 0
        await step(ctx, "slowly")
        await ctx.sleep(ms(5))
        ctx.set("total", before + amount)
        return before + amount

    @counter_object.handler(kind="shared")
    async def get(ctx: ObjectSharedContext) -> int | None:
        return await ctx.get("total", type_hint=int)

    @counter_object.handler(kind="shared")
    async def keys(ctx: ObjectSharedContext) -> list[str]:
        return sorted(await ctx.state_keys())

    @counter_object.handler()
    async def put(ctx: ObjectContext, entries: dict[str, Json]) -> list[str]:
        for key, value in entries.items():
            ctx.set(key, value)
        return sorted(await ctx.state_keys())

    @counter_object.handler()
    async def clear(ctx: ObjectContext, key: str) -> None:
        ctx.clear(key)

    @counter_object.handler("clearAll")
    async def clear_all(ctx: ObjectContext) -> None:
        ctx.clear_all()

    @counter_object.handler()
    async def append(ctx: ObjectContext, item: Json) -> list[Json]:
        items = [*(await ctx.get("items", type_hint=list) or []), item]
        ctx.set("items", items)
        return items

    @counter_object.handler()
    async def hold(ctx: ObjectContext) -> Json:
        awakeable_id, future = ctx.awakeable(type_hint=object)
        await step(ctx, f"awakeable {awakeable_id}")
        return cast(Json, await future)

    return counter_object


def flow(name: str, options: Options) -> Workflow:
    workflow = Workflow(name, **options)

    @workflow.main()
    async def run(ctx: WorkflowContext, value: Json) -> Json:
        ctx.set("stage", "waiting")
        await step(ctx, "run")
        decision = cast(Json, await ctx.promise("approval").value())
        ctx.set("stage", "decided")
        return {"key": ctx.key(), "input": value, "decision": decision}

    @workflow.handler()
    async def approve(ctx: WorkflowSharedContext, value: Json) -> None:
        await ctx.promise("approval", type_hint=object).resolve(value)

    @workflow.handler()
    async def reject(ctx: WorkflowSharedContext, reason: str) -> None:
        await ctx.promise("approval").reject(reason)

    @workflow.handler()
    async def peek(ctx: WorkflowSharedContext) -> Json:
        return cast(Json, await ctx.promise("approval").peek())

    @workflow.handler()
    async def stage(ctx: WorkflowSharedContext) -> str | None:
        return await ctx.get("stage", type_hint=str)

    return workflow


def secret(name: str, options: Options) -> Service:
    service = Service(name, ingress_private=True, **options)

    @service.handler()
    async def tell(_ctx: Context) -> str:
        return "told"

    return service


def definitions(prefix: str, options: Options) -> list[Service | VirtualObject | Workflow]:
    return [
        actions(prefix, options),
        counter(f"{prefix}Counter", options),
        counter(f"{prefix}LazyCounter", options, lazy=True),
        flow(f"{prefix}Flow", options),
        secret(f"{prefix}Secret", options),
    ]


def main() -> None:
    logging.getLogger("restate").setLevel(logging.ERROR)
    prefix = os.environ.get("PREFIX", "Py")
    common: Options = {"invocation_retry_policy": retries(50, "pause")}
    if "TIMEOUT_MS" in os.environ:
        common["inactivity_timeout"] = common["abort_timeout"] = ms(float(os.environ["TIMEOUT_MS"]))
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{os.environ['PORT']}"]
    config.loglevel = "ERROR"
    config.graceful_timeout = 0.2
    config.keep_alive_max_requests = int(os.environ.get("MAX_REQUESTS", "1000000000"))
    if os.environ.get("REQUEST_RESPONSE"):
        services = definitions(f"{prefix}Rr", common)
        config.alpn_protocols = ["http/1.1"]
    else:
        services = [
            *definitions(prefix, common),
            *definitions(f"{prefix}Idle", {**common, "inactivity_timeout": timedelta(0)}),
        ]
    app = restate.app(services=services)
    serve = cast(Callable[[object, hypercorn.config.Config], Awaitable[None]], hypercorn.asyncio.serve)

    async def run() -> None:
        await serve(app, config)

    asyncio.run(run())


if __name__ == "__main__":
    main()
