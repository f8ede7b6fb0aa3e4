"""A run in a handler: what becomes a step, under which name, in which order, and how often it happens."""

import asyncio
import copy
import random
import threading
from typing import Any

import pytest
from agents import (
    Agent,
    FunctionTool,
    Handoff,
    RunConfig,
    Runner,
    ToolExecutionConfig,
    ToolOutputText,
    function_tool,
    handoff,
)
from agents.testing import ScriptedModel, assistant_message, function_call
from ai.openai_agents.runs import answer, ask, asks_for, book, steps

import holdfast
from holdfast.ai import UnjournaledCall
from holdfast.ai.openai_agents import durable, inline, retried
from holdfast.testing import CrashPoint, Harness

from .conftest import Provider

TWO_TOOLS: list[dict[str, Any]] = [
    {
        "tool_calls": [
            {"name": "look_up", "arguments": {"claim": "c-1"}},
            {"name": "pay", "arguments": {"usd": 3}},
        ],
        "tokens_in": 40,
        "tokens_out": 9,
    },
    {"text": "Paid."},
]


def bare_tool(name: str, invoke: Any) -> FunctionTool:
    """A tool that takes nothing."""
    return FunctionTool(name, "", {"type": "object", "properties": {}}, invoke, strict_json_schema=False)


def two_tools(ran: list[str]) -> Agent[None]:
    """An agent with a tool that is a coroutine function and one that is a plain function."""

    @function_tool
    async def look_up(claim: str) -> str:
        ran.append(f"look_up {claim}")
        return f"{claim} is open"

    @function_tool
    def pay(usd: int) -> dict[str, int]:
        assert threading.current_thread() is not threading.main_thread()
        ran.append(f"pay {usd}")
        return {"paid": usd}

    return durable(Agent(name="claims", model="gpt-5", tools=[look_up, pay]))


@pytest.mark.parametrize("always_replay", [False, True])
def test_requests_and_tools_are_steps_that_happen_once(provider: Provider, always_replay: bool) -> None:
    """Names in the journal are pinned here: a changed name strands invocations under way."""
    llm, ran = provider(*TWO_TOOLS), list[str]()
    output, journal = ask(two_tools(ran), always_replay=always_replay)
    assert output == "Paid."
    assert steps(journal) == ["gpt-5", "tool look_up", "tool pay", "gpt-5"]
    assert len(llm.calls) == 2
    assert sorted(ran) == ["look_up c-1", "pay 3"]
    about = [entry.metadata or {} for entry in journal if entry.type == "Run" and not entry.is_notification]
    assert [step["kind"] for step in about] == ["model", "tool", "tool", "model"]
    assert about[0] == {
        "kind": "model",
        "provider": "openai",
        "model": "gpt-5",
        "framework": "openai-agents",
        "messages": [{"role": "user", "content": "hello"}],
        "messages_left_out": 0,
        "tokens_in": 40,
        "tokens_out": 9,
        "finish_reason": "tool_calls",
        "response": about[0]["response"],
    }
    calls = about[0]["response"]["tool_calls"]
    assert [call["name"] for call in calls] == ["look_up", "pay"]
    assert about[2] == {
        "kind": "tool", "tool": "pay", "call_id": calls[1]["id"], "arguments": {"usd": 3}
    }  # fmt: skip


def test_a_stream_is_rebuilt_from_the_journal(provider: Provider) -> None:
    llm, ran, seen = provider(*TWO_TOOLS), list[str](), list[list[Any]]()
    agent = two_tools(ran)

    async def stream(message: str) -> str:
        result = Runner.run_streamed(agent, message)
        seen.append([])
        async for event in result.stream_events():
            seen[-1].append(event.data.model_dump() if event.type == "raw_response_event" else event.type)
        return f"{result.final_output} {result.context_wrapper.usage.input_tokens > 40}"

    output, journal = ask(stream, always_replay=True)
    assert output == "Paid. True"
    assert steps(journal) == ["gpt-5", "tool look_up", "tool pay", "gpt-5"]
    assert [call.stream for call in llm.calls] == [True, True]
    whole = seen[-1]
    assert len(seen) > 3
    assert (
        sum(event.get("type") == "response.output_text.delta" for event in whole if isinstance(event, dict))
        > 0
    )
    assert all(events == whole[: len(events)] for events in seen)


