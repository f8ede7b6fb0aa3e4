"""Requests about invocations that exist: attach, output, lookup, and completing awakeables.

An invocation is named by its id, by its idempotency key or by its workflow key. The last two are computed,
never looked up: the id is a function of the names (protocol, "Identifiers").
"""

from __future__ import annotations

from json import JSONDecodeError, loads
from typing import Protocol, cast

from holdfast.catalog.model import Handler
from holdfast.core.model import Failure, InvocationId, Success
from holdfast.core.records import Signal
from holdfast.ingress import errors
from holdfast.ingress.errors import RequestError
from holdfast.ingress.exchange import Exchange
from holdfast.ingress.routes import (
    ByBody,
    ById,
    ByIdempotencyKey,
    ByWorkflow,
    CompleteAwakeable,
    Existing,
    Verb,
)
from holdfast.ingress.waits import Attach, Delivery, Output, Waits
from holdfast.partition.api import Engine
from holdfast.partition.placement import idempotent_id, workflow_id
from holdfast.protocol.errors import InvalidId
from holdfast.protocol.ids import decode_invocation_id, encode_invocation_id, parse_awakeable_id
from holdfast.protocol.manifest import ServiceType

AWAKEABLE_SIGNAL_MIN = 17
"""Lower signal indexes are built in; an awakeable that names one was not made by an SDK."""

_REJECT_CODE = 500


class Handlers(Protocol):
    def handler(self, service: str, handler: str) -> Handler | None: ...

    def service_type(self, service: str) -> ServiceType | None: ...


def find_existing(
    exchange: Exchange, route: Existing | ByBody, engine: Engine, catalog: Handlers, waits: Waits
) -> None:
    """Answer attach, output or lookup.

    Raises:
        RequestError: 400 for a malformed id, 405 for the wrong method, 500 for an unreadable body.
    """
    if exchange.method != ("POST" if isinstance(route, ByBody) else "GET"):
        raise RequestError(405, errors.METHOD_NOT_ALLOWED)
    verb = route.verb
    target = _target_in_body(verb, exchange.body) if isinstance(route, ByBody) else route
    if isinstance(route, ByIdempotencyKey):
        _check_key(route, catalog.service_type(route.service))
    id_ = invocation_id_of(target)
    if verb is Verb.LOOKUP:
        body = f'{{"invocationId":"{encode_invocation_id(id_)}"}}'
        exchange.respond(200, [("content-type", "application/json")], body.encode())
        return
    if verb is Verb.ATTACH:
        attach = Attach(exchange, waits, id_, catalog.handler)
        attach.watch = engine.attach(id_, attach.on_answer, attach.on_finished)
    else:
        output = Output(exchange, waits, id_, catalog.handler)
        output.watch = engine.attach(id_, output.on_answer)


def _check_key(route: ByIdempotencyKey, service_type: ServiceType | None) -> None:
    """Whether the path has a key is known from its length alone; the service has to agree."""
    if service_type is None:
        raise errors.service_not_found(route.service)
    keyed = service_type is not ServiceType.SERVICE
    if keyed and route.key is None:
        raise RequestError(400, errors.EXPECTED_INVOCATION_PATHS)
    if not keyed and route.key is not None:
        raise RequestError(404, errors.NO_ROUTE)


def invocation_id_of(target: Existing) -> InvocationId:
    """The id that a target names.

    Raises:
        RequestError: 400, an id in text that is not one.
    """
    match target:
        case ById(_, id_text):
            try:
                return InvocationId(decode_invocation_id(id_text))
            except InvalidId as error:
                raise RequestError(400, f"bad invocation id '{id_text}': {error.message}") from None
        case ByWorkflow(_, service, key):
            return workflow_id(service, key)
        case ByIdempotencyKey(_, service, key, handler, idempotency_key):
            return idempotent_id(service, key, handler, idempotency_key)


def complete_awakeable(exchange: Exchange, route: CompleteAwakeable, engine: Engine, waits: Waits) -> None:
    """Deliver an awakeable's result; 202 once it is durable, whether or not anybody waits for it.

    Raises:
        RequestError: 400, the id is not an awakeable's or the reason is not UTF-8.
    """
    try:
        id_, index = parse_awakeable_id(route.id_text)
    except InvalidId as error:
        raise RequestError(400, f"bad awakeable id '{route.id_text}': {error.message}") from None
    if index < AWAKEABLE_SIGNAL_MIN:
        raise RequestError(400, f"bad awakeable id '{route.id_text}': id doesn't match the expected type")
    result: Success | Failure
    if route.resolve:
        result = Success(exchange.body)
    else:
        try:
            result = Failure(_REJECT_CODE, exchange.body.decode())
        except UnicodeDecodeError as error:
            raise RequestError(400, f"cannot read body: the reason is not UTF-8 ({error.reason})") from None
    delivery = Delivery(exchange, waits)
    engine.submit(
        InvocationId(id_), Signal(engine.now_ms(), InvocationId(id_), index, result), delivery.on_answer
    )


_TARGETS = ("workflow", "idempotentInvocation", "invocation")


def _target_in_body(verb: Verb, body: bytes) -> Existing:
    try:
        parsed: object = loads(body)
    except (JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(verb, str(error)) from None
    if not isinstance(parsed, dict):
        raise _unreadable(verb, "expected an object with the field `target`")
    value = cast("dict[str, object]", parsed)
    kind = _text(verb, value, "target")
    if _optional(verb, value, "scope") is not None:
        raise RequestError(400, errors.SCOPES_DISABLED)
    if kind == "workflow":
        return ByWorkflow(verb, _text(verb, value, "workflowName"), _text(verb, value, "workflowKey"))
    if kind == "idempotentInvocation":
        service, key = _text(verb, value, "service"), _optional(verb, value, "key")
        handler, idempotency_key = _text(verb, value, "handler"), _text(verb, value, "idempotencyKey")
        return ByIdempotencyKey(verb, service, key, handler, idempotency_key)
    if kind == "invocation":
        return ById(verb, _text(verb, value, "invocationId"))
    expected = ", ".join(f"`{name}`" for name in _TARGETS)
    raise _unreadable(verb, f"unknown variant `{kind}`, expected one of {expected}")


def _optional(verb: Verb, value: dict[str, object], field: str) -> str | None:
    found = value.get(field)
    if found is None:
        return None
    if not isinstance(found, str):
        raise _unreadable(verb, f"field `{field}` is not a string")
    if not found.isascii() and any("\ud800" <= character <= "\udfff" for character in found):
        raise _unreadable(verb, f"field `{field}` holds half of a surrogate pair")
    return found


def _text(verb: Verb, value: dict[str, object], field: str) -> str:
    found = _optional(verb, value, field)
    if found is None:
        raise _unreadable(verb, f"missing field `{field}`")
    return found


def _unreadable(verb: Verb, reason: str) -> RequestError:
    kind = "lookup" if verb is Verb.LOOKUP else "request"
    return RequestError(500, f"cannot read body: invalid {kind} body: {reason}")
