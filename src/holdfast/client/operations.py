"""What can be asked of an ingress: each question as a request and a way to read its answer.

Owns the paths and bodies of calls, sends, attaching, outputs and awakeables (protocol, section 7). Sans-IO:
an `Operation` is a value; `exchange` decides when it is sent, again or not, and the fronts do the sending.
Both fronts share all of this, so that neither can know something that the other does not.

Paths are the older form, `/{service}[/{key}]/{handler}[/send]`: every server of this protocol reads it, and
the service's type tells the server what is a key, so nothing in it is ambiguous.

`repeatable` is the promise the retries stand on: sending the request twice does no more than sending it once.
That holds for whatever names its invocation beforehand (an idempotency key, a workflow's submission), for
questions about an invocation, and for awakeables, whose first result wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from json import dumps
from typing import Final, Generic, TypedDict, TypeVar, cast

from holdfast.client.answers import Sent, read_health, read_nothing, read_result, read_sent
from holdfast.client.wire import Request, Response, delay_text, header, idempotency_header, segment
from holdfast.sdk.durations import Duration
from holdfast.sdk.errors import SerdeError, UsageError
from holdfast.sdk.remote import Target
from holdfast.sdk.serde import JSON, Codec, Reader, Serde, serde_for

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - input and output, as in Handler[I, O]
O = TypeVar("O")  # noqa: E741


class Missing:
    """The type of MISSING."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()
"""No argument was given, which None would not say."""


class WaitOptions(TypedDict, total=False):
    """Options of every request.

    timeout: how long to wait for the answer, retries included; None (the default) for as long as it takes.
    """

    timeout: Duration | None


class InvokeOptions(WaitOptions, total=False):
    """Options of whatever starts an invocation.

    headers: sent along; a handler sees them. A content type given here replaces the serde's.
    """

    headers: Mapping[str, str] | None


class CallOptions(InvokeOptions, total=False):
    """Options of `call`.

    key: of the virtual object or workflow.
    idempotency_key: calls with the same one, for the same handler and key, are one invocation: the first
        starts it, all get its result. With it, the client may repeat the request, and does.
    """

    key: str | None
    idempotency_key: str | None


class SubmitOptions(InvokeOptions, total=False):
    """Options of a workflow's `submit`. delay: before it starts."""

    delay: Duration | None


class SendOptions(CallOptions, SubmitOptions, total=False):
    """Options of `send`: those of `call`, and a delay."""


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """A request with the reading of its answer. `what` names it in errors, such as `call Greeter/greet`."""

    what: str
    request: Request
    read: Callable[[Response], T]
    repeatable: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """Names an invocation that may exist (protocol, sections 7.1 and 7.5).

    Either by `path`, which leads to `/attach` and `/output`, or by `body`, the JSON form. `text`: for people.
    """

    path: str
    text: str
    body: bytes | None = None

    def request(self, verb: str, headers: tuple[tuple[str, str], ...]) -> Request:
        """Asks to `attach`, or for the `output`."""
        if self.body is None:
            return Request("GET", f"{self.path}/{verb}", headers)
        return Request(
            "POST", f"/restate/{verb}", (*headers, ("content-type", "application/json")), self.body
        )

    def __str__(self) -> str:
        return self.text


def by_id(invocation_id: str) -> Reference:
    """The invocation with this id."""
    return Reference(f"/restate/invocation/{segment(invocation_id, 'the invocation id')}", invocation_id)


def by_idempotency_key(target: Target[I, O], idempotency_key: str, key: str | None) -> Reference:
    """The invocation that a call or send with this idempotency key has started.

    In a path, some servers decode every part but the idempotency key. So only a key that looks the same
    encoded goes there; others go into a body, a form that the oldest servers do not know.
    """
    last = segment(idempotency_header(idempotency_key)[1], "the idempotency key")
    path, text = _path(target, key), f"{name_of(target, key)} with idempotency key {idempotency_key!r}"
    if last == idempotency_key:
        return Reference(f"/restate/invocation{path}/{last}", text)
    named = {
        "target": "idempotentInvocation",
        "service": target.service.name,
        "handler": target.name,
        "idempotencyKey": idempotency_key,
    }
    return Reference("", text, dumps(named if key is None else {**named, "key": key}).encode())


def by_workflow(target: Target[I, O], key: str) -> Reference:
    """The run of a workflow."""
    name = target.service.name
    return Reference(
        f"/restate/workflow/{segment(name, 'the workflow name')}/{segment(key, 'the workflow key')}",
        f"{name}/{key}",
    )


def name_of(target: Target[I, O], key: str | None) -> str:
    """`Counter/my key/add`, for people."""
    return "/".join(part for part in (target.service.name, key, target.name) if part is not None)