def test_a_crash_after_any_entry_repeats_nothing_that_is_stored(provider: Provider) -> None:
    llm = provider(*TWO_TOOLS)
    _, journal = ask(two_tools([]))
    for entry in range(len(journal)):
        asked, ran = len(llm.calls), list[str]()
        output, _ = ask(two_tools(ran), crash=CrashPoint(entry))
        assert output == "Paid."
        if journal[entry].is_notification:
            # Beside a result that was stored only the other tool may have been under way.
            assert len(llm.calls) - asked == 2, entry
            assert len(ran) <= 3
        assert set(ran) == {"look_up c-1", "pay 3"}


def test_parallel_tools_overlap_and_start_in_the_models_order() -> None:
    """Method: every tool waits for all of them; random delays, then the same order of commands each time."""
    orders = set[tuple[str, ...]]()
    for seed in range(20):
        chance, here, all_here = random.Random(seed), list[str](), asyncio.Event()

        async def work(name: str, here: list[str] = here, all_here: asyncio.Event = all_here,
                       chance: random.Random = chance) -> str:  # fmt: skip
            await asyncio.sleep(chance.random() / 100)
            here.append(name)
            if len(here) == 4:
                all_here.set()
            await asyncio.wait_for(all_here.wait(), 20)
            await asyncio.sleep(chance.random() / 100)
            return name

        async def invoke(ctx: Any, text: str, work: Any = work) -> str:
            return str(await work(ctx.tool_name))

        names = ["a", "b", "c", "d"]
        tools = [bare_tool(name, invoke) for name in names]
        model = asks_for(*((name, {}) for name in names))
        _, journal = ask(
            durable(Agent(name="many", model=model, tools=list(tools))), always_replay=seed % 2 == 1
        )
        orders.add(tuple(steps(journal)))
    assert orders == {("ScriptedModel", "tool a", "tool b", "tool c", "tool d", "ScriptedModel")}


@pytest.mark.parametrize("always_replay", [False, True])
@pytest.mark.parametrize("concurrency", [None, 1])
def test_cyclic_handoffs_agents_as_tools_and_inline_tools(
    concurrency: int | None, always_replay: bool
) -> None:
    ran: list[str] = []

    @function_tool
    async def look_up(claim: str) -> str:
        ran.append(claim)
        return claim

    @inline
    @function_tool
    async def in_two_steps() -> str:
        ctx = holdfast.current()

        async def half() -> str:
            ran.append("half")
            return "half"

        return await ctx.run("first half", half) + await ctx.run("second half", half)

    expert = Agent(
        name="expert",
        model=asks_for(("look_up", {"claim": "asked by the expert"}), then="the expert says yes"),
        tools=[look_up],
    )
    wanted = [
        function_call("look_up", {"claim": "c-1"}, call_id="1"),
        function_call("ask_expert", {"input": "?"}, call_id="2"),
        function_call("in_two_steps", {}, call_id="3"),
    ]
    turns = [[function_call("transfer_to_back", {}, call_id="0")], wanted, [assistant_message("done")]]
    front_model, back_model = ScriptedModel(turns), asks_for(("transfer_to_front", {}))
    front = Agent(
        name="front", model=front_model, tools=[look_up, expert.as_tool("ask_expert", ""), in_two_steps]
    )
    back = Agent(name="back", model=back_model, handoffs=[front])
    front.handoffs.append(handoff(back))
    durable(front)
    config = RunConfig(tool_execution=ToolExecutionConfig(max_function_tool_concurrency=concurrency))

    async def body(message: str) -> str:
        return str((await Runner.run(front, message, run_config=config)).final_output)

    output, journal = ask(body, always_replay=always_replay)
    assert output == "done"
    assert sorted(ran) == ["asked by the expert", "c-1", "half", "half"]
    assert (len(front_model.calls), len(back_model.calls), len(expert.model.calls)) == (3, 1, 2)  # type: ignore[union-attr]
    assert sorted(steps(journal)) == sorted(
        ["ScriptedModel"] * 6 + ["tool look_up"] * 2 + ["first half", "second half"]
    )


def test_outside_a_handler_everything_is_as_it_was(provider: Provider) -> None:
    llm, ran = provider(*TWO_TOOLS), list[str]()
    agent = two_tools(ran)
    assert durable(agent) is agent
    assert asyncio.run(Runner.run(agent, "hello")).final_output == "Paid."
    assert len(llm.calls) == 2
    model = asks_for()
    kept = durable(Agent(name="kept", model=model)).model
    assert isinstance(kept, ScriptedModel)
    assert kept.calls == model.calls
    assert isinstance(copy.deepcopy(kept), ScriptedModel)


