"""Tools of an MCP server, in this process: listed once, each call a step."""

import pytest
from ai.pydantic_ai.agents import ask, steps
from ai.pydantic_ai.told import Told
from pydantic_ai import Agent

from holdfast.ai.pydantic_ai import Durable


def test_listing_and_calls_are_steps() -> None:
    fastmcp = pytest.importorskip("fastmcp", reason="needs pydantic-ai-slim[mcp] and fastmcp-slim[server]")
    from pydantic_ai.mcp import MCPToolset

    server = fastmcp.FastMCP("calculator")
    added: list[tuple[int, int]] = []

    @server.tool
    async def add(a: int, b: int) -> int:
        added.append((a, b))
        return a + b

    told = Told(("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4}))
    agent = Agent(
        told.model(), name="sums", toolsets=[MCPToolset(server, id="calculator")], capabilities=[Durable()]
    )
    output, journal = ask(agent, always_replay=True)
    assert output == "3; 7"
    assert steps(journal) == ["tools of calculator", "told", "tool add", "tool add", "told"]
    assert sorted(added) == [(1, 2), (3, 4)]
