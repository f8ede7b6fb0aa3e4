"""Sends what attempts have to say through an awaitable `send`, as ASGI, RSGI and Lambda have it.

What a body comes to is sent from the task that ran it, so that a quick step is one write: its command and its
proposal leave together.
"""

import asyncio
from collections.abc import Awaitable, Callable

from holdfast.sdk.context.payloads import Payloads
from holdfast.sdk.endpoint.step_runner import StepRunner
from holdfast.sdk.steps import PendingStep

Send = Callable[[bytes], Awaitable[None]]


class SendingRunner(StepRunner):
    """The port of one attempt.

    Args:
        send: carries bytes to the server; called one at a time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, payloads: Payloads, send: Send) -> None:
        super().__init__(loop, payloads)
        self._send = send
        self.held = False
        """While set, `flush` leaves the sending to whoever set it."""
        self._ended: asyncio.Future[None] | None = None
        self._sending = False
        self._idle: asyncio.Future[None] | None = None
        self._flush_soon = False
        self._flushing: asyncio.Task[None] | None = None

    def flush(self) -> None:
        # After the first step of every body just started: what is quick goes out together.
        if self._ended is not None and self.attempt.ended and not self._ended.done():
            self._ended.set_result(None)
        if self.held or self._sending or self._flush_soon:
            return
        if self.attempt.machine.has_output:
            self._flush_soon = True
            self._loop.call_soon(self._flush_in_task)

    async def drain(self) -> None:
        """Send what there is, unless somebody is at it, who then sends this too."""
        if self._sending:
            return
        machine = self.attempt.machine
        self._sending = True
        try:
            while data := machine.take_output():
                await self._send(data)
        finally:
            self._sending = False
            if self._idle is not None and not self._idle.done():
                self._idle.set_result(None)

    async def sent(self) -> None:
        """Everything is sent; somebody else may be in the middle of it."""
        while self._sending:
            self._idle = self._loop.create_future()
            await self._idle
        await self.drain()

    def _flush_in_task(self) -> None:
        self._flush_soon = False
        if self.attempt.machine.has_output and not self._sending:
            self._flushing = self._loop.create_task(self.drain())

    def ended(self) -> "asyncio.Future[None]":
        """Done once the attempt has ended."""
        self._ended = self._loop.create_future()
        if self.attempt.ended:
            self._ended.set_result(None)
        return self._ended

    async def _body(self, step: PendingStep) -> None:
        await super()._body(step)
        await self.drain()