def test_an_agent_that_is_not_durable_is_refused_in_a_handler() -> None:
    from holdfast.ai.openai_agents.runner import install

    install()
    plain = Agent(name="plain", model=asks_for())

    async def body(message: str) -> str:
        with pytest.raises(UnjournaledCall, match=r"agent 'plain'.*durable\(agent\)"):
            await Runner.run(plain, message)
        clone = durable(Agent(name="first", model=asks_for())).clone(name="second", model=asks_for())
        return str((await Runner.run(clone, message)).final_output)

    assert ask(body)[0] == ""


def test_what_tools_return_comes_back_as_it_was() -> None:
    """Goal: a replay shows the model the same outputs. Method: run through replays, compare with plain."""

    class Odd:
        def __str__(self) -> str:
            return "odd"

    def make(value: Any, number: int) -> FunctionTool:
        async def invoke(ctx: Any, text: str) -> Any:
            return value

        return bare_tool(f"t{number}", invoke)

    said = ToolOutputText(text="t")
    values: list[Any] = ["text", 5, None, {"a": [1, None]}, said, [said], (1, 2), Odd(), b"b", "ü\ud800"]

    def agent() -> Agent[None]:
        model = asks_for(*((f"t{number}", {}) for number in range(len(values))))
        return Agent(name="t", model=model, tools=[make(value, n) for n, value in enumerate(values)])

    def outputs(agent: Agent[None]) -> list[Any]:
        model: Any = agent.model
        return [
            item["output"] for item in model.calls[-1].input if item.get("type") == "function_call_output"
        ]

    plain, ours = agent(), durable(agent())
    asyncio.run(Runner.run(plain, "hello"))
    ask(ours, always_replay=True)
    expected = outputs(plain)
    expected[-1] = "ü?"
    assert outputs(ours) == expected


def test_a_retried_tool_is_retried_before_the_model_is_told() -> None:
    tries: list[str] = []

    @retried(holdfast.Retry(max_attempts=3, initial_interval=1))
    @function_tool
    async def flaky() -> str:
        tries.append("flaky")
        raise ValueError("not now")

    @function_tool
    async def broken() -> str:
        tries.append("broken")
        raise ValueError("never")

    @function_tool
    async def busy() -> str:
        tries.append("busy")
        if tries.count("busy") < 3:
            raise holdfast.RetryableError("the engine is to try again", retry_after=60)
        return "at last"

    model = asks_for(("flaky", {}), ("broken", {}), ("busy", {}))
    assert ask(durable(Agent(name="a", model=model, tools=[flaky, broken, busy])))[0] == "done"
    assert (tries.count("flaky"), tries.count("broken"), tries.count("busy")) == (3, 1, 3)
    told = [item["output"] for item in model.calls[-1].input if item.get("type") == "function_call_output"]
    assert told[0] == told[1] == "An error occurred while running the tool. Please try again."
    assert told[2] == "at last"


def test_a_tool_that_raises_and_has_no_policy_is_retried_as_a_step() -> None:
    tries: list[int] = []

    @function_tool(failure_error_function=None)
    async def flaky() -> str:
        tries.append(1)
        if len(tries) < 4:
            raise ValueError("not now")
        return "at last"

    @function_tool(failure_error_function=None)
    async def final() -> str:
        raise holdfast.TerminalError("never", code=422)

    model = asks_for(("flaky", {}))
    assert ask(durable(Agent(name="a", model=model, tools=[flaky])))[0] == "done"
    assert len(tries) == 4
    with pytest.raises(holdfast.InvocationFailed, match="never") as failed:
        ask(durable(Agent(name="b", model=asks_for(("final", {})), tools=[final])))
    assert failed.value.code == 422


