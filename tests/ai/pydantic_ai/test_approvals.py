"""Tools that a person has to approve: the run waits, and the answer comes over HTTP."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from ai.pydantic_ai.agents import answer, ask, steps
from ai.pydantic_ai.told import Told
from pydantic_ai import Agent, ApprovalRequired, CallDeferred, DeferredToolRequests, RunContext
from pydantic_ai.messages import ToolCallPart

from holdfast.ai.pydantic_ai import Durable
from holdfast.testing import Harness
from holdfast.testing.journal import Journal


def wiring(**options: Any) -> tuple[Agent[None, str], list[int]]:
    """An agent that wants to wire two sums, and what it wired."""
    told = Told(("wire", {"usd": 1}), ("wire", {"usd": 2}))
    agent = Agent(told.model(), name="bank", capabilities=[Durable(**options)])
    wired: list[int] = []

    @agent.tool_plain(requires_approval=True)
    async def wire(usd: int) -> str:
        wired.append(usd)
        return f"wired {usd}"

    return agent, wired


def asked(journal: Journal) -> list[str]:
    """The awakeables that are waited for, in the order in which was asked."""
    return [
        entry.value["awakeable_id"]
        for entry in journal
        if entry.type == "Run"
        and entry.is_notification
        and isinstance(entry.value, dict)
        and "awakeable_id" in entry.value
    ]


def answering(*answers: object) -> Callable[[Harness], Awaitable[None]]:
    """A person who answers what is asked, in order, a day later."""

    async def person(env: Harness) -> None:
        await env.settle()
        await env.advance(timedelta(days=1))
        for awakeable, said in zip(asked(env.journal(answer)), answers, strict=True):
            await env.resolve_awakeable(awakeable, said)

    return person


def test_two_approvals_are_asked_for_at_once_and_answered_on_their_own() -> None:
    agent, wired = wiring()
    no = {"approved": False, "reason": "too much", "by": "Grace"}
    output, journal = ask(agent, meanwhile=answering(True, no), always_replay=True)
    assert wired == [1]
    assert output.startswith("wired 1; ")
    assert "too much" in output
    assert steps(journal) == ["told", "ask wire", "ask wire", "tool wire", "told"]


def test_a_person_may_change_the_arguments() -> None:
    agent, wired = wiring()
    less = {"approved": True, "arguments": {"usd": 5}}
    ask(agent, meanwhile=answering(less, False))
    assert wired == [5]


def test_nobody_answers_in_time() -> None:
    agent, wired = wiring(approval_timeout=timedelta(days=2))
    output, _ = ask(agent, always_replay=True)
    assert wired == []
    assert output.count("in time") == 2


def test_whoever_decides_is_told_once() -> None:
    notified: list[tuple[str, str]] = []

    async def notify(call: ToolCallPart, id_: str) -> None:
        notified.append((call.tool_call_id, id_))

    agent, _ = wiring(notify=notify)
    _, journal = ask(agent, meanwhile=answering(True, True), always_replay=True)
    assert sorted(id_ for _, id_ in notified) == sorted(asked(journal))
    assert sorted(call for call, _ in notified) == ["call_0", "call_1"]


def test_a_tool_may_ask_on_its_own_with_metadata_that_survives_the_journal() -> None:
    agent = Agent(Told(("wire", {"usd": 900})).model(), name="bank", capabilities=[Durable()])
    seen: list[Any] = []

    @agent.tool
    async def wire(ctx: RunContext[None], usd: int) -> str:
        if usd > 100 and not ctx.tool_call_approved:
            raise ApprovalRequired(metadata={"limit": 100})
        seen.append(ctx.tool_call_metadata)
        return "wired"

    output, journal = ask(agent, meanwhile=answering(True), always_replay=True)
    assert output == "wired"
    assert seen == [{"limit": 100}]
    assert steps(journal) == ["told", "tool wire", "ask wire", "tool wire", "told"]


def test_without_approvals_the_run_ends_with_the_requests_as_the_vendor_has_it() -> None:
    agent: Agent[None, Any] = Agent(
        Told(("wire", {}), ("later", {})).model(),
        name="bank",
        output_type=[str, DeferredToolRequests],
        capabilities=[Durable(approvals=False)],
    )

    @agent.tool_plain
    async def wire() -> str:
        raise ApprovalRequired(metadata={"why": "money"})

    @agent.tool_plain
    async def later() -> str:
        raise CallDeferred(metadata={"job": 7})

    async def requests(message: str) -> dict[str, Any]:
        output = (await agent.run(message)).output
        assert isinstance(output, DeferredToolRequests)
        return output.metadata

    output, _ = ask(requests, always_replay=True)
    assert output == {"call_0": {"why": "money"}, "call_1": {"job": 7}}
