"""Calls, sends, handles of invocations, awakeables and signals."""

import asyncio
from typing import Any, Unpack

from sdk_suite.services.effects import mark
from sdk_suite.services.nouns import Order

import holdfast
from holdfast import Context, TerminalError
from holdfast.sdk.options import ServiceKeywords

HOUR_S = 3600.0


def leaf(prefix: str, **options: Unpack[ServiceKeywords]) -> holdfast.Service:
    """`{prefix}Leaf`: what the others call."""
    service = holdfast.Service(f"{prefix}Leaf", **options)

    @service.handler
    async def echo(value: Any) -> Any:
        return value

    @service.handler
    async def ping(ctx: Context) -> str:
        return "pong"

    @service.handler
    async def order(ctx: Context, given: Order) -> Order:
        return Order(given.item.upper(), given.count + 1)

    @service.handler
    async def fails(ctx: Context, message: str) -> str:
        raise TerminalError(message, 418, {"why": message})

    @service.handler
    async def headers(ctx: Context) -> dict[str, str]:
        return dict(ctx.request.headers)

    @service.handler
    async def nap(ctx: Context, seconds: float) -> str:
        try:
            await mark("started", ctx)
            await ctx.sleep(seconds)
        except holdfast.InvocationCancelled:
            await mark("cleaned up", ctx)
            raise
        return "rested"

    @service.handler
    async def effect(ctx: Context, label: str) -> str:
        await mark(label, ctx)
        return ctx.invocation_id

    return service


