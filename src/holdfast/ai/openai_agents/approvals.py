"""Tools that need a person's word: the SDK interrupts the run, the handler waits, the run goes on.

    Runner.run ─▶ result.interruptions ─▶ one awakeable each, with a deadline ─▶ RunState ─▶ Runner.run

While it waits there is no process. The run is interrupted once for all calls of a turn that need an answer,
and goes on when all have one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from agents import Agent, Runner, RunResult, RunResultStreaming, RunState
from agents.items import ToolApprovalItem

from holdfast.ai.approval import Decision, approval
from holdfast.sdk.durations import Duration

ROUNDS_MAX = 100
"""How often one run may be interrupted; each round is a turn of the model's, or a nested agent's."""

Notify = Callable[[str], Awaitable[object]]
"""Called with an awakeable's id, once, in a step: to tell whoever decides."""


async def decide(
    result: RunResult | RunResultStreaming,
    *,
    timeout: Duration | None,  # noqa: ASYNC109 - durable: it outlives the process
    notify: Notify | None = None,
) -> RunState[Any]:
    """Ask a person about every tool call that interrupted a run; answers the state to go on with.

    The answer is that of `holdfast.ai.approval`. A denial's reason is told to the model; no answer in time is
    a denial. Arguments that the person changed are told to the model as well, which then asks for the tool
    with those: the SDK runs a tool only as it was asked for.

    Args:
        timeout: how long to wait for each, timedelta or seconds; None for ever.
    Raises:
        InvocationCancelled: while waiting.
    """
    state: RunState[Any] = result.to_state()
    items = list(result.interruptions)
    decisions = await asyncio.gather(
        *(approval(_name(item), timeout=timeout, details=_arguments(item), notify=notify) for item in items)
    )
    for item, decision in zip(items, decisions, strict=True):
        if decision and decision.arguments is None:
            state.approve(item)
        else:
            state.reject(item, rejection_message=_refusal(item, decision))
    return state


async def run_with_approvals(
    agent: Agent[Any],
    input: Any,  # noqa: A002 - the SDK's name
    *,
    timeout: Duration | None,  # noqa: ASYNC109 - durable: it outlives the process
    notify: Notify | None = None,
    **options: Any,
) -> RunResult:
    """`Runner.run`, asking a person whenever a tool needs approval, until the run is through.

    Args:
        options: those of `Runner.run`.
    Returns:
        The result of the last part of the run; with interruptions left only after `ROUNDS_MAX` rounds.
    """
    result = await Runner.run(agent, input, **options)
    for _ in range(ROUNDS_MAX):
        if not result.interruptions:
            break
        state = await decide(result, timeout=timeout, notify=notify)
        result = await Runner.run(agent, state, **options)
    return result


def _name(item: ToolApprovalItem) -> str:
    return item.tool_name or "a tool"


def _arguments(item: ToolApprovalItem) -> object:
    raw: Any = item.raw_item
    given: object = getattr(raw, "arguments", None)
    if isinstance(raw, Mapping):
        given = cast("Mapping[str, object]", raw).get("arguments")
    return {"tool": _name(item), "agent": item.agent.name, "arguments": given}


def _refusal(item: ToolApprovalItem, decision: Decision) -> str:
    if decision:
        wanted = json.dumps(dict(decision.arguments or {}), ensure_ascii=False)
        return (
            f"The call of {_name(item)} is approved only with these arguments: {wanted}. Call it with them."
        )
    why = decision.reason or ("nobody answered in time" if decision.outcome == "expired" else "")
    return f"The call of {_name(item)} was not approved{': ' + why if why else ''}."
