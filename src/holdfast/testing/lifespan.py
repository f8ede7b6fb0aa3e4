"""An application's lifespan: what it opens before the first request and closes after the last.

Applications without one raise, or return, when they are asked; that is no error (ASGI, "Lifespan").
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from holdfast.testing.asgi import AsgiApp, Message


class LifespanFailed(Exception):
    """The application could not start, or stop; its own words."""


@asynccontextmanager
async def lifespan(app: AsgiApp) -> AsyncGenerator[None]:
    """Holds the application's lifespan open.

    Raises:
        LifespanFailed: it said that starting or stopping failed.
    """
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message] = asyncio.Queue()
    scope: Message = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    running = asyncio.ensure_future(app(scope, to_app.get, from_app.put))
    try:
        supported = await _tell("startup", running, to_app, from_app)
        yield
        if supported:
            await _tell("shutdown", running, to_app, from_app)
    finally:
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # looked at, so that nobody complains that nobody did


async def _tell(
    what: str,
    running: asyncio.Future[None],
    to_app: asyncio.Queue[Message],
    from_app: asyncio.Queue[Message],
) -> bool:
    """Whether the application answered that it is done; false when it has ended instead."""
    await to_app.put({"type": f"lifespan.{what}"})
    answering = asyncio.ensure_future(from_app.get())
    either: set[asyncio.Future[Any]] = {answering, running}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not answering.done():
        answering.cancel()
        return False
    answer = answering.result()
    if answer["type"] == f"lifespan.{what}.failed":
        raise LifespanFailed(f"the application's {what} failed: {answer.get('message', '')}")
    return True