def calls(prefix: str, leaf: holdfast.Service, **options: Unpack[ServiceKeywords]) -> holdfast.Service:
    """`{prefix}Calls`."""
    service = holdfast.Service(f"{prefix}Calls", **options)
    echo, ping, order, fails, headers, nap, effect = (leaf.handlers[name] for name in
        ("echo", "ping", "order", "fails", "headers", "nap", "effect"))  # fmt: skip

    @service.handler
    async def by_reference(ctx: Context) -> dict[str, object]:
        ordered = await ctx.call(order, Order("tea", 1))
        return {
            "echo": await ctx.call(echo, {"a": [1, None]}),
            "ping": await ctx.call(ping),
            "order": [type(ordered).__name__, ordered.item, ordered.count],
            "parallel": await asyncio.gather(*(ctx.call(echo, index) for index in range(5))),
        }

    @service.handler
    async def by_name(ctx: Context, key: str) -> dict[str, object]:
        remote = holdfast.remote
        to_service = remote(f"{prefix}Leaf", "echo", input=object, output=object)
        to_typed = remote(f"{prefix}Leaf", "order", input=Order, output=Order)
        to_object = remote(f"{prefix}Store", "add", input=int, output=int)
        to_workflow = remote(f"{prefix}Flow", "run", input=str, output=str, keyed=True)
        approve = remote(f"{prefix}Flow", "approve", input=bool)
        # The workflow waits for the approval, so it is started first and awaited last.
        running = ctx.call(to_workflow, "Ada", key=key)
        await ctx.call(approve, True, key=key)
        return {
            "service": await ctx.call(to_service, "x"),
            "typed": (await ctx.call(to_typed, Order("tea", 1))).item,
            "object": [await ctx.call(to_object, 2, key=key), await ctx.call(to_object, 3, key=key)],
            "workflow": await running,
        }

    @service.handler
    async def anybody(ctx: Context, target: dict[str, Any]) -> Any:
        """Calls what it is told, wherever and in whatever language it is written."""
        remote = holdfast.remote(target["service"], target["handler"], input=object, output=object)
        try:
            return await ctx.call(remote, target.get("argument"), key=target.get("key"))
        except TerminalError as error:
            return [error.code, error.message, dict(error.metadata)]

    @service.handler
    async def failure(ctx: Context) -> list[object]:
        try:
            await ctx.call(fails, "sorry")
        except TerminalError as error:
            return [error.code, error.message, dict(error.metadata)]
        return []

    @service.handler
    async def failure_uncaught(ctx: Context) -> None:
        await ctx.call(fails, "sorry")

    @service.handler
    async def with_headers(ctx: Context) -> dict[str, str]:
        return await ctx.call(headers, headers={"x-Colour": "blue", "x-shape": "round"})

    @service.handler
    async def idempotent(ctx: Context, key: str) -> dict[str, object]:
        first = ctx.call(effect, "once", idempotency_key=key)
        second = ctx.call(effect, "once", idempotency_key=key)
        results = [await first, await second]
        sent = await ctx.send(effect, "once", idempotency_key=key).invocation_id()
        return {"results": results, "ids": [await first.invocation_id(), sent]}

    @service.handler
    async def sends(ctx: Context, delay_s: float) -> str:
        handle = ctx.send(effect, "sent", delay=delay_s or None)
        return await handle.invocation_id()

    @service.handler
    async def cancels_a_callee(ctx: Context) -> list[object]:
        call = ctx.call(nap, HOUR_S)
        id_ = await call.invocation_id()
        await call.cancel_invocation()
        try:
            await call
        except TerminalError as error:
            return [id_, error.code]
        return [id_, 200]

    @service.handler
    async def cancels_a_send(ctx: Context) -> str:
        handle = ctx.send(nap, HOUR_S)
        await handle.cancel()
        return await handle.invocation_id()

    @service.handler
    async def cancels(ctx: Context, invocation_id: str) -> None:
        ctx.cancel(invocation_id)

    @service.handler
    async def attaches(ctx: Context) -> dict[str, object]:
        id_ = await ctx.send(order, Order("tea", 1)).invocation_id()
        attached = await ctx.invocation(id_, Order).attach()
        output = await ctx.invocation(id_, Order).output()
        return {"attached": attached.item, "output": output.item if output else None}

    @service.handler
    async def output_of_running(ctx: Context) -> object:
        handle = ctx.send(nap, HOUR_S)
        id_ = await handle.invocation_id()
        output = await ctx.invocation(id_, str).output()
        await handle.cancel()
        return output

    @service.handler
    async def attach_failure(ctx: Context, invocation_id: str) -> list[object]:
        try:
            await ctx.invocation(invocation_id, str).attach()
        except TerminalError as error:
            return [error.code, error.message]
        return []

    @service.handler
    async def stops_waiting(ctx: Context) -> str:
        """A call given up on goes on: only `cancel_invocation` ends it."""
        call = ctx.call(nap, 0.05)
        id_ = await call.invocation_id()
        try:
            async with asyncio.timeout(0.005):
                await call
        except TimeoutError:
            return id_
        return "answered"

    @service.handler
    async def awaits(ctx: Context) -> object:
        awakeable = ctx.awakeable(Order)
        await mark(f"awakeable {awakeable.id}", ctx)
        order = await awakeable
        return [type(order).__name__, order.item, order.count]

    @service.handler
    async def awaits_two(ctx: Context) -> list[str]:
        first, second = ctx.awakeable(str), ctx.awakeable(str)
        await mark(f"first {first.id}", ctx)
        await mark(f"second {second.id}", ctx)
        return list(await asyncio.gather(first.future, second.future))

    @service.handler
    async def awaits_itself(ctx: Context) -> str:
        awakeable = ctx.awakeable(str)
        ctx.resolve_awakeable(awakeable.id, "from within")
        return await awakeable

    @service.handler
    async def awaits_anything(ctx: Context) -> list[object]:
        awakeable = ctx.awakeable()
        await mark(f"awakeable {awakeable.id}", ctx)
        return ["came", await awakeable]

    @service.handler
    async def resolves_with_nothing(ctx: Context, id_: str) -> None:
        ctx.resolve_awakeable(id_)

    @service.handler
    async def resolves(ctx: Context, id_: str) -> None:
        ctx.resolve_awakeable(id_, Order("coffee", 2))

    @service.handler
    async def rejects(ctx: Context, id_: str) -> None:
        ctx.reject_awakeable(id_, "no coffee", 503)

    @service.handler
    async def awaits_signals(ctx: Context) -> list[object]:
        await mark("waiting", ctx)
        first = await ctx.signal("order", Order)
        second = await ctx.signal("order", Order)
        try:
            await ctx.signal("stop")
        except TerminalError as error:
            return [first.item, second.item, error.code, error.message]
        return []

    @service.handler
    async def signals(ctx: Context, id_: str) -> None:
        order = ctx.invocation(id_).signal("order")
        order.resolve(Order("tea", 1))
        order.resolve(Order("coffee", 1))
        ctx.invocation(id_).signal("stop").reject("enough", 429)

    @service.handler
    async def request(ctx: Context, value: object) -> dict[str, object]:
        request = ctx.request
        return {
            "id": request.invocation_id,
            "same": request.invocation_id == ctx.invocation_id,
            "key": request.key,
            "idempotency_key": request.idempotency_key,
            "headers": {name: text for name, text in request.headers.items() if name.startswith("x-")},
            "body": request.body.decode(),
            "value": value,
        }

    return service
