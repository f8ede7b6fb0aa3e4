"""MCP servers whose answers in a handler are journaled steps: `mcp list <server>` and `tool <name>`.

Their tools are function tools, made anew for each turn; in a durable agent they are called like any other,
each as a step. What a handler asks a server itself is a step as well.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar, cast

from agents.mcp import MCPServer
from mcp.types import CallToolResult, Tool
from pydantic import TypeAdapter

from holdfast.ai.openai_agents.mcp_connections import connected, in_step
from holdfast.ai.steps import tool_step
from holdfast.ai.strict import in_handler

T = TypeVar("T")

MARK: Final = "_holdfast_durable"


class PydanticTypeSerde:
    """Any type that pydantic reads, as JSON without what is unset."""

    content_type: str | None = "application/json"

    def __init__(self, kind: Any) -> None:
        self._adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def serialize(self, value: Any, /) -> bytes:
        """As JSON."""
        return self._adapter.dump_json(value, by_alias=True, exclude_unset=True, warnings=False)

    def deserialize(self, data: bytes, /) -> Any:
        """As it was."""
        return self._adapter.validate_json(data)

    def schema(self) -> dict[str, object] | None:
        """None: the protocol's types."""
        return None


def make_server_durable(server: MCPServer) -> None:
    """Journal what is asked of a server in a handler, once; the object stays the one it is."""
    if getattr(server, MARK, False):
        return
    list_tools, call_tool = server.list_tools, server.call_tool
    tools, result = PydanticTypeSerde(list[Tool]), PydanticTypeSerde(CallToolResult)

    async def list_durably(*args: Any, **kwargs: Any) -> list[Tool]:
        async def body() -> list[Tool]:
            await connected(server)
            return await list_tools(*args, **kwargs)

        if not in_handler():
            return await (body() if in_step() else list_tools(*args, **kwargs))

        found: list[Tool] = await tool_step(
            f"mcp list {server.name}",
            body,
            serde=tools,
            tool="tools/list",
            call_id="",
            arguments={"server": server.name},
        )
        return found

    async def call_durably(
        tool_name: str, arguments: dict[str, Any] | None, *args: Any, **kwargs: Any
    ) -> CallToolResult:
        async def body() -> CallToolResult:
            await connected(server)
            return await call_tool(tool_name, arguments, *args, **kwargs)

        if not in_handler():
            return await (body() if in_step() else call_tool(tool_name, arguments, *args, **kwargs))

        answer: CallToolResult = await tool_step(
            f"tool {tool_name}",
            body,
            serde=result,
            tool=tool_name,
            call_id="",
            arguments=arguments or {},
        )
        return answer

    target = cast(Any, server)
    target.list_tools = list_durably
    target.call_tool = call_durably
    setattr(target, MARK, True)
