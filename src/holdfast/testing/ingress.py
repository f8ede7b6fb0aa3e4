"""The ingress without sockets: a client whose requests go straight to the dispatcher.

Everything of the real interface is in between (names, keys, private handlers, content types, idempotency,
delays and the answers' wording), except for HTTP itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from holdfast.client import Client
from holdfast.client.exchange import RETRY_DEFAULT, Answered, Attempt, Broken, Report
from holdfast.client.operations import Operations
from holdfast.client.wire import Response
from holdfast.ingress.dispatch import Dispatcher
from holdfast.ingress.exchange import Head, Waiting, abandon
from holdfast.sdk.errors import UsageError
from holdfast.sdk.serde import Codec


class _LocalExchange:
    def __init__(
        self,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        body: bytes,
        answer: asyncio.Future[Response],
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.head: Head | None = None
        self.waiting: Waiting | None = None
        self.answer = answer

    def respond(self, status: int, fields: Sequence[tuple[str, str]], body: bytes) -> None:
        if not self.answer.done():
            self.answer.set_result(Response(status, dict(fields), body))


class LocalClient(Client):
    """The client of `holdfast.client` for a dispatcher in this process. Raises what that one raises."""

    def __init__(self, codec: Codec | None = None, headers: Mapping[str, str] | None = None) -> None:
        # Not the parent's: that one opens connections.
        self._operations = Operations(codec, headers)
        self._retry = RETRY_DEFAULT
        self._dispatcher: Dispatcher | None = None
        self._waiting: set[asyncio.Future[Response]] = set()

    async def aclose(self) -> None:
        """Nothing to close here."""

    def fail_waiting(self, error: Exception) -> bool:
        """Make every request that waits raise `error`; false when none does."""
        waiting = tuple(self._waiting)
        for answer in waiting:
            if not answer.done():
                answer.set_exception(error)
        return bool(waiting)

    async def _perform(self, attempt: Attempt) -> Report:
        if self._dispatcher is None:
            raise UsageError("not_running", "the test environment is not running; use it as `async with`")
        loop = asyncio.get_running_loop()
        began = loop.time()
        request = attempt.request
        answer: asyncio.Future[Response] = loop.create_future()
        headers = [(name.lower(), value) for name, value in request.headers]
        exchange = _LocalExchange(request.method, request.path, headers, request.body, answer)
        self._waiting.add(answer)
        try:
            async with asyncio.timeout(attempt.timeout_s):
                self._dispatcher.handle(exchange)
                response = await answer
        except TimeoutError as error:
            return Broken(error, sent=True, timed_out=True, took_s=loop.time() - began)
        finally:
            self._waiting.discard(answer)
            if not answer.done() or answer.cancelled():
                abandon(exchange)
        return Answered(response, loop.time() - began)
