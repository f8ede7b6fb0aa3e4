"""The asynchronous front: `Client` and the handles it gives.

Owns sending and sleeping, nothing else: what is asked is in `operations`, what to do about trouble in
`exchange`. The synchronous front is this file translated: after a change here, run
`python tests/client/translate.py`; a test compares the two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from random import random
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar, Unpack, overload

from holdfast.client.answers import SendStatus, Sent
from holdfast.client.exchange import RETRY_DEFAULT, Attempt, Exchange, Finished, Report
from holdfast.client.http import answered, broken, build, new_async_client, request_errors
from holdfast.client.operations import (
    MISSING,
    CallOptions,
    Missing,
    Operation,
    Operations,
    Reference,
    SendOptions,
    SubmitOptions,
    WaitOptions,
    by_id,
    by_idempotency_key,
    by_workflow,
)
from holdfast.client.wire import base_url, timeout_seconds
from holdfast.sdk.remote import Target
from holdfast.sdk.retry import Retry
from holdfast.sdk.serde import JSON, Codec, Reader, Serde

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - input and output, as in Handler[I, O]
O = TypeVar("O")  # noqa: E741


class Runner(Protocol):
    """Performs operations; what a handle has of its client."""

    async def __call__(self, operation: Operation[T], options: WaitOptions, /) -> T: ...


class Client:
    """Calls handlers through the ingress of a server.

    Use it as `async with holdfast.Client("http://localhost:8080") as client`, or call `aclose()`. One client
    serves any number of concurrent calls of one event loop.

    Args:
        url: of the ingress; a path is kept, for ingresses behind a prefix.
        codec: applied to every payload, the same as in the services.
        headers: sent with every request, an access token for example; handlers see them.
        retry: the budget of one outage, see `holdfast.client.exchange` for what is retried at all.
            `Retry(max_attempts=1)` never sends anything twice.
        http: an httpx client of your own (proxies, certificates, HTTP/2); the caller closes it.
    Raises:
        UsageError: not a URL, headers HTTP cannot carry, or httpx is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        codec: Codec | None = None,
        headers: Mapping[str, str] | None = None,
        retry: Retry = RETRY_DEFAULT,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._url = base_url(url)
        self._operations = Operations(codec, headers)
        self._retry = retry
        self._owns_http = http is None
        self._http = new_async_client() if http is None else http

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. Invocations go on; calls under way fail."""
        if self._owns_http:
            await self._http.aclose()

    @overload
    async def call(self, target: Target[None, O], /, **options: Unpack[CallOptions]) -> O: ...
    @overload
    async def call(self, target: Target[I, O], argument: I, /, **options: Unpack[CallOptions]) -> O: ...
    async def call(
        self, target: Target[I, O], argument: I | Missing = MISSING, /, **options: Unpack[CallOptions]
    ) -> O:
        """Start an invocation and wait for its result, for hours if need be.

        Args:
            target: a handler, or `holdfast.remote(...)` for one that is defined elsewhere.
            argument: of the handler's input type; left out for a handler without input.
            options: see CallOptions.
        Raises:
            InvocationFailed: the handler failed for good, or was cancelled.
            IngressError, Unavailable, AnswerTimeout, UnreadableAnswer: see `holdfast.client.errors`.
            UsageError: a key, header or argument that does not fit.
        """
        return await self._run(self._operations.call(target, argument, options), options)

    @overload
    async def send(self, target: Target[None, O], /, **options: Unpack[SendOptions]) -> SendHandle[O]: ...
    @overload
    async def send(
        self, target: Target[I, O], argument: I, /, **options: Unpack[SendOptions]
    ) -> SendHandle[O]: ...
    async def send(
        self, target: Target[I, O], argument: I | Missing = MISSING, /, **options: Unpack[SendOptions]
    ) -> SendHandle[O]:
        """Start an invocation, now or after `delay`, without waiting for its result.

        Returns once the server has it for good. Arguments and errors as `call`; options: see SendOptions.
        """
        sent = await self._run(self._operations.send(target, argument, options), options)
        return SendHandle(self._run, self._operations, sent, target.output)

    @overload
    def invocation(self, invocation_id: str, /) -> InvocationHandle[object]: ...
    @overload
    def invocation(self, invocation_id: str, target: Target[I, O], /) -> InvocationHandle[O]: ...
    def invocation(
        self, invocation_id: str, target: Target[I, O] | None = None, /
    ) -> InvocationHandle[O] | InvocationHandle[object]:
        """An invocation by its id; without its handler the result is read as plain JSON."""
        if target is None:
            return InvocationHandle(self._run, self._operations, by_id(invocation_id), JSON)
        return InvocationHandle(self._run, self._operations, by_id(invocation_id), target.output)

    def idempotent(
        self, target: Target[I, O], idempotency_key: str, /, *, key: str | None = None
    ) -> InvocationHandle[O]:
        """The invocation that a call or send with this idempotency key has started."""
        return InvocationHandle(
            self._run, self._operations, by_idempotency_key(target, idempotency_key, key), target.output
        )

    def workflow(self, run: Target[I, O], key: str, /) -> WorkflowHandle[I, O]:
        """A workflow by its main handler and key; its shared handlers are reached with `call`."""
        return WorkflowHandle(self._run, self._operations, run, key)

    async def resolve_awakeable(
        self,
        awakeable_id: str,
        value: T,
        /,
        *,
        serde: Serde[T] | None = None,
        **options: Unpack[WaitOptions],
    ) -> None:
        """Complete an awakeable. The first result wins; a later one, or an unknown awakeable, is no error.

        Args:
            value: of the type the handler awaits; `serde` where its own class does not say how it is
                written (a list of models).
        Raises:
            IngressError: the id is not an awakeable's.
        """
        await self._run(self._operations.resolve_awakeable(awakeable_id, value, serde), options)

    async def reject_awakeable(
        self, awakeable_id: str, reason: str, /, **options: Unpack[WaitOptions]
    ) -> None:
        """Fail an awakeable: the handler that waits gets a TerminalError with this reason and code 500."""
        await self._run(self._operations.reject_awakeable(awakeable_id, reason), options)

    async def health(self, **options: Unpack[WaitOptions]) -> list[str]:
        """The names of the services the ingress serves; raises Unavailable when it cannot be reached."""
        return await self._run(self._operations.health(), options)

    async def _run(self, operation: Operation[T], options: WaitOptions) -> T:
        exchange = Exchange(operation, self._retry, timeout_seconds(options.get("timeout")))
        attempt = exchange.begin()
        while True:
            if attempt.pause_s:
                await asyncio.sleep(attempt.pause_s)
            verdict = exchange.judge(await self._perform(attempt), random())
            if isinstance(verdict, Finished):
                return verdict.value
            attempt = verdict

    async def _perform(self, attempt: Attempt) -> Report:
        began = monotonic()
        try:
            response = await self._http.send(build(self._http, self._url, attempt))
        except request_errors() as error:
            return broken(error, monotonic() - began)
        return answered(response, monotonic() - began)


class InvocationHandle(Generic[O]):
    """An invocation that may exist; made by a client's methods, valid as long as the client is open."""

    def __init__(self, run: Runner, operations: Operations, reference: Reference, output: Reader[O]) -> None:
        self._run = run
        self._operations = operations
        self._reference = reference
        self._output = output

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._reference)!r})"

    async def attach(self, **options: Unpack[WaitOptions]) -> O:
        """Wait for the result.

        Raises:
            InvocationFailed: the invocation failed; with code 404 and "not found" also when there is none.
            others: as `Client.call`.
        """
        return await self._run(self._operations.attach(self._reference, self._output), options)

    async def output(self, **options: Unpack[WaitOptions]) -> O:
        """The result if it is there.

        Raises:
            NotReady: the invocation has not ended.
            IngressError: status 404, there is no such invocation, or its result is kept no longer.
            others: as `Client.call`.
        """
        return await self._run(self._operations.output(self._reference, self._output), options)


