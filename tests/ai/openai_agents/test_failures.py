"""What providers and models do wrong in a run: who tries again, when, and what is the last word."""

from typing import Any

import httpx2
import pytest
from agents import (
    Agent,
    MaxTurnsExceeded,
    ModelBehaviorError,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIProvider,
    RunConfig,
    Runner,
    function_tool,
    retry_policies,
)
from agents.retry import ModelRetrySettings
from agents.testing import ScriptedModel, assistant_message, function_call
from ai.openai_agents.runs import ask, asks_for, steps
from openai import AsyncOpenAI
from pydantic import BaseModel

import holdfast
from holdfast.ai.openai_agents import durable
from holdfast.testing import Harness
from holdfast.testing.llm import ScriptedLLM

from .conftest import Provider

EAGER = ModelSettings(retry=ModelRetrySettings(max_retries=5, policy=retry_policies.any(lambda _: True)))
"""Retries everything at once, were it asked."""


def client(llm: ScriptedLLM, **options: Any) -> AsyncOpenAI:
    once = httpx2.AsyncClient(limits=httpx2.Limits(max_keepalive_connections=0), trust_env=False)
    return AsyncOpenAI(base_url=llm.openai_url, api_key="any", http_client=once, **options)


@pytest.mark.parametrize("streamed", [False, True])
def test_too_many_requests_then_an_error_then_a_cut_answer(provider: Provider, streamed: bool) -> None:
    """Method: one answer of each kind, and the fourth is good. Neither client nor runner retries, the engine
    waits as long as the provider says."""
    llm = provider(
        {
            "replies": [
                {"status": 429, "headers": {"retry-after": "120"}},
                {"status": 500},
                {"text": "Half of", "cut_after": 3},
                {"text": "Whole."},
            ]
        }
    )
    agent = durable(Agent(name="a", model="gpt-5", model_settings=EAGER))
    began: list[Any] = []

    async def body(message: str) -> str:
        if not streamed:
            return str((await Runner.run(agent, message)).final_output)
        result = Runner.run_streamed(agent, message)
        events = [one.data async for one in result.stream_events() if one.type == "raw_response_event"]
        return "".join(event.delta for event in events if event.type == "response.output_text.delta")

    async def watch(env: Harness) -> None:
        began.append(env)
        began.append(env.now)

    output, journal = ask(body, meanwhile=watch)
    assert output == "Whole."
    assert [call.status for call in llm.calls] == [429, 500, 200, 200]
    assert steps(journal) == ["gpt-5"]
    env, start = began
    assert (env.now - start).total_seconds() >= 120


def test_a_request_that_is_wrong_is_not_repeated(provider: Provider) -> None:
    llm = provider({"status": 400, "error": "no such model"})
    agent = durable(Agent(name="a", model="gpt-5", model_settings=EAGER))
    with pytest.raises(holdfast.InvocationFailed, match=r"answered 400.*no such model"):
        ask(agent)
    assert len(llm.calls) == 1


def test_an_answer_that_is_no_answer_is_asked_for_again(provider: Provider) -> None:
    llm = provider({"replies": [{"body": "<html>gateway</html>"}, {"text": "Better."}]})
    assert ask(durable(Agent(name="a", model="gpt-5")))[0] == "Better."
    assert len(llm.calls) == 2


