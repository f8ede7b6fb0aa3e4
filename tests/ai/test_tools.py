"""`@tool`: what a model is told of a function, and what the function is told by a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import msgspec
import pytest

import holdfast
from holdfast import Retry, TerminalError, testing
from holdfast.ai import Toolbox, tool
from holdfast.ai.tools import BadArguments


@dataclass
class Account:
    """Who is paid."""

    iban: str
    owner: str | None = None


@tool
async def wire(
    to: Account,
    usd: Annotated[int, msgspec.Meta(gt=0, description="whole dollars")],
    speed: Literal["slow", "fast"] = "slow",
    tags: list[str] = [],  # noqa: B006 - what users write
) -> dict[str, object]:
    """Wire money.

    It does not come back.
    """
    return {"to": to.iban, "usd": usd, "speed": speed, "tags": tags}


@tool(retry=Retry(max_attempts=1))
def broken() -> str:
    raise RuntimeError("the bank is closed")


service = holdfast.Service("Tools")


@service.handler()
async def answer(ctx: holdfast.Context, call: dict[str, Any]) -> dict[str, str]:
    chosen = {"wire": wire, "broken": broken}[call["function"]["name"]]
    return await chosen.answer(call)


@service.handler()
async def directly(ctx: holdfast.Context) -> dict[str, object]:
    return await wire(Account("DE1"), 5, speed="fast")


def asked(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def told(call: dict[str, Any]) -> str:
    """What the model is told, by a handler."""

    async def scenario(env: testing.Harness) -> dict[str, str]:
        return await env.call(answer, call)

    message = testing.run(service, scenario)
    assert (message["role"], message["tool_call_id"]) == ("tool", "call_1")
    return message["content"]


def test_a_model_is_told_name_purpose_and_parameters() -> None:
    schema = wire.schema()
    function = schema["function"]
    assert (schema["type"], function["name"]) == ("function", "wire")
    assert function["description"] == "Wire money.\n\nIt does not come back."
    parameters = function["parameters"]
    assert parameters["required"] == ["to", "usd"]
    assert parameters["additionalProperties"] is False
    assert parameters["properties"]["usd"] == {
        "type": "integer",
        "exclusiveMinimum": 0,
        "description": "whole dollars",
    }
    assert set(parameters["$defs"]) == {"Account"}
    assert parameters["properties"]["to"] == {"$ref": "#/$defs/Account"}


def test_a_tool_without_parameters_has_none() -> None:
    assert broken.schema()["function"]["parameters"] == {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }


def test_arguments_come_as_the_function_declares_them() -> None:
    content = told(asked("wire", '{"to": {"iban": "DE1"}, "usd": 5, "tags": ["rent"]}'))
    assert msgspec.json.decode(content) == {"to": "DE1", "usd": 5, "speed": "slow", "tags": ["rent"]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("{to: 5}", "malformed"),
        ('{"to": {"iban": "DE1"}}', "usd"),
        ('{"to": {"iban": "DE1"}, "usd": -5}', ">= 1"),
        ('{"to": {"iban": "DE1"}, "usd": 5, "sped": "fast"}', "sped"),
        ('{"to": {"iban": "DE1"}, "usd": 5, "speed": "warp"}', "warp"),
        ("[]", "array"),
        ("\ud800", "malformed"),
    ],
)
def test_arguments_that_do_not_parse_are_told_to_the_model(arguments: str, says: str) -> None:
    with pytest.raises(BadArguments, match=says):
        wire.read(arguments)


def test_the_model_may_try_again() -> None:
    content = told(asked("wire", '{"usd": "five"}'))
    assert content.startswith("The arguments cannot be read: ")
    assert '"five"' in content


def test_a_tool_that_fails_for_good_is_told_to_the_model() -> None:
    content = told(asked("broken", ""))
    assert content.startswith("The tool failed: ")
    assert "the bank is closed" in content


def test_a_tool_call_may_be_an_object_of_a_vendor() -> None:
    call = SimpleNamespace(id="c", function=SimpleNamespace(name="wire", arguments='{"usd": 1}'))
    message = asyncio.run(wire.answer(call))
    assert message["tool_call_id"] == "c"
    assert "to" in message["content"]


def test_called_in_a_handler_a_tool_is_a_step() -> None:
    async def scenario(env: testing.Harness) -> None:
        assert await env.call(directly) == {"to": "DE1", "usd": 5, "speed": "fast", "tags": []}
        (entry,) = (entry for entry in env.journal(directly) if entry.name == "tool wire")
        assert entry.metadata is not None
        assert entry.metadata["arguments"] == {
            "to": {"iban": "DE1", "owner": None},
            "usd": 5,
            "speed": "fast",
        }

    testing.run(service, scenario)


def test_called_outside_a_handler_a_tool_is_the_function() -> None:
    assert asyncio.run(wire(Account("DE1"), 5))["usd"] == 5
    with pytest.raises(RuntimeError, match="the bank is closed"):
        asyncio.run(broken())


def test_cancelling_is_not_the_models_business() -> None:
    service = holdfast.Service("Waiting")

    @tool
    async def waits() -> str:
        await asyncio.Event().wait()
        return "never"

    @service.handler()
    async def run(ctx: holdfast.Context) -> dict[str, str]:
        return await waits.answer(asked("waits", "{}"))

    async def scenario(env: testing.Harness) -> None:
        sent = await env.send(run)
        await env.settle()
        await env.cancel(sent)
        with pytest.raises(holdfast.InvocationFailed, match="cancelled"):
            await sent.attach()

    testing.run(service, scenario)


@pytest.mark.parametrize(
    "function", [lambda *names: None, lambda **options: None, eval("lambda name, /: None")]
)
def test_parameters_no_model_can_give_are_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(holdfast.UsageError, match="tool_signature"):
        tool(function)


def test_a_toolbox_runs_what_it_has_and_says_what_it_has_not() -> None:
    box = Toolbox(wire, broken)
    assert [schema["function"]["name"] for schema in box.schemas] == ["wire", "broken"]
    calls = [asked("wire", '{"to": {"iban": "DE1"}, "usd": 5}'), asked("transfer", "{}"), {"id": None}]
    known, unknown, nothing = asyncio.run(box.answer(calls))
    assert '"DE1"' in known["content"]
    assert unknown == {
        "role": "tool",
        "tool_call_id": "call_1",
        "content": "There is no tool transfer; there are: wire, broken",
    }
    assert nothing["content"].startswith("There is no tool None")


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(holdfast.UsageError, match="tool_name"):
        Toolbox(wire, wire)


def test_errors_for_good_are_not_retried() -> None:
    tries: list[int] = []

    @tool
    async def refuses() -> str:
        tries.append(1)
        raise TerminalError("no")

    service = holdfast.Service("Refusing")

    @service.handler()
    async def run(ctx: holdfast.Context) -> str:
        return (await refuses.answer(asked("refuses", "{}")))["content"]

    async def scenario(env: testing.Harness) -> None:
        assert await env.call(run) == "The tool failed: no"

    testing.run(service, scenario)
    assert tries == [1]
