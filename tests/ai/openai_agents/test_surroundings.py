"""What surrounds a run: MCP servers, traces, people who approve, metadata."""

import asyncio
import sys
from typing import Any

import pytest
from agents import Agent, Runner, SQLiteSession, function_tool, set_trace_processors, trace
from agents.mcp import MCPServer, MCPServerStdio
from agents.testing import ScriptedModel, assistant_message, function_call
from agents.tracing import Span, Trace, TracingProcessor
from ai.openai_agents.runs import ask, asks_for, steps
from mcp.types import CallToolResult, GetPromptResult, ListPromptsResult, TextContent, Tool

import holdfast
from holdfast.ai.openai_agents import ObjectSession, decide, durable, run_with_approvals
from holdfast.ai.openai_agents.shown import describe_answer, messages
from holdfast.testing import Harness, run


class Shop(MCPServer):
    """A server in memory that counts what it is asked."""

    name = "shop"

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def connect(self) -> None: ...

    async def cleanup(self) -> None: ...

    async def list_tools(self, *args: Any, **kwargs: Any) -> list[Tool]:
        self.asked.append("list")
        schema = {"type": "object", "properties": {"item": {"type": "string"}}}
        return [Tool(name="price", description="A price.", input_schema=schema)]

    async def call_tool(self, tool_name: str, arguments: Any, meta: Any = None) -> CallToolResult:
        self.asked.append(f"{tool_name} {arguments['item']}")
        return CallToolResult(content=[TextContent(type="text", text="5 EUR")])

    async def list_prompts(self) -> ListPromptsResult:
        raise NotImplementedError

    async def get_prompt(self, name: str, arguments: Any = None) -> GetPromptResult:
        raise NotImplementedError


@pytest.mark.parametrize("always_replay", [False, True])
def test_mcp_servers_are_asked_once(always_replay: bool) -> None:
    shop, model = Shop(), asks_for(("price", {"item": "tea"}))
    agent = durable(Agent(name="buyer", model=model, mcp_servers=[shop]))
    output, journal = ask(agent, always_replay=always_replay)
    assert output == "done"
    assert steps(journal) == [
        "mcp list shop", "ScriptedModel", "tool price", "mcp list shop", "ScriptedModel"
    ]  # fmt: skip
    assert shop.asked == ["list", "price tea", "list"]
    about = next(entry.metadata for entry in journal if entry.name == "tool price")
    assert about == {"kind": "tool", "tool": "price", "call_id": "call_0", "arguments": {"item": "tea"}}
    assert "5 EUR" in str(model.calls[-1].input[-1]["output"])
    assert asyncio.run(shop.list_tools())[0].name == "price"


SHOP = """
from mcp.server.mcpserver import MCPServer
shop = MCPServer("shop")
@shop.tool()
def price(item: str) -> str:
    return f"{item} is 5 EUR"
shop.run()
"""


def test_an_mcp_server_is_connected_by_the_step_that_asks_it_first() -> None:
    shop = MCPServerStdio(
        {"command": sys.executable, "args": ["-c", SHOP]}, name="shop", client_session_timeout_seconds=60
    )
    model = asks_for(("price", {"item": "tea"}))
    assert ask(durable(Agent(name="buyer", model=model, mcp_servers=[shop])))[0] == "done"
    assert "tea is 5 EUR" in str(model.calls[-1].input[-1]["output"])
    assert shop.session is None


chats = holdfast.VirtualObject("Chats")
_talker: list[Agent[None]] = []


@chats.handler()
async def talk(ctx: holdfast.ObjectContext, message: str) -> str:
    return str((await Runner.run(_talker[-1], message, session=ObjectSession())).final_output)


@chats.handler()
async def undo(ctx: holdfast.ObjectContext) -> int:
    session = ObjectSession()
    assert session.session_id == "Chats/ada/session"
    await session.pop_item()
    left = len(await session.get_items())
    assert await session.get_items(1) == (await session.get_items())[-1:]
    await session.clear_session()
    assert await session.get_items() == []
    return left


@pytest.mark.parametrize("always_replay", [False, True])
def test_a_conversation_is_kept_in_the_objects_state(always_replay: bool) -> None:
    model = ScriptedModel([[assistant_message("one")], [assistant_message("two")]])
    _talker.append(durable(Agent(name="talker", model=model)))

    async def scenario(env: Harness) -> None:
        assert await env.call(talk, "first", key="ada") == "one"
        assert await env.call(talk, "second", key="ada") == "two"
        said = [item.get("content") for item in model.calls[-1].input]
        assert said[0] == "first"
        assert said[2] == "second"
        assert await env.call(undo, key="ada") == 3
        assert env.state(chats, "ada") == {}

    run(holdfast.app(chats), scenario, always_replay=always_replay)


@pytest.mark.parametrize("always_replay", [False, True])
def test_a_session_of_the_sdk_is_asked_in_steps(always_replay: bool) -> None:
    session = SQLiteSession("chat")
    agent = durable(Agent(name="talker", model=asks_for()))

    async def body(message: str) -> str:
        return str((await Runner.run(agent, message, session=session)).final_output)

    _, journal = ask(body, always_replay=always_replay)
    names = steps(journal)
    assert names[0] == "session get_items"
    assert {"session add_items", "ScriptedModel"} <= set(names)
    kept = asyncio.run(session.get_items())
    assert kept[0].get("content") == "hello"