def test_errors_that_follow_from_the_journal_end_the_invocation() -> None:
    class Verdict(BaseModel):
        paid: bool

    wrong = durable(
        Agent(name="a", model=ScriptedModel([[assistant_message("no JSON")]]), output_type=Verdict)
    )
    with pytest.raises(holdfast.InvocationFailed, match="ModelBehaviorError: Invalid JSON"):
        ask(wrong)

    @function_tool
    async def again() -> str:
        return "again"

    turns = [[function_call("again", {}, call_id=str(number))] for number in range(3)]
    seen: list[BaseException] = []

    async def body(message: str) -> None:
        agent = durable(Agent(name="b", model=ScriptedModel(turns), tools=[again]))
        try:
            await Runner.run(agent, message, max_turns=2)
        except MaxTurnsExceeded as error:
            seen.append(error)
            raise

    with pytest.raises(holdfast.InvocationFailed, match=r"MaxTurnsExceeded: Max turns \(2\) exceeded"):
        ask(body)
    assert len(seen) == 1

    async def streamed(message: str) -> None:
        result = Runner.run_streamed(
            durable(wrong.clone(model=ScriptedModel([[assistant_message("no")]]))), message
        )
        with pytest.raises(ModelBehaviorError):
            async for _ in result.stream_events():
                pass
        async for _ in result.stream_events():
            pass

    with pytest.raises(holdfast.InvocationFailed, match="ModelBehaviorError"):
        ask(streamed)


def test_arguments_that_do_not_parse_are_told_to_the_model() -> None:
    ran: list[int] = []

    @function_tool
    async def pay(usd: int) -> str:
        ran.append(usd)
        return "paid"

    bad = [
        function_call("pay", '{"usd": ', call_id="1"),
        function_call("pay", '{"usd": "many"}', call_id="2"),
    ]
    model = ScriptedModel([bad, [assistant_message("sorry")]])
    assert ask(durable(Agent(name="a", model=model, tools=[pay])), always_replay=True)[0] == "sorry"
    assert ran == []
    assert [
        item["output"] for item in model.calls[-1].input if item.get("type") == "function_call_output"
    ] == ["An error occurred while running the tool. Please try again."] * 2


def test_a_tool_that_hangs_is_given_up_by_its_timeout() -> None:
    """The timeout is the SDK's own; in a handler it is a durable timer, so it counts across restarts."""

    @function_tool(timeout=30)
    async def hangs() -> str:
        import asyncio

        await asyncio.sleep(86_400)
        return "never"

    model = asks_for(("hangs", {}))
    assert ask(durable(Agent(name="a", model=model, tools=[hangs])))[0] == "done"
    assert "timed out after 30" in model.calls[-1].input[-1]["output"]


@pytest.mark.parametrize("always_replay", [False, True])
def test_the_users_provider_and_models_are_kept(provider: Provider, always_replay: bool) -> None:
    """A provider in the run's configuration, a model in it, and a model on the agent, over Chat Completions;
    the request id and the raw usage come back in replays."""
    default = provider({"text": "the default, which nobody asked"})
    seen: list[Any] = []
    with ScriptedLLM([{"text": "from my own", "tokens_in": 7, "tokens_out": 2,
                       "headers": {"x-request-id": "req-1"}}]) as mine:  # fmt: skip
        chat = OpenAIChatCompletionsModel("gpt-mine", client(mine))
        provided = RunConfig(model_provider=OpenAIProvider(openai_client=client(mine), use_responses=False))
        chosen = RunConfig(model=OpenAIChatCompletionsModel("gpt-chosen", client(mine)))
        settings = ModelSettings(preserve_raw_usage=True)
        agent = durable(Agent(name="a", model="gpt-named", model_settings=settings))
        own = durable(Agent(name="b", model=chat, model_settings=settings))

        async def body(message: str) -> list[str]:
            results = [
                await Runner.run(agent, message, run_config=provided),
                await Runner.run(agent, message, run_config=chosen),
                await Runner.run(own, message),
                await Runner.run(agent, message, run_config={"model_provider": provided.model_provider}),  # type: ignore[typeddict-item]
            ]
            seen[:] = [result.raw_responses[0] for result in results]
            return [str(result.final_output) for result in results]

        output, journal = ask(body, always_replay=always_replay)
        assert len(mine.calls) == 4
    assert output == ["from my own"] * 4
    assert steps(journal) == ["gpt-named", "gpt-chosen", "gpt-mine", "gpt-named"]
    assert [one.request_id for one in seen] == ["req-1"] * 4
    assert [one.raw_usage["prompt_tokens"] for one in seen] == [7] * 4
    assert default.calls == []
    assert isinstance(own.model, OpenAIChatCompletionsModel)
