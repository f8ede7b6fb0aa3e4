"""An agent in a handler: what becomes a step, under which name, in which order, and how often it runs."""

import asyncio
import random
from typing import Any

import pytest
from ai.pydantic_ai.agents import ask, ask_timed, steps
from ai.pydantic_ai.told import Told
from pydantic_ai import Agent, ModelRetry, RunContext
from pydantic_ai.exceptions import RunTimedOut, ToolFailed, UsageLimitExceeded
from pydantic_ai.usage import UsageLimits

import holdfast
from holdfast.ai.pydantic_ai import Durable, ToolOptions
from holdfast.client import InvocationFailed
from holdfast.testing import Harness, crash_everywhere

from .conftest import Provider


def three_calls(*durations_s: float) -> tuple[Agent[None, str], Told, list[str]]:
    """An agent whose model asks for `wait` once for each duration, and the log of what ran."""
    told = Told(*(("wait", {"name": chr(97 + i), "s": s}) for i, s in enumerate(durations_s)))
    ran: list[str] = []
    agent = Agent(told.model(), name="claims", capabilities=[Durable()])

    @agent.tool_plain
    async def wait(name: str, s: float) -> str:
        await asyncio.sleep(s)
        ran.append(name)
        return name

    return agent, told, ran


def test_requests_and_tools_are_steps_in_the_order_the_model_gave() -> None:
    agent, _, ran = three_calls(0.03, 0.02, 0.01)
    output, journal = ask(agent)
    assert output == "a; b; c"
    assert steps(journal) == ["told", "tool wait", "tool wait", "tool wait", "told"]
    assert ran == ["c", "b", "a"]  # side by side, so the quickest is first


def test_a_replay_at_every_await_runs_nothing_twice() -> None:
    agent, told, ran = three_calls(0.03, 0.02, 0.01)
    output, _ = ask(agent, always_replay=True)
    assert output == "a; b; c"
    assert (told.requests, sorted(ran)) == (2, ["a", "b", "c"])


def test_random_delays_never_change_the_order_of_commands() -> None:
    rng = random.Random(7)
    for _ in range(20):
        agent, _, ran = three_calls(*(rng.random() / 100 for _ in range(4)))
        output, journal = ask(agent, always_replay=True)
        assert output == "a; b; c; d"
        assert steps(journal) == ["told", *["tool wait"] * 4, "told"]
        assert sorted(ran) == ["a", "b", "c", "d"]


def test_a_crash_after_any_entry_repeats_no_step_that_is_stored() -> None:
    service = holdfast.Service("Crashing")
    made: list[tuple[Agent[None, str], Told, list[str]]] = []

    @service.handler
    async def work(ctx: holdfast.Context) -> str:
        return (await made[-1][0].run("hello")).output

    async def scenario(env: Harness) -> None:
        made.append(three_calls(0.01, 0.02))
        assert await env.call(work) == "a; b"

    crash_everywhere(service, scenario)
    assert len(made) > 8
    for _, told, ran in made:
        # A crash may fall between a body's end and the storing of its result.
        assert 2 <= told.requests <= 3
        assert set(ran) == {"a", "b"}
        assert len(ran) <= 3


def test_names_in_the_journal_are_pinned() -> None:
    """A changed name strands invocations under way: change it on purpose only."""
    told = Told(("checked", {"n": 1}), ("plain", {}))
    agent = Agent(told.model(), name="claims", capabilities=[Durable()])

    def check(ctx: RunContext[None], n: int) -> None: ...

    @agent.tool(args_validator=check)
    async def checked(ctx: RunContext[None], n: int) -> str:
        return "checked"

    @agent.tool_plain
    def plain() -> str:
        return "plain"

    output, journal = ask(agent)
    assert output == "checked; plain"
    assert sorted(steps(journal)) == sorted(
        ["told", "check arguments of checked", "tool checked", "tool plain", "told"]
    )


