"""Whatever model answers, however it is given and however its answer is read: it is a step."""

import asyncio
from collections.abc import AsyncIterable
from typing import Any

import pytest
from ai.pydantic_ai.agents import ask, steps
from ai.pydantic_ai.told import Told
from pydantic_ai import Agent, RunContext
from pydantic_ai.capabilities import ResolveModelId
from pydantic_ai.messages import AgentStreamEvent, PartDeltaEvent
from pydantic_ai.models import Model, ModelResolutionContext
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import RunUsage

import holdfast
from holdfast.ai.pydantic_ai import Durable
from holdfast.client import InvocationFailed
from holdfast.testing import Harness, run

from .conftest import Provider


def test_an_instance_given_to_the_run_is_the_one_that_is_asked() -> None:
    theirs, ours = Told(), Told()
    agent = Agent(theirs.model(), name="claims", capabilities=[Durable()])

    async def run(message: str) -> str:
        return (await agent.run(message, model=ours.model())).output

    _, journal = ask(run, always_replay=True)
    assert (theirs.requests, ours.requests) == (0, 1)
    assert steps(journal) == ["told"]


def test_an_agent_may_have_no_model_until_it_runs() -> None:
    told = Told()
    agent: Agent[None, str] = Agent(name="claims", capabilities=[Durable()])

    async def run(message: str) -> str:
        return (await agent.run(message, model=told.model())).output

    ask(run, always_replay=True)
    assert told.requests == 1


def test_a_model_by_name_and_one_of_the_registered() -> None:
    first, second = Told(), Told()
    agent = Agent(first.model(), name="claims", capabilities=[Durable(models={"second": second.model()})])

    async def run(message: str) -> str:
        with agent.override(model=second.model()):
            await agent.run(message)
        return (await agent.run(message, model="second")).output

    ask(run, always_replay=True)
    assert (first.requests, second.requests) == (0, 2)


def test_a_wrapper_of_the_users_own_stays_around_the_model() -> None:
    class Counting(WrapperModel):
        asked = 0

        async def request(self, *args: Any, **kwargs: Any) -> Any:
            Counting.asked += 1
            return await super().request(*args, **kwargs)

    told = Told()
    agent = Agent(Counting(told.model()), name="claims", capabilities=[Durable()])

    async def run(message: str) -> str:
        await agent.run(message)
        return (await agent.run(message, model=Counting(told.model()))).output

    ask(run, always_replay=True)
    assert (Counting.asked, told.requests) == (2, 2)


def test_a_provider_of_the_users_own_is_the_one_that_is_asked(provider: Provider) -> None:
    llm = provider({"text": "from there"})
    model = OpenAIChatModel("gpt-own", provider=OpenAIProvider(base_url=llm.openai_url, api_key="own"))
    provider({"text": "from the environment"})
    output, journal = ask(Agent(model, name="claims", capabilities=[Durable()]))
    assert output == "from there"
    assert steps(journal) == ["gpt-own"]


def test_events_come_live_the_first_time_and_not_again(provider: Provider) -> None:
    llm = provider({"text": "one two three four"})
    seen: list[AgentStreamEvent] = []

    async def watch(ctx: RunContext[None], events: AsyncIterable[AgentStreamEvent]) -> None:
        seen.extend([event async for event in events])

    durable = Durable(event_stream_handler=watch)
    agent = Agent("openai-chat:gpt-5", name="claims", capabilities=[durable])
    output, journal = ask(agent, always_replay=True)
    assert output == "one two three four"
    assert len([event for event in seen if isinstance(event, PartDeltaEvent)]) == 1
    assert len(llm.calls) == 1
    assert steps(journal)[0] == "gpt-5"


def test_a_streamed_run_in_a_handler(provider: Provider) -> None:
    llm = provider({"text": "one two three four"})
    agent = Agent("openai-chat:gpt-5", name="claims", capabilities=[Durable()])

    async def streamed(message: str) -> str:
        async with agent.run_stream(message) as result:
            return "".join([piece async for piece in result.stream_text(delta=True)])

    output, journal = ask(streamed, always_replay=True)
    assert output == "one two three four"
    assert llm.requests[0]["stream"] is True
    assert (steps(journal), len(llm.calls)) == (["gpt-5"], 1)


def test_usage_and_ids_are_the_same_in_every_replay() -> None:
    agent = Agent(Told(("add", {})).model(), name="claims", capabilities=[Durable()])
    runs: list[tuple[str, str, RunUsage]] = []

    @agent.tool_plain
    async def add() -> int:
        return 1

    async def run(message: str) -> str:
        result = await agent.run(message)
        runs.append((result.run_id, result.conversation_id, result.usage))
        await asyncio.sleep(1)
        return result.output

    ask(run, always_replay=True)
    assert len(runs) == 2
    assert runs[0] == runs[1]


def test_outside_a_handler_the_agent_is_what_it_is_without_us() -> None:
    told = Told(("add", {}))
    agent = Agent(told.model(), name="claims", capabilities=[Durable()])

    @agent.tool_plain
    def add() -> int:
        return 1

    assert agent.run_sync("hello").output == "1"
    assert asyncio.run(agent.run("hello")).output == "1"
    assert told.requests == 4


def test_an_agent_needs_a_name() -> None:
    model: Model = Told().model()
    with pytest.raises(Exception, match="unique `name`"):
        Agent(model, capabilities=[Durable()])


@pytest.mark.parametrize("order", [0, 1])
def test_names_that_only_a_capability_of_the_users_knows(order: int) -> None:
    told = Told()
    model = told.model()

    def resolve(ctx: ModelResolutionContext[None], model_id: str) -> Model | None:
        return model if model_id == "house" else None

    capabilities = [Durable(), ResolveModelId(resolve)]
    agent: Agent[None, str] = Agent("house", name="claims", capabilities=capabilities[:: 1 - 2 * order])
    output, journal = ask(agent, always_replay=True)
    assert (output, told.requests, steps(journal)) == ("nothing to do", 1, ["told"])


def test_a_model_by_name_keeps_its_client(provider: Provider) -> None:
    provider({"tool_calls": [{"name": "client", "arguments": {}}]}, {"text": "ok"})
    agent = Agent("openai-chat:gpt-5", name="claims", capabilities=[Durable()])
    clients: list[object] = []

    @agent.tool(metadata={"holdfast": False})
    async def client(ctx: RunContext[None]) -> str:
        assert isinstance(ctx.model, OpenAIChatModel)
        clients.append(ctx.model.client)
        return "seen"

    ask(agent)
    ask(agent)
    assert clients[0] is clients[1]


def test_an_agent_that_was_forgotten_is_told_what_to_do(provider: Provider) -> None:
    llm = provider({"text": "never"})
    agent = Agent("openai-chat:gpt-5", name="forgotten")
    service = holdfast.Service("Forgetful")

    @service.handler(retry=holdfast.InvocationRetry(max_attempts=1, on_max_attempts="kill"))
    async def run_it(ctx: holdfast.Context) -> str:
        return (await agent.run("hello")).output

    async def scenario(env: Harness) -> None:
        with pytest.raises(InvocationFailed, match=r"capabilities=\[Durable\(\)\]"):
            await env.call(run_it)

    run(service, scenario)
    assert llm.calls == []
