"""Agents whose model answers at once: `holdfast serve bench.agent_service:app`.

The model asks for `TOOLS` tools, all in one answer or each in an answer of its own, and then says a last
word. Each agent is served durably (`run`) and, for the comparison, inside one step (`bare`), where the
framework runs as it does without us; that one answers with the seconds the agent took.
"""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from agents import Agent as OpenAIAgent
from agents import Model, ModelResponse, Runner, Usage, function_tool, set_tracing_disabled
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.messages import ModelResponse as PydanticResponse
from pydantic_ai.models.function import AgentInfo, FunctionModel

import holdfast
from holdfast.ai import model_step, tool
from holdfast.ai.openai_agents import durable
from holdfast.ai.pydantic_ai import Durable
from holdfast.sdk.serde import JSON

TOOLS = 10
TURNS_MAX = TOOLS + 2
set_tracing_disabled(True)


def wanted(done: int, per_turn: int) -> range:
    """The tools to ask for next, none when all are done."""
    return range(done, min(TOOLS, done + per_turn))


# Pydantic AI.


def pydantic_agent(per_turn: int) -> Agent[None, str]:
    async def answer(messages: list[ModelMessage], info: AgentInfo) -> PydanticResponse:
        done = sum(isinstance(part, ToolReturnPart) for message in messages for part in message.parts)
        calls = [ToolCallPart("look", {"number": number}, f"c{number}") for number in wanted(done, per_turn)]
        return PydanticResponse(parts=calls or [TextPart("done")])

    agent = Agent(
        FunctionModel(answer, model_name="instant"), name=f"agent{per_turn}", capabilities=[Durable()]
    )

    @agent.tool_plain
    async def look(number: int) -> str:
        return f"seen {number}"

    return agent


# The OpenAI Agents SDK.


class Instant(Model):
    """A model that answers at once."""

    def __init__(self, per_turn: int) -> None:
        self._per_turn = per_turn

    async def get_response(
        self,
        system_instructions: Any,
        input: Any,  # noqa: A002 - as it is called with
        *rest: Any,
        **more: Any,
    ) -> ModelResponse:
        done = 0 if isinstance(input, str) else sum("output" in item for item in input)
        calls = [
            ResponseFunctionToolCall(
                arguments=json.dumps({"number": number}),
                call_id=f"c{number}",
                name="look",
                type="function_call",
            )
            for number in wanted(done, self._per_turn)
        ]
        said = ResponseOutputMessage(
            id="m",
            content=[ResponseOutputText(annotations=[], text="done", type="output_text")],
            role="assistant",
            status="completed",
            type="message",
        )
        output: list[Any] = [*calls] or [said]
        return ModelResponse(output=output, usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **more: Any) -> AsyncIterator[Any]:
        raise NotImplementedError("nothing here streams")


@function_tool
async def look(number: int) -> str:
    return f"seen {number}"


def openai_agent(per_turn: int) -> OpenAIAgent[Any]:
    return durable(OpenAIAgent(name="agent", model=Instant(per_turn), tools=[look]))


# A loop by hand.


@tool(name="look")
async def look_by_hand(number: int) -> str:
    return f"seen {number}"


async def by_hand(per_turn: int) -> str:
    import asyncio

    messages: list[dict[str, Any]] = [{"role": "user", "content": "go"}]
    done = 0
    while True:

        async def ask(done: int = done) -> list[int]:
            return list(wanted(done, per_turn))

        numbers = await model_step(
            "instant",
            ask,
            serde=JSON,
            provider="none",
            model="instant",
            framework="none",
            messages=messages,
            describe=lambda _: {},
        )
        if not numbers:
            return "done"
        calls = [
            {"id": f"c{number}", "function": {"name": "look", "arguments": json.dumps({"number": number})}}
            for number in numbers
        ]
        messages += await asyncio.gather(*(look_by_hand.answer(call) for call in calls))
        done += len(calls)


agents: dict[str, Callable[[], Awaitable[Any]]] = {}
for _per_turn, _shape in ((TOOLS, "at once"), (1, "in turn")):
    _pydantic, _openai = pydantic_agent(_per_turn), openai_agent(_per_turn)
    agents[f"pydantic-ai, {_shape}"] = lambda agent=_pydantic: agent.run("go")
    agents[f"openai-agents, {_shape}"] = lambda agent=_openai: Runner.run(agent, "go", max_turns=TURNS_MAX)
    agents[f"by hand, {_shape}"] = lambda per_turn=_per_turn: by_hand(per_turn)

bench = holdfast.Service("AgentBench")


@bench.handler()
async def run(ctx: holdfast.Context, name: str) -> None:
    """The agent, durably."""
    await agents[name]()


@bench.handler()
async def bare(ctx: holdfast.Context, name: str) -> float:
    """The agent as it is without us; the seconds it took."""

    async def timed() -> float:
        began = time.perf_counter()
        await agents[name]()
        return time.perf_counter() - began

    return await ctx.run(timed)


app = holdfast.app(bench)
