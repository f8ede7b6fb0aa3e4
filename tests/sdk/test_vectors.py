"""Captured exchanges of the official SDKs, answered by ours with the same frames.

Goal: on the wire nobody can tell the difference. Method: the same handlers as the capture's, fed the captured
request bytes; the answer is compared byte for byte, wake-up times and what is only informative left out.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.protocol import messages
from holdfast.protocol.framing import FrameDecoder, MessageType
from holdfast.sdk.context import Context
from holdfast.sdk.services import Service
from tests.sdk.attempts import Fed

VECTORS = Path(__file__).resolve().parents[1] / "data" / "vectors" / "request_response.json"
CASES = [
    case
    for case in json.loads(VECTORS.read_text())["vectors"]
    if case.get("response_hex") and case["status"] == 200 and "mismatch" not in case["description"]
]


def service(name: str, step_result: object) -> Service:
    greeter = Service(name)

    @greeter.handler
    async def greet(ctx: Context, who: str) -> str:
        return f"hi {who}"

    @greeter.handler
    async def run1(ctx: Context, _: Any) -> Any:
        async def step() -> Any:
            return step_result

        return await ctx.run(step)

    @greeter.handler
    async def sleepy(ctx: Context, ms: int) -> str:
        await ctx.sleep(ms / 1000, name="nap")
        return "slept"

    @greeter.handler
    async def callee(ctx: Context, who: str) -> str:
        return await ctx.call(greet, who)

    return greeter


def comparable(data: bytes, version: int) -> list[object]:
    found: list[object] = []
    for type_, flags, body in FrameDecoder().feed(data):
        if type_ == MessageType.AWAITING_ON:
            continue
        message = messages.decode(type_, body, version)
        if isinstance(message, messages.SleepCommandMessage):
            message.wake_up_time = 0
        if isinstance(message, messages.OutputCommandMessage) and isinstance(
            message.result, messages.Failure
        ):
            # "Cancelled" in one SDK, "cancelled" in the other: words for people.
            message.result = messages.Failure(message.result.code, message.result.message.lower())
        found.append((type_, flags, message))
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['sdk']}: {case['description']}")
def test_the_answer_is_the_captured_one(case: dict[str, Any]) -> None:
    name, handler = case["path"].split("/")[2:]
    version = case["protocol_version"]
    expected = bytes.fromhex(case["response_hex"])
    if handler not in ("greet", "run1", "sleepy", "callee"):
        pytest.fail(f"no such handler here: {handler}; add it")
    fed = Fed(
        service(name, {"v": 1} if case["sdk"].startswith("typescript") else 1).handlers[handler], version
    )
    fed.attempt.receive(bytes.fromhex(case["request_hex"]))
    asyncio.run(_finish(fed))
    found, wanted = comparable(fed.output(), version), comparable(expected, version)
    if any(isinstance(entry[2], messages.ErrorMessage) for entry in wanted):  # type: ignore[index]
        assert [entry[0] for entry in found] == [entry[0] for entry in wanted]  # type: ignore[index]
    else:
        assert found == wanted


async def _finish(fed: Fed) -> None:
    fed.close()
    while fed.port.steps:
        step = fed.port.steps.pop(0)
        value = await step.function()
        fed.attempt.step_returned(step, fed.payloads.encode(step.spec.serde, value, "the result"))
