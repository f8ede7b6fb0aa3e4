"""The OpenAI Agents SDK, durable."""

from __future__ import annotations

from typing import Any, TypeVar

from agents import Agent

from holdfast.ai.openai_agents.approvals import decide, run_with_approvals
from holdfast.ai.openai_agents.graph import instrument
from holdfast.ai.openai_agents.runner import install
from holdfast.ai.openai_agents.tools import inline, retried

A = TypeVar("A", bound=Agent[Any])

__all__ = ["decide", "durable", "inline", "retried", "run_with_approvals"]


def durable(agent: A) -> A:
    """Make an agent durable, with all it can reach, in place; answers the same agent."""
    install()
    instrument(agent)
    return agent