class SendHandle(InvocationHandle[O]):
    """An invocation that a send has started, or found.

    Attributes:
        invocation_id: its id.
        status: ACCEPTED, or PREVIOUSLY_ACCEPTED when the idempotency or workflow key was known already.
        execution_time: when it starts, if it was delayed; None otherwise.
    """

    def __init__(self, run: Runner, operations: Operations, sent: Sent, output: Reader[O]) -> None:
        super().__init__(run, operations, by_id(sent.invocation_id), output)
        self.invocation_id: str = sent.invocation_id
        self.status: SendStatus = sent.status
        self.execution_time: datetime | None = sent.execution_time


class WorkflowHandle(InvocationHandle[O], Generic[I, O]):
    """The run of a workflow, before and after it was submitted."""

    def __init__(self, run: Runner, operations: Operations, target: Target[I, O], key: str) -> None:
        super().__init__(run, operations, by_workflow(target, key), target.output)
        self._target = target
        self.key: str = key

    @overload
    async def submit(self: WorkflowHandle[None, O], /, **options: Unpack[SubmitOptions]) -> SendHandle[O]: ...
    @overload
    async def submit(self, argument: I, /, **options: Unpack[SubmitOptions]) -> SendHandle[O]: ...
    async def submit(
        self, argument: I | Missing = MISSING, /, **options: Unpack[SubmitOptions]
    ) -> SendHandle[O]:
        """Start the workflow, once per key: later submissions find the first (status PREVIOUSLY_ACCEPTED).

        Errors as `Client.call`.
        """
        operation = self._operations.submit(self._target, self.key, argument, options)
        return SendHandle(
            self._run, self._operations, await self._run(operation, options), self._target.output
        )
