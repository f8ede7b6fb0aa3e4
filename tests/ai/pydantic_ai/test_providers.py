"""What providers do to an agent: rate limits, outages, cut connections, nonsense, refusals."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from ai.pydantic_ai.agents import ask, ask_timed, steps
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from holdfast.ai.pydantic_ai import Durable
from holdfast.client import InvocationFailed

from .conftest import Provider

MODELS = ["openai-chat:gpt-5", "openai-responses:gpt-5", "anthropic:claude-opus-5"]


def bank_agent(model: Any) -> Agent[None, str]:
    agent = Agent(model, name="bank", capabilities=[Durable()])

    @agent.tool_plain
    async def balance(account: str) -> int:
        return 42

    return agent


CALLS = [{"name": "balance", "arguments": {"account": account}} for account in ("a", "b")]
TURNS: list[dict[str, Any]] = [{"tool_calls": CALLS}, {"text": "Twice 42."}]


@pytest.mark.parametrize("model", MODELS)
def test_every_dialect_is_journaled_and_replays_without_http(provider: Provider, model: str) -> None:
    llm = provider(*TURNS)
    output, journal = ask(bank_agent(model), always_replay=True)
    name = model.partition(":")[2]
    assert output == "Twice 42."
    assert steps(journal) == [name, "tool balance", "tool balance", name]
    assert len(llm.calls) == 2


def test_a_rate_limit_an_outage_and_a_cut_answer_cost_one_call_each(provider: Provider) -> None:
    llm = provider(
        {
            "turn": 0,
            "replies": [
                {"status": 429, "headers": {"retry-after": "7"}},
                {"status": 500},
                {"text": "half of it", "cut_after": 20},
                {"text": "At last."},
            ],
        }
    )
    output, journal, took = ask_timed(bank_agent(MODELS[0]))
    assert output == "At last."
    assert len(llm.calls) == 4  # the clients' own retries would have made more
    assert len(steps(journal)) == 1
    assert took >= timedelta(seconds=7)


def test_a_streamed_answer_that_is_cut_is_asked_for_again(provider: Provider) -> None:
    llm = provider({"turn": 0, "replies": [{"text": "a long answer", "cut_after": 3}, {"text": "whole"}]})
    agent = bank_agent(MODELS[0])

    async def streamed(message: str) -> str:
        async with agent.run_stream(message) as result:
            return "".join([piece async for piece in result.stream_text(delta=True)])

    output, _ = ask(streamed, always_replay=True)
    assert output == "whole"
    assert len(llm.calls) == 2


def test_an_answer_that_does_not_parse_is_asked_for_again(provider: Provider) -> None:
    llm = provider({"turn": 0, "replies": [{"body": "<html>gateway</html>"}, {"body": "{}"}, {"text": "ok"}]})
    output, _ = ask(bank_agent(MODELS[0]))
    assert output == "ok"
    assert len(llm.calls) == 3


def test_arguments_that_do_not_parse_are_the_models_to_mend(provider: Provider) -> None:
    llm = provider(
        {"turn": 0, "reply": {"tool_calls": [{"name": "balance", "arguments": '{"account": 1'}]}},
        {"turn": 1, "last": "(?i)invalid|valid", "reply": {"text": "My mistake."}},
    )
    output, journal = ask(bank_agent(MODELS[0]), always_replay=True)
    assert output == "My mistake."
    assert len(llm.calls) == 2
    assert steps(journal) == ["gpt-5", "gpt-5"]  # the tool never ran


def test_a_refusal_ends_the_invocation(provider: Provider) -> None:
    llm = provider({"turn": 0, "reply": {"status": 400, "error": "no such model"}})
    with pytest.raises(InvocationFailed, match="answered 400"):
        ask(bank_agent(MODELS[0]))
    assert len(llm.calls) == 1


def test_a_fallback_is_one_step_and_waits_only_when_all_fail(provider: Provider) -> None:
    llm = provider(
        {"model": "first", "replies": [{"status": 503}]},
        # Which one is given depends on how often the conversation was asked for, of either model.
        {
            "model": "second",
            "replies": [{"status": 429, "headers": {"retry-after": "2"}}] * 3 + [{"text": "here"}],
        },
    )
    model = FallbackModel("openai-chat:first", "openai-chat:second")
    output, journal = ask(bank_agent(model))
    assert output == "here"
    assert len(steps(journal)) == 1
    assert len(llm.calls) == 4


def test_clients_that_were_told_to_retry_do_not(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    llm = provider({"turn": 0, "replies": [{"status": 500}, {"text": "ok"}]})
    client = AsyncOpenAI(base_url=llm.openai_url, api_key="any", max_retries=5)
    model = OpenAIChatModel("gpt-5", provider=OpenAIProvider(openai_client=client))
    output, _ = ask(bank_agent(model))
    assert output == "ok"
    # The engine saw the failure: it was not mended inside the step.
    assert [record.name for record in caplog.records].count("holdfast.attempts") == 1


def test_the_request_is_what_it_is_without_durable(provider: Provider) -> None:
    llm = provider(*TURNS)
    ask(bank_agent(MODELS[0]))
    plain = Agent(MODELS[0], name="bank")

    @plain.tool_plain
    async def balance(account: str) -> int:
        return 42

    asyncio.run(plain.run("hello"))
    durable, vendor = llm.requests[:2], llm.requests[2:]
    assert durable == vendor
