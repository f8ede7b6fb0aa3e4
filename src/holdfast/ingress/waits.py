"""Requests that wait for the engine: each holds its exchange from the question to the answer.

A wait is in the server's set of waits exactly while it may still respond. It leaves the set by answering, by
`refuse` (shutdown) or by `abandon` (the client is gone); engine callbacks that come after that find `_done`
and do nothing, which also covers the engine calls that cannot be taken back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

from holdfast.catalog.model import Handler
from holdfast.core.model import Completed, Failure, InvocationId, Success, Target, TargetKind
from holdfast.core.outcome import Accepted, Answer, Finished, Found, Refused
from holdfast.ingress.errors import (
    INVOCATION_NOT_FOUND,
    NOT_COMPLETED,
    NOT_READY,
    Fields,
    failed,
    refusal,
)
from holdfast.ingress.exchange import Exchange
from holdfast.ingress.rules import output_content_type
from holdfast.partition.api import Watch
from holdfast.protocol.ids import encode_invocation_id

_ALREADY_INVOKED = Failure(409, "the workflow method was already invoked")
_NOT_FOUND = Failure(404, "not found")


class Wait:
    """Common to all waits; also the whole wait for a signal's delivery."""

    __slots__ = ("_done", "_exchange", "_waits", "watch")

    def __init__(self, exchange: Exchange, waits: Waits) -> None:
        self._exchange = exchange
        self._waits = waits
        self._done = False
        self.watch: Watch | None = None
        exchange.waiting = self
        waits.add(self)

    def abandon(self) -> None:
        """The client is gone: stop waiting."""
        if not self._done:
            self._done = True
            self._waits.discard(self)
            watch, self.watch = self.watch, None
            if watch is not None:
                watch.cancel()

    def refuse(self, status: int, message: str) -> None:
        """Respond with a refusal of the ingress and stop waiting."""
        if not self._done:
            self.abandon()
            self._exchange.waiting = None
            self._exchange.respond(*refusal(status, message))

    def _respond(self, status: int, fields: Fields, body: bytes) -> None:
        self._done = True
        self.watch = None  # it refers to us: without the cycle all of a request is freed at once
        self._waits.discard(self)
        self._exchange.waiting = None
        self._exchange.respond(status, fields, body)

    def _complete(
        self, id_text: str, completed: Completed, handler: Handler | None, expires_at: int | None
    ) -> None:
        result = completed.result
        if not isinstance(result, Success):  # asked this way round: a yes is quick, a no is a search
            self._respond(*failed(id_text, result))
            return
        body = result.value
        fields = [("x-restate-id", id_text)]
        if expires_at is not None:
            fields.append(("idempotency-expires", _instant(expires_at)))
        content_type = output_content_type(None if handler is None else handler.output, body)
        if content_type is not None:
            fields.append(("content-type", content_type))
        # What `_respond` does, without the call.
        self._done = True
        self.watch = None
        self._waits.discard(self)
        exchange = self._exchange
        exchange.waiting = None
        exchange.respond(200, fields, body)


Waits: TypeAlias = set[Wait]
FindHandler: TypeAlias = Callable[[str, str], Handler | None]
"""The handler of a service by its name, None when it is not registered any more."""


class Call(Wait):
    """Waits for an invocation's acceptance and then for its end."""

    __slots__ = ("_handler", "_id")

    def __init__(self, exchange: Exchange, waits: Waits, id_: InvocationId, handler: Handler) -> None:
        # What Wait's does, without the call: nearly every request is one of these.
        self._exchange = exchange
        self._waits = waits
        self._done = False
        self.watch = None
        exchange.waiting = self
        waits.add(self)
        self._id = id_
        self._handler = handler

    def on_answer(self, answer: Accepted | Refused) -> None:
        if self._done:
            return
        if not isinstance(answer, Accepted):
            self.refuse(answer.code, answer.message)
        elif answer.existing and self._handler.kind is TargetKind.WORKFLOW_RUN:
            self.abandon()
            self._respond(*failed(encode_invocation_id(self._id), _ALREADY_INVOKED))
        elif answer.completed is not None:
            self._complete(encode_invocation_id(self._id), answer.completed, self._handler, answer.expires_at)

    def on_finished(self, finished: Finished) -> None:
        if not self._done:
            self._complete(encode_invocation_id(self._id), finished.completed, self._handler, None)


class Send(Wait):
    """Waits for an invocation's acceptance alone."""

    __slots__ = ()

    def on_answer(self, answer: Accepted | Refused) -> None:
        if self._done:
            return
        if isinstance(answer, Refused):
            self.refuse(answer.code, answer.message)
            return
        id_text = encode_invocation_id(answer.id)
        status = "PreviouslyAccepted" if answer.existing else "Accepted"
        execution = f',"executionTime":"{_instant_long(answer.start_at)}"' if answer.start_at else ""
        body = f'{{"invocationId":"{id_text}"{execution},"status":"{status}"}}'
        self._respond(202, [("content-type", "application/json"), ("x-restate-id", id_text)], body.encode())


class Attach(Wait):
    """Waits for the end of an invocation that somebody else started."""

    __slots__ = ("_find_handler", "_id")

    def __init__(
        self, exchange: Exchange, waits: Waits, id_: InvocationId, find_handler: FindHandler
    ) -> None:
        super().__init__(exchange, waits)
        self._id = id_
        self._find_handler = find_handler

    def on_answer(self, answer: Found | Refused) -> None:
        if self._done:
            return
        if isinstance(answer, Found):
            if answer.completed is not None:
                self._complete_as(answer.target, answer.completed, answer.expires_at)
        elif answer.code == 404:
            # As other servers answer it: like an invocation that failed with "not found".
            self._respond(*failed(encode_invocation_id(self._id), _NOT_FOUND))
        else:
            self.refuse(answer.code, answer.message)

    def on_finished(self, finished: Finished) -> None:
        if not self._done:
            self._complete_as(finished.target, finished.completed, None)

    def _complete_as(self, target: Target, completed: Completed, expires_at: int | None) -> None:
        handler = self._find_handler(target.service, target.handler)
        self._complete(encode_invocation_id(self._id), completed, handler, expires_at)


class Output(Attach):
    """Wants the result as it is now: there, not yet there, or no such invocation."""

    __slots__ = ()

    def on_answer(self, answer: Found | Refused) -> None:
        if self._done:
            return
        if isinstance(answer, Found) and answer.completed is None:
            self.refuse(NOT_READY, NOT_COMPLETED)
        elif isinstance(answer, Refused) and answer.code == 404:
            self.refuse(404, INVOCATION_NOT_FOUND)
        else:
            super().on_answer(answer)


class Delivery(Wait):
    """Waits until a completed awakeable's signal is durable; whether anybody still wanted it is not told."""

    __slots__ = ()

    def on_answer(self, answer: Answer | None) -> None:
        if self._done:
            return
        if isinstance(answer, Refused) and answer.code != 404:
            self.refuse(answer.code, answer.message)
        else:
            self._respond(202, [], b"")


def _instant(at_ms: int) -> str:
    """`2026-11-23T18:08:54.166+00:00`."""
    return f"{_seconds(at_ms)}.{at_ms % 1000:03}+00:00"


def _instant_long(at_ms: int) -> str:
    """`2026-11-22T18:08:54.160000000Z`."""
    return f"{_seconds(at_ms)}.{at_ms % 1000:03}000000Z"


def _seconds(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