class Operations:
    """Builds operations.

    Args:
        codec: applied to every payload; None for none.
        headers: sent with every request, an access token for example.
    Raises:
        UsageError: a header HTTP cannot carry.
    """

    def __init__(self, codec: Codec | None = None, headers: Mapping[str, str] | None = None) -> None:
        self._codec = codec
        self._headers = _headers(headers)

    def call(self, target: Target[I, O], argument: I | Missing, options: CallOptions) -> Operation[O]:
        """Start an invocation and wait for its result.

        Raises:
            UsageError: a key, header or argument that does not fit the target.
        """
        key, idempotency_key = options.get("key"), options.get("idempotency_key")
        what = f"call {name_of(target, key)}"
        headers, body = self._payload(what, target.input, argument, options.get("headers"))
        if idempotency_key is not None:
            headers = (*headers, idempotency_header(idempotency_key))
        request = Request("POST", _path(target, key), headers, body)
        return Operation(what, request, self._result(what, target.output), idempotency_key is not None)

    def send(self, target: Target[I, O], argument: I | Missing, options: SendOptions) -> Operation[Sent]:
        """Start an invocation without waiting, now or after a delay; errors as `call`."""
        key, idempotency_key = options.get("key"), options.get("idempotency_key")
        return self._send(target, argument, key, idempotency_key, options, idempotency_key is not None)

    def submit(
        self, target: Target[I, O], key: str, argument: I | Missing, options: SubmitOptions
    ) -> Operation[Sent]:
        """Start a workflow unless it was before: its key is its idempotency key. Errors as `call`."""
        return self._send(target, argument, key, None, options, True)

    def attach(self, reference: Reference, output: Reader[O]) -> Operation[O]:
        """Wait for an invocation's result."""
        return self._about("attach to", "attach", reference, output)

    def output(self, reference: Reference, output: Reader[O]) -> Operation[O]:
        """An invocation's result if it is there."""
        return self._about("output of", "output", reference, output)

    def resolve_awakeable(self, awakeable_id: str, value: T, serde: Serde[T] | None) -> Operation[None]:
        """Complete an awakeable with a value, written as its class says unless a serde is given."""
        what = f"resolve awakeable {awakeable_id}"
        # None would be no body at all, which servers do not take for a value.
        if serde is None:
            serde = cast("Serde[T]", JSON) if value is None else serde_for(type(value))
        headers, body = self._payload(what, serde, value, None)
        return self._complete(what, awakeable_id, "resolve", headers, body)

    def reject_awakeable(self, awakeable_id: str, reason: str) -> Operation[None]:
        """Complete an awakeable with a failure, code 500."""
        what = f"reject awakeable {awakeable_id}"
        headers = (*self._headers, ("content-type", "text/plain; charset=utf-8"))
        try:
            body = reason.encode()
        except UnicodeEncodeError as error:
            raise UsageError("client_argument", f"{what}: the reason is not valid Unicode: {error}") from None
        return self._complete(what, awakeable_id, "reject", headers, body)

    def health(self) -> Operation[list[str]]:
        """The names of the services the ingress serves."""
        what = "health of the ingress"
        request = Request("GET", "/restate/health", self._headers)
        return Operation(what, request, lambda response: read_health(what, response), True)

    def _send(
        self,
        target: Target[I, O],
        argument: I | Missing,
        key: str | None,
        idempotency_key: str | None,
        options: SubmitOptions,
        repeatable: bool,
    ) -> Operation[Sent]:
        what = f"send to {name_of(target, key)}"
        headers, body = self._payload(what, target.input, argument, options.get("headers"))
        if idempotency_key is not None:
            headers = (*headers, idempotency_header(idempotency_key))
        delay = options.get("delay")
        query = "" if delay is None else f"?delay={delay_text(delay)}"
        request = Request("POST", f"{_path(target, key)}/send{query}", headers, body)
        return Operation(what, request, lambda response: read_sent(what, response), repeatable)

    def _about(self, does: str, verb: str, reference: Reference, output: Reader[O]) -> Operation[O]:
        what = f"{does} {reference}"
        return Operation(what, reference.request(verb, self._headers), self._result(what, output), True)

    def _complete(
        self, what: str, awakeable_id: str, verb: str, headers: tuple[tuple[str, str], ...], body: bytes
    ) -> Operation[None]:
        path = f"/restate/awakeables/{segment(awakeable_id, 'the awakeable id')}/{verb}"
        return Operation(what, Request("POST", path, headers, body), read_nothing, True)

    def _result(self, what: str, output: Reader[O]) -> Callable[[Response], O]:
        codec = self._codec
        return lambda response: read_result(what, output, codec, response)

    def _payload(
        self, what: str, serde: Serde[T], value: T | Missing, extra: Mapping[str, str] | None
    ) -> tuple[tuple[tuple[str, str], ...], bytes]:
        """Headers and body.

        Without a content type there is no body, and the server refuses one. That is why no bytes stay no
        bytes under a codec, too: a cipher would make some of nothing.
        """
        headers = (*self._headers, *_headers(extra))
        content_type = serde.content_type
        if content_type is None:
            if value is not None and not isinstance(value, Missing):
                raise UsageError(
                    "client_argument", f"{what}: an argument was given, and the handler takes none"
                )
            return headers, b""
        if isinstance(value, Missing):
            raise UsageError("client_argument", f"{what}: the handler takes an argument, and none was given")
        try:
            body = serde.serialize(value)
        except SerdeError as error:
            raise type(error)(error.code, f"{what}: {error.message}") from None
        except Exception as error:  # serdes are users' code, and may raise anything
            raise UsageError("serde_failed", f"{what}: {type(error).__name__}: {error}") from error
        if self._codec is not None and body:
            body = self._codec.encode(body)
        if all(name != "content-type" for name, _ in headers):
            headers = (*headers, ("content-type", content_type))
        return headers, body


def _headers(given: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    return tuple(header(name, value) for name, value in given.items()) if given else ()


def _path(target: Target[I, O], key: str | None) -> str:
    """The path of a handler.

    Raises:
        UsageError: a key is missing or one too many, or a name cannot be part of a path.
    """
    name = name_of(target, None)
    if key is None and target.keyed:
        raise UsageError("key_missing", f"{name} needs a key: its service is a virtual object or a workflow")
    if key is not None and target.keyed is False:
        raise UsageError("key_unexpected", f"{name} takes no key: its service is a plain service")
    service = segment(target.service.name, "the service name")
    middle = "" if key is None else f"/{segment(key, 'the key')}"
    return f"/{service}{middle}/{segment(target.name, 'the handler name')}"