def test_plain_functions_of_the_agent_run_in_the_handler(provider: Provider) -> None:
    provider({"text": "fine", "name": "only", "system": "Be brief"})
    agent = Agent("openai:gpt-5", name="claims", capabilities=[Durable()])

    @agent.instructions
    def brief() -> str:
        return f"Be brief in {holdfast.current().handler_name}"

    @agent.output_validator
    def shouted(text: str) -> str:
        return text.upper()

    output, journal = ask(agent)
    assert output == "FINE"
    assert steps(journal) == ["gpt-5"]


def test_a_tool_without_a_step_uses_the_context() -> None:
    told = Told(("remember", {"text": "x"}))
    agent = Agent(told.model(), name="claims", capabilities=[Durable()])
    ran: list[str] = []

    @agent.tool_plain(metadata={"holdfast": False})
    async def remember(text: str) -> str:
        async def store() -> str:
            ran.append(text)
            return f"stored {text}"

        await asyncio.sleep(3600)
        return await holdfast.current().run("store", store)

    output, journal = ask(agent, always_replay=True)
    assert output == "stored x"
    assert steps(journal) == ["told", "store", "told"]
    assert ran == ["x"]


def test_an_agent_in_a_tool_without_a_step_has_steps_of_its_own() -> None:
    inner_told = Told(("look", {}))
    inner = Agent(inner_told.model(), name="inner", capabilities=[Durable()])
    looked: list[str] = []

    @inner.tool_plain
    async def look() -> str:
        looked.append("look")
        return "seen"

    outer = Agent(Told(("delegate", {})).model(), name="outer", capabilities=[Durable()])

    @outer.tool(metadata={"holdfast": False})
    async def delegate(ctx: RunContext[None]) -> str:
        return (await inner.run("go", usage=ctx.usage)).output

    output, journal = ask(outer, always_replay=True)
    assert output == "seen"
    assert steps(journal) == ["told", "told", "tool look", "told", "told"]
    assert (inner_told.requests, looked) == (2, ["look"])


def test_an_agent_in_a_tool_that_is_a_step_is_part_of_it() -> None:
    inner_told = Told()
    inner = Agent(inner_told.model(), name="inner", capabilities=[Durable()])
    outer = Agent(Told(("delegate", {})).model(), name="outer", capabilities=[Durable()])

    @outer.tool_plain
    async def delegate() -> str:
        return (await inner.run("go")).output

    output, journal = ask(outer, always_replay=True)
    assert output == "nothing to do"
    assert steps(journal) == ["told", "tool delegate", "told"]
    assert inner_told.requests == 1


def test_what_a_tool_says_to_the_model_survives_the_journal() -> None:
    tries: list[int] = []
    told = Told(("fussy", {"n": 1}), ("broken", {}))

    agent = Agent(told.model(), name="claims", capabilities=[Durable()])

    @agent.tool_plain(retries=3)
    async def fussy(n: int) -> str:
        tries.append(n)
        raise ModelRetry("n must be even")

    @agent.tool_plain
    async def broken() -> str:
        raise ToolFailed("out of order")

    output, _ = ask(agent, always_replay=True)
    assert "n must be even" in output
    assert "out of order" in output
    assert tries == [1]


def test_a_tool_that_raises_is_retried_by_its_own_policy_and_ends_the_run() -> None:
    agent = Agent(Told(("break_down", {})).model(), name="claims", capabilities=[Durable()])
    tries: list[int] = []

    @agent.tool_plain(metadata={"holdfast": {"max_attempts": 3}})
    async def break_down() -> str:
        tries.append(1)
        raise RuntimeError("no oil")

    with pytest.raises(InvocationFailed, match="no oil"):
        ask(agent)
    assert len(tries) == 3