def test_a_tool_that_asks_a_person_and_calls_another_handler() -> None:
    asked: list[str] = []

    async def notify(awakeable: str) -> None:
        asked.append(awakeable)

    async def wire(usd: int) -> str:
        if not await holdfast.ai.approval(f"wire {usd} USD", timeout=3600, notify=notify):
            return "denied"
        return str(await holdfast.current().call(book, usd))

    async def answer_it(env: Harness) -> None:
        await env.settle()
        await env.resolve_awakeable(asked[0], {"approved": True})

    model = asks_for(("wire", {"usd": 5}))
    tool = inline(function_tool(wire))
    output, journal = ask(durable(Agent(name="a", model=model, tools=[tool])), meanwhile=answer_it)
    assert output == "done"
    assert model.calls[-1].input[-1]["output"] == "booked 5"
    assert steps(journal) == ["ScriptedModel", "ask wire 5 USD", "ScriptedModel"]

    forgotten = durable(Agent(name="b", model=asks_for(("wire", {"usd": 5})), tools=[function_tool(wire)]))

    async def look(env: Harness) -> None:
        await env.settle()
        assert "marked @inline, as wire has to be" in str(env.invocation_view(answer).failure)
        await env.kill(env.invocation_view(answer))

    with pytest.raises(holdfast.InvocationFailed, match="killed"):
        ask(forgotten, meanwhile=look)


def test_inline_tools_are_coroutines_and_fail_like_handlers() -> None:
    def plain() -> str:
        return ""

    with pytest.raises(holdfast.UsageError, match="inline_tool_not_async"):
        inline(function_tool(plain))
    with pytest.raises(holdfast.UsageError, match="not_a_function_tool"):
        inline(plain)  # type: ignore[type-var]
    with pytest.raises(holdfast.UsageError, match="not_an_agent"):
        durable(plain)  # type: ignore[type-var]

    tries: list[int] = []

    async def flaky() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("not now")
        return "at last"

    model = asks_for(("flaky", {}))
    tool = inline(function_tool(flaky, failure_error_function=None))
    assert ask(durable(Agent(name="a", model=model, tools=[tool])))[0] == "done"
    assert (len(tries), len(model.calls)) == (3, 2)


def test_agents_and_handoffs_made_on_the_way_are_durable() -> None:
    """Method: a handoff that makes its agent when it happens, and a tool added after durable()."""
    ran: list[str] = []

    @function_tool
    async def late() -> str:
        ran.append("late")
        return "late"

    models = [asks_for(("late", {}), then="the second says done")]

    async def make(ctx: Any, text: str) -> Agent[None]:
        return Agent(name="second", model=models[0], tools=[late])

    move = Handoff("move", "", {"type": "object", "properties": {}}, make, "second", strict_json_schema=False)
    first = durable(Agent(name="first", model=asks_for(("late", {}), ("move", {})), handoffs=[move]))
    first.tools.append(late)
    output, journal = ask(first, always_replay=True)
    assert output == "the second says done"
    assert ran == ["late"] * len([name for name in steps(journal) if name == "tool late"])
    assert len(models[0].calls) == 2


def test_a_result_too_large_is_told_to_the_model() -> None:
    runs: list[int] = []

    @function_tool
    async def large() -> str:
        runs.append(1)
        return "x" * 10_000_000

    model = asks_for(("large", {}))
    assert ask(durable(Agent(name="a", model=model, tools=[large])))[0] == "done"
    assert runs == [1]
    assert "error occurred" in model.calls[-1].input[-1]["output"]


def test_a_cancelled_run_ends_although_tools_swallow_errors() -> None:
    """Method: cancel while a step runs, and while an inline tool and an agent used as a tool wait."""
    began: list[str] = []

    async def waits() -> str:
        began.append("waits")
        return str(await holdfast.current().awakeable())

    async def works() -> str:
        began.append("works")
        await asyncio.Event().wait()
        return "never"

    wait, work = inline(function_tool(waits)), function_tool(works)
    models = [asks_for(("waits", {}))]
    inner = Agent(name="inner", model=models[0], tools=[wait])
    for call, tool in [("waits", wait), ("works", work), ("ask_inner", inner.as_tool("ask_inner", ""))]:
        model = asks_for((call, {"input": "?"} if tool.name == "ask_inner" else {}))
        agent = durable(Agent(name="a", model=model, tools=[tool]))

        began.clear()

        async def cancel(env: Harness) -> None:
            while not began:  # noqa: ASYNC110 - no virtual time passes while a step runs
                await asyncio.sleep(0)
            await env.cancel(env.invocation_view(answer))

        with pytest.raises(holdfast.InvocationFailed, match="cancelled"):
            ask(agent, meanwhile=cancel)
        assert len(model.calls) == 1, call
