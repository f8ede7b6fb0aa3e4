"""Connections to MCP servers, made by the first step that needs one.

A handler cannot connect: the connection lives in the process, not in the journal. So nobody has to: a server
that is not connected when a step asks it is connected then, and stays so for the life of the process. Who
connects it at the start of the application, or cleans it up at the end, does that as before.

A connection belongs to the task that made it (its cancel scopes are that task's), so each has a task of its
own, which ends with its event loop.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast
from weakref import WeakKeyDictionary

from agents.mcp import MCPServer


@dataclass(frozen=True, slots=True)
class _Connection:
    """A task that holds a connection, and the future that says how connecting went."""

    task: asyncio.Task[None]
    ready: asyncio.Future[None]


_held: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, _Connection]] = WeakKeyDictionary()
"""By loop and the server's id. The task keeps its server alive, so no other server gets that id."""


_in_step: ContextVar[bool] = ContextVar("holdfast_tool_step", default=False)


def enter_step() -> None:
    """From here on, in this task, a tool's body runs as a step of a handler."""
    _in_step.set(True)


def in_step() -> bool:
    """Whether a tool's body runs as a step of a handler. Elsewhere servers are left alone."""
    return _in_step.get()


async def connected(server: MCPServer) -> None:
    """Return when the server is connected; at once for servers that do not say whether they are.

    Raises:
        Exception: why it cannot be. The next to ask tries again.
    """
    if getattr(server, "session", server) is not None:
        return
    loop = asyncio.get_running_loop()
    held = _held.setdefault(loop, {})
    connection = held.get(id(server))
    if connection is None or connection.task.done():
        ready: asyncio.Future[None] = loop.create_future()
        task = loop.create_task(_hold(server, ready), name=f"mcp {server.name}")
        connection = held[id(server)] = _Connection(task, ready)
    # Shielded: who stops waiting (a step that is cancelled) leaves the others waiting.
    await asyncio.shield(connection.ready)


async def _hold(server: MCPServer, ready: asyncio.Future[None]) -> None:
    try:
        await cast(Any, server).connect()  # without annotations
    except Exception as error:
        ready.set_exception(error)
        return
    ready.set_result(None)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await cast(Any, server).cleanup()