class Heard(TracingProcessor):
    """Everything it is told, as (word, id)."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def on_trace_start(self, trace: Trace) -> None:
        self.told.append(("trace begins", trace.trace_id))

    def on_trace_end(self, trace: Trace) -> None:
        self.told.append(("trace ends", trace.trace_id))

    def on_span_start(self, span: Span[Any]) -> None:
        self.told.append((f"{span.span_data.type} begins", span.span_id))

    def on_span_end(self, span: Span[Any]) -> None:
        self.told.append((f"{span.span_data.type} ends", span.span_id))

    def shutdown(self) -> None: ...

    def force_flush(self) -> None: ...


def traced(**options: Any) -> list[tuple[str, str]]:
    """What the processors hear of one run with two tools at once."""

    @function_tool
    async def quick() -> str:
        return "quick"

    @function_tool
    async def slow() -> str:
        await asyncio.sleep(0.01)
        return "slow"

    heard = Heard()
    set_trace_processors([heard])
    agent = durable(Agent(name="a", model=asks_for(("quick", {}), ("slow", {})), tools=[quick, slow]))
    ask(agent, **options)
    return heard.told


def test_a_replay_tells_nothing_twice() -> None:
    """Method: the same run, also replayed at every await, tells the same; ids match begin to end."""
    once, replayed = traced(), traced(always_replay=True)
    assert sorted(word for word, _ in once) == sorted(word for word, _ in replayed)
    for told in (once, replayed):
        assert len(set(told)) == len(told)
        begun = {(word.split()[0], id_) for word, id_ in told if word.endswith("begins")}
        ended = {(word.split()[0], id_) for word, id_ in told if word.endswith("ends")}
        assert begun == ended
        assert sum(word == "function begins" for word, _ in told) == 2
    assert {word for word, _ in once} >= {"trace begins", "trace ends", "agent ends", "function ends"}


def test_traces_outside_handlers_are_untouched() -> None:
    heard = Heard()
    set_trace_processors([heard])
    with trace("mine", trace_id="trace_" + "0" * 32):
        pass
    assert heard.told == [("trace begins", "trace_" + "0" * 32), ("trace ends", "trace_" + "0" * 32)]


def payer(ran: list[str]) -> tuple[Agent[None], ScriptedModel]:
    """An agent that pays twice in one turn, and needs approval for it."""

    @function_tool(needs_approval=True)
    async def pay(usd: int) -> str:
        ran.append(f"pay {usd}")
        return "paid"

    model = asks_for(("pay", {"usd": 5}), ("pay", {"usd": 900}))
    return durable(Agent(name="payer", model=model, tools=[pay])), model


@pytest.mark.parametrize("always_replay", [False, True])
def test_people_approve_deny_and_are_late(always_replay: bool) -> None:
    ran, asked = list[str](), list[str]()
    agent, model = payer(ran)

    async def notify(awakeable: str) -> None:
        asked.append(awakeable)

    async def body(message: str) -> str:
        result = await run_with_approvals(agent, message, timeout=3600, notify=notify)
        return str(result.final_output)

    async def answer(env: Harness) -> None:
        await env.settle()
        await env.resolve_awakeable(asked[0], True)
        await env.resolve_awakeable(asked[1], {"approved": False, "reason": "too much"})

    output, journal = ask(body, meanwhile=answer, always_replay=always_replay)
    assert output == "done"
    assert ran == ["pay 5"]
    assert steps(journal) == ["ScriptedModel", "ask pay", "ask pay", "tool pay", "ScriptedModel"]
    told = [item["output"] for item in model.calls[-1].input if item.get("type") == "function_call_output"]
    assert sorted(told) == ["The call of pay was not approved: too much.", "paid"]

    ran.clear()
    late, model = payer(ran)

    async def nobody(message: str) -> str:
        result = await Runner.run(late, message)
        assert len(result.interruptions) == 2
        return str((await Runner.run(late, await decide(result, timeout=60))).final_output)

    assert ask(nobody, always_replay=always_replay)[0] == "done"
    assert ran == []
    assert "nobody answered in time" in str(model.calls[-1].input)


def test_approval_inside_an_agent_used_as_a_tool() -> None:
    ran, asked = list[str](), list[str]()
    inner, _ = payer(ran)
    outer = durable(
        Agent(
            name="outer",
            model=asks_for(("ask_payer", {"input": "pay"})),
            tools=[inner.as_tool("ask_payer", "")],
        )
    )

    async def notify(awakeable: str) -> None:
        asked.append(awakeable)

    async def body(message: str) -> str:
        return str((await run_with_approvals(outer, message, timeout=None, notify=notify)).final_output)

    async def answer(env: Harness) -> None:
        await env.settle()
        for awakeable in asked:
            await env.resolve_awakeable(awakeable, True)

    assert ask(body, meanwhile=answer, always_replay=True)[0] == "done"
    assert sorted(ran) == ["pay 5", "pay 900"]


def test_what_people_are_shown_of_a_model_call() -> None:
    model = ScriptedModel([[function_call("pay", {"usd": 5}, call_id="c1")], [assistant_message("done")]])

    @function_tool
    async def pay(usd: int) -> str:
        return "paid"

    result = asyncio.run(
        Runner.run(Agent(name="a", instructions="Be brief.", model=model, tools=[pay]), "hello")
    )
    assert messages("Be brief.", model.calls[-1].input) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "",
         "tool_calls": [{"id": "c1", "name": "pay", "arguments": '{"usd":5}'}]},
        {"role": "tool", "content": "paid", "tool_call_id": "c1"},
    ]  # fmt: skip
    first, last = map(describe_answer, result.raw_responses)
    assert first["finish_reason"] == "tool_calls"
    assert first["response"] == {
        "content": None, "tool_calls": [{"id": "c1", "name": "pay", "arguments": '{"usd":5}'}]
    }  # fmt: skip
    assert last["response"] == {"content": "done", "tool_calls": []}
    assert {"tokens_in", "tokens_out"} <= last.keys()
