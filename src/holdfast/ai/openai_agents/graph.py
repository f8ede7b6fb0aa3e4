"""Everything an agent can reach, made durable in place, once.

    Agent ─▶ its model, when it is a Model     ─▶ DurableModel
          ─▶ its function tools                ─▶ Invoker; through an agent as tool, that agent
          ─▶ its MCP servers                   ─▶ journaled calls
          ─▶ its handoffs                      ─▶ the agents they lead to, also when made on the way

The walk keeps what it has seen, so agents may hand off to each other in circles. Objects stay the objects
they are, since others may hold them too; outside a handler each behaves as before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, cast

from agents import Agent, FunctionTool, Handoff, Model

from holdfast.ai.openai_agents.mcp_servers import make_server_durable
from holdfast.ai.openai_agents.models import durable_model
from holdfast.ai.openai_agents.tools import make_durable

MARK = "_holdfast_durable"


def instrument(agent: Agent[Any]) -> None:
    """Make an agent and all it can reach durable; what already is stays as it is."""
    seen: set[int] = set()
    left: list[Agent[Any]] = [agent]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        _instrument_one(one, left)


def is_durable(agent: Agent[Any]) -> bool:
    """Whether `instrument` has seen it."""
    return bool(getattr(agent, MARK, False))


def _instrument_one(agent: Agent[Any], left: list[Agent[Any]]) -> None:
    if isinstance(agent.model, Model):
        agent.model = durable_model(agent.model)
    for tool in agent.tools:
        if isinstance(tool, FunctionTool):
            make_durable(tool)
            left += _agents(getattr(tool, "_agent_instance", None))
    for server in agent.mcp_servers:
        make_server_durable(server)
    for target in agent.handoffs:
        if isinstance(target, Handoff):
            _instrument_handoff(cast(Any, target), left)
        else:
            left += _agents(target)
    if not is_durable(agent):
        # Of this one object: its class is the vendor's, or the user's.
        one = cast(Any, agent)
        one.get_mcp_tools, one.clone = _listing(agent.get_mcp_tools), _cloning(agent.clone)
        setattr(agent, MARK, True)


def _instrument_handoff(handoff: Handoff[Any, Any], left: list[Agent[Any]]) -> None:
    reference = getattr(handoff, "_agent_ref", None)
    left += _agents(None if reference is None else reference())
    invoke = handoff.on_invoke_handoff
    if getattr(invoke, MARK, False):
        return

    @wraps(invoke)
    async def invoke_durably(*args: Any, **kwargs: Any) -> Any:
        target = await cast("Callable[..., Awaitable[Any]]", invoke)(*args, **kwargs)
        for agent in _agents(target):
            instrument(agent)
        return target

    setattr(invoke_durably, MARK, True)
    handoff.on_invoke_handoff = invoke_durably


def _agents(found: object) -> list[Agent[Any]]:
    return [cast(Any, found)] if isinstance(found, Agent) else []


def _listing(get_mcp_tools: Callable[..., Awaitable[list[Any]]]) -> Callable[..., Awaitable[list[Any]]]:
    @wraps(get_mcp_tools)
    async def list_durable(*args: Any, **kwargs: Any) -> list[Any]:
        tools = await get_mcp_tools(*args, **kwargs)
        for tool in tools:
            if isinstance(tool, FunctionTool):
                make_durable(tool)
        return tools

    return list_durable


def _cloning(clone: Callable[..., Agent[Any]]) -> Callable[..., Agent[Any]]:
    @wraps(clone)
    def clone_durably(**changes: Any) -> Agent[Any]:
        made = clone(**changes)
        instrument(made)
        return made

    return clone_durably
