"""The line to paste is one that the handler takes."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest

import holdfast
from holdfast.cli.curl_line import curl_arguments, sample
from holdfast.sdk.serde import serde_for


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Line:
    item: str
    count: int
    note: str | None = None


@dataclass
class Order:
    name: str
    lines: list[Line]
    due: datetime
    colour: Colour
    tags: dict[str, str] = field(default_factory=dict[str, str])


@pytest.mark.parametrize(
    "annotation",
    [
        str,
        int,
        float,
        bool,
        Order,
        list[Line],
        dict[str, int],
        tuple[int, str],
        datetime,
        date,
        timedelta,
        UUID,
        Decimal,
        Colour,
        Literal["a", "b"],
        int | None,
        list[str] | int,
        Annotated[int, msgspec.Meta(ge=18)],
        Annotated[int, msgspec.Meta(gt=100)],
        set[str],
        object,
    ],
)
def test_the_line_of_a_handler_is_one_it_can_read(annotation: Any) -> None:
    service = holdfast.Service("Any")

    async def take(value: object) -> None: ...

    take.__annotations__["value"] = annotation
    handler = service.handler(take)
    path, arguments = curl_arguments([service]) or ("", "")
    option, data = shlex.split(arguments)
    assert (path, option) == ("Any/take", "--json")
    handler.input.deserialize(data.encode())


def test_names_and_values_of_an_order() -> None:
    schema = serde_for(Order).schema()
    assert schema is not None
    assert sample(schema, schema) == {
        "name": "Ada",
        "lines": [{"item": "item", "count": 1}],
        "due": "due",
        "colour": "blue",
    }


def test_public_handlers_come_first_and_keys_are_given() -> None:
    hidden, counter = holdfast.Service("Hidden", private=True), holdfast.VirtualObject("Counter")

    @hidden.handler
    async def secret(name: str) -> None: ...

    @counter.handler
    async def reset(ctx: holdfast.ObjectContext) -> None: ...

    @counter.handler
    async def upload(ctx: holdfast.ObjectContext, data: bytes) -> None: ...

    assert curl_arguments([hidden, counter]) == ("Counter/my-key/reset", "-X POST")
    assert curl_arguments([hidden]) == ("Hidden/secret", "--json '\"Ada\"'")
    del counter.handlers["reset"]
    path, arguments = curl_arguments([counter]) or ("", "")
    assert path == "Counter/my-key/upload"
    assert shlex.split(arguments) == [
        "--data-binary",
        "hello",
        "-H",
        "content-type: application/octet-stream",
    ]
    assert curl_arguments([]) is None
