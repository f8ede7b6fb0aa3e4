"""Inputs and outputs of every kind, and what a deployment tells about its handlers."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Unpack

from sdk_suite.services.nouns import Customer, Order, Point

import holdfast
from holdfast import Context, InvocationRetry
from holdfast.sdk.errors import DeserializeError
from holdfast.sdk.options import ServiceKeywords


class Csv:
    """A serde of the suite's own: rows of text."""

    content_type = "text/csv"

    def serialize(self, value: list[list[str]], /) -> bytes:
        return "\n".join(",".join(row) for row in value).encode()

    def deserialize(self, data: bytes, /) -> list[list[str]]:
        return [line.split(",") for line in data.decode().splitlines()]

    def schema(self) -> None:
        return None


class Reversed:
    """A codec that a test can undo by eye."""

    def encode(self, data: bytes, /) -> bytes:
        return b"~" + data[::-1]

    def decode(self, data: bytes, /) -> bytes:
        if not data.startswith(b"~"):
            raise DeserializeError("bad_payload", "not written by this codec")
        return data[:0:-1]


def payloads(prefix: str, **options: Unpack[ServiceKeywords]) -> holdfast.Service:
    """`{prefix}Payloads`."""
    service = holdfast.Service(f"{prefix}Payloads", **options)

    @service.handler
    async def raw(ctx: Context, data: bytes) -> bytes:
        return data[::-1]

    @service.handler
    async def none(ctx: Context) -> None:
        return None

    @service.handler
    async def without_context(number: int) -> int:
        return number + 1

    @service.handler
    async def nothing_at_all() -> str:
        return "nothing"

    @service.handler
    async def model(ctx: Context, customer: Customer) -> Customer:
        await ctx.sleep(0.001)
        return customer.model_copy(update={"age": customer.age + 1})

    @service.handler
    async def record(ctx: Context, order: Order) -> list[Order]:
        return [order, Order(order.item, order.count + 1)]

    @service.handler
    async def typed_dict(ctx: Context, point: Point) -> Point:
        return {"x": point["y"], "y": point["x"]}

    @service.handler
    async def optional(ctx: Context, name: str | None = "nobody") -> str:
        return f"hello {name}"

    @service.handler
    async def mapping(ctx: Context, values: Mapping[str, list[int]]) -> int:
        return sum(sum(value) for value in values.values())

    @service.handler(input_serde=Csv(), output_serde=Csv())
    async def csv(ctx: Context, rows: list[list[str]]) -> list[list[str]]:
        return [row[::-1] for row in rows]

    return service


def described(prefix: str) -> holdfast.Service:
    """`{prefix}Described`: every option there is."""
    service = holdfast.Service(
        f"{prefix}Described",
        inactivity_timeout=timedelta(seconds=30),
        abort_timeout=45,
        journal_retention=timedelta(hours=2),
        idempotency_retention=timedelta(hours=3),
        retry=InvocationRetry(initial_interval=0.05, max_interval=1, factor=2.0, max_attempts=9),
        metadata={"team": "tea"},
        documentation="All options.",
    )

    @service.handler(metadata={"owner": "Ada"}, journal_retention=60, retry=InvocationRetry(max_attempts=3))
    async def documented(ctx: Context, customer: Customer) -> Order:
        """What it does.

        And why.
        """
        return Order(customer.name, 1)

    @service.handler(private=True)
    async def hidden(ctx: Context) -> str:
        return "found"

    @service.handler
    async def calls_hidden(ctx: Context) -> str:
        return await ctx.call(hidden)

    return service


def secret(prefix: str) -> holdfast.Service:
    """`{prefix}Secret`: private as a whole."""
    service = holdfast.Service(f"{prefix}Secret", private=True)

    @service.handler
    async def tell(ctx: Context) -> str:
        return "secret"

    return service