def test_the_model_may_be_told_of_a_tool_that_failed_for_good() -> None:
    told = Told(("break_down", {}), ("hang", {}))
    options = ToolOptions(holdfast.Retry(max_attempts=2), tell_model=True)
    agent = Agent(told.model(), name="claims", capabilities=[Durable(tools=options)])

    @agent.tool_plain
    async def break_down() -> str:
        raise RuntimeError("no oil")

    @agent.tool_plain(metadata={"holdfast": {"timeout": 0.05}})
    async def hang() -> str:
        await asyncio.Event().wait()
        return "never"

    output, _ = ask(agent)
    assert "no oil" in output
    assert "took longer than 0.05 seconds" in output


@pytest.mark.parametrize("metadata", [1, {"max_tries": 3}, {"max_attempts": 0}, {"tell_model": "yes"}])
def test_options_that_make_no_sense_are_refused(metadata: Any) -> None:
    from holdfast.ai.pydantic_ai.options import read_options

    with pytest.raises(holdfast.UsageError, match="of tool 'wire'") as caught:
        read_options("wire", {"holdfast": metadata}, ToolOptions())
    assert caught.value.code == "bad_tool_options"


def test_a_tool_that_returns_too_much_ends_the_run() -> None:
    agent = Agent(Told(("dump", {})).model(), name="claims", capabilities=[Durable()])

    @agent.tool_plain
    async def dump() -> str:
        return "x" * 10_000_000

    with pytest.raises(InvocationFailed, match="tool dump"):
        ask(agent)


def test_a_limit_of_the_agents_own_ends_the_invocation_and_can_still_be_caught() -> None:
    agent, told, _ = three_calls(0.0)

    async def limited(message: str) -> str:
        return (await agent.run(message, usage_limits=UsageLimits(request_limit=1))).output

    with pytest.raises(InvocationFailed, match="request_limit"):
        ask(limited)
    assert told.requests == 1

    async def catching(message: str) -> str:
        try:
            return await limited(message)
        except UsageLimitExceeded as error:
            return f"caught {type(error).__name__}"

    output, _ = ask(catching)
    assert output == "caught UsageLimitExceeded"


def test_a_runs_timeout_is_durable() -> None:
    agent = Agent(Told(("wait", {})).model(), name="claims", capabilities=[Durable()])

    @agent.tool_plain(metadata={"holdfast": False})
    async def wait() -> str:
        await asyncio.sleep(3600)
        return "waited"

    async def limited(message: str) -> str:
        try:
            return (await agent.run(message, timeout=60)).output
        except RunTimedOut:
            return "timed out"

    output, _, took = ask_timed(limited, always_replay=True)
    assert output == "timed out"
    assert 60 <= took.total_seconds() < 120


def test_two_runs_at_once_in_one_handler() -> None:
    agent, told, ran = three_calls(0.02, 0.01)

    async def both(message: str) -> list[str]:
        results = await asyncio.gather(agent.run("one"), agent.run("two"))
        return [result.output for result in results]

    output, journal = ask(both, always_replay=True)
    assert output == ["a; b", "a; b"]
    assert (told.requests, sorted(ran)) == (4, ["a", "a", "b", "b"])
    assert steps(journal) == ["told", "told", *["tool wait"] * 4, "told", "told"]


def test_a_cancelled_invocation_cancels_the_run_and_what_it_waits_for() -> None:
    agent = Agent(Told(("nap", {}), ("doze", {})).model(), name="claims", capabilities=[Durable()])
    ended: list[str] = []

    @agent.tool_plain(metadata={"holdfast": False})
    async def nap() -> str:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("nap")
        return "napped"

    @agent.tool_plain
    async def doze() -> str:
        await asyncio.sleep(0)
        return "dozed"

    async def guarded(message: str) -> str:
        try:
            return (await agent.run(message)).output
        except holdfast.InvocationCancelled:
            return "cancelled"

    async def cancel(env: Harness) -> None:
        await env.settle()
        await env.cancel(env.invocations()[-1])

    output, _ = ask(guarded, meanwhile=cancel)
    assert output == "cancelled"
    assert ended == ["nap"]
