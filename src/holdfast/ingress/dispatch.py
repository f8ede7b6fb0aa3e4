"""What each route does: checks a request, asks the engine, and turns its answer into a response.

Everything is a callback. A request that needs the engine becomes a small object (`waits`) that holds the
exchange until the engine has answered; the set of them is the bound on concurrent requests, and what a
shutdown refuses when its grace ends.

Order of the checks of an invocation, first failure wins: path, service, handler, private, method, scope and
limit key, idempotency key, delay, load, body.
"""

from __future__ import annotations

import logging
import re
from json import dumps
from typing import Protocol
from urllib.parse import parse_qsl

from holdfast.catalog.model import Handler
from holdfast.core.model import TargetKind
from holdfast.ingress import errors
from holdfast.ingress.durations import DelayError, parse_delay
from holdfast.ingress.errors import RequestError, refusal
from holdfast.ingress.exchange import Exchange, IngressLimits, Said, abandon
from holdfast.ingress.existing import complete_awakeable, find_existing
from holdfast.ingress.routes import (
    CompleteAwakeable,
    Health,
    Invoke,
    check_limit_key,
    check_scope,
    locate,
    parse_path,
)
from holdfast.ingress.rules import check_input
from holdfast.ingress.waits import Call, Send, Waits
from holdfast.partition.api import Engine
from holdfast.protocol.manifest import ServiceType
from holdfast.protocol.state_commands import InputHeaders

_log = logging.getLogger(__name__)

TARGETS_KEPT_MAX = 1024
TARGET_KEPT_CHARS_MAX = 256

# Not passed on: they belong to the connection, or are ours (protocol, "Input headers").
_OWN_HEADERS = frozenset(("connection", "host", "idempotency-key", "idempotency-expires"))
_READ_HEADERS = _OWN_HEADERS | {"content-type", "traceparent", "x-restate-limit-key"}
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


class CatalogView(Protocol):
    """What the ingress reads of the catalog: the newest revision of everything registered."""

    def handler(self, service: str, handler: str) -> Handler | None: ...

    def service_type(self, service: str) -> ServiceType | None: ...

    def service_names(self) -> list[str]: ...


class Dispatcher:
    """Answers exchanges.

    `handle` never raises for anything a request can contain, and responds at once or leaves a wait behind.
    """

    def __init__(self, engine: Engine, catalog: CatalogView, limits: IngressLimits) -> None:
        self._engine = engine
        self._catalog = catalog
        self._limits = limits
        self._invocations: dict[str, tuple[Invoke, str]] = {}
        """Route and query of the targets met last: most requests are for one of a few."""
        self.waits: Waits = set()
        self.draining = False

    def handle(self, exchange: Exchange) -> None:
        """Answer a complete request, now or when the engine has."""
        try:
            if self.draining:
                raise RequestError(503, errors.SHUTTING_DOWN)
            known = self._invocations.get(exchange.target)
            if known is not None and exchange.method != "OPTIONS":
                self._invoke(exchange, *known)
            else:
                self._route(exchange)
        except RequestError as error:
            exchange.respond(*refusal(error.status, error.message))
        except Exception:
            _log.exception("a request failed in the ingress: %s %s", exchange.method, exchange.target)
            abandon(exchange)
            exchange.respond(*refusal(500, errors.INTERNAL))

    def refuse_waiting(self) -> None:
        """Answer everything that still waits with 503: the grace of a shutdown is over."""
        for wait in tuple(self.waits):
            wait.refuse(503, errors.SHUTTING_DOWN)

    def _route(self, exchange: Exchange) -> None:
        if exchange.method == "OPTIONS":
            exchange.respond(200, _preflight(exchange), b"")
            return
        path, _, query = exchange.target.partition("?")
        route = parse_path(path)
        if isinstance(route, Invoke):
            if len(self._invocations) >= TARGETS_KEPT_MAX:
                self._invocations.clear()
            if len(exchange.target) <= TARGET_KEPT_CHARS_MAX:
                self._invocations[exchange.target] = route, query
            self._invoke(exchange, route, query)
        elif isinstance(route, Health):
            _require(exchange, "GET")
            names = dumps(sorted(self._catalog.service_names()), separators=(",", ":"))
            exchange.respond(200, [("content-type", "application/json")], f'{{"services":{names}}}'.encode())
        elif len(self.waits) >= self._limits.concurrent_requests_max:
            raise RequestError(429, errors.OVERLOADED)
        elif isinstance(route, CompleteAwakeable):
            _require(exchange, "POST")
            complete_awakeable(exchange, route, self._engine, self.waits)
        else:
            find_existing(exchange, route, self._engine, self._catalog, self.waits)

    def _invoke(self, exchange: Exchange, route: Invoke, query: str) -> None:
        catalog, service = self._catalog, route.service
        service_type = catalog.service_type(service)
        if service_type is None:
            raise errors.service_not_found(service)
        located = route.located
        if located is None or located[0] is not service_type:
            located = route.located = locate(route, service_type)
        _, key, name, send = located
        handler = catalog.handler(service, name)
        if handler is None:
            raise errors.handler_not_found(service, name)
        if not handler.public:
            raise RequestError(400, errors.PRIVATE)
        if exchange.method != "POST" and exchange.method != "GET":
            raise RequestError(405, errors.METHOD_NOT_ALLOWED)

        head = exchange.head
        said = None if head is None else head.said
        if said is None:
            said = _read_headers(exchange.target, exchange.headers)
            if head is not None:
                said.headers = InputHeaders(said.headers)
                head.said = said
        idempotency_key, limit_key, delay = said.idempotency_key, said.limit_key, None
        if query:
            parameters = _parameters(query)
            delay = parameters.get("delay")
            limit_key = limit_key or parameters.get("limit-key")

        if route.scope is not None or limit_key is not None:
            self._check_flow_control(route.scope, limit_key)
        if idempotency_key is not None:
            if handler.kind is TargetKind.WORKFLOW_RUN:
                raise RequestError(400, errors.IDEMPOTENCY_KEY_ON_WORKFLOW)
            if not idempotency_key:
                raise RequestError(400, errors.IDEMPOTENCY_KEY_EMPTY)
        engine = self._engine
        start_at = 0
        if delay is not None:
            if not send:
                raise RequestError(400, errors.DELAY_ON_CALL)
            try:
                delay_ms = parse_delay(delay)
            except DelayError as error:
                raise RequestError(400, str(error)) from None
            if delay_ms:
                start_at = engine.now_ms() + delay_ms
        if engine.overloaded or len(self.waits) >= self._limits.concurrent_requests_max:
            raise RequestError(429, errors.OVERLOADED)
        if handler.input is not None:
            check_input(handler.input, said.content_type, exchange.body)
        request = engine.make_request(
            handler,
            key,
            said.headers,
            exchange.body,
            idempotency_key=idempotency_key,
            start_at=start_at,
            scope=route.scope,
            limit_key=limit_key,
            trace_parent=said.trace_parent,
        )
        if send:
            sent = Send(exchange, self.waits)
            sent.watch = engine.start(request, sent.on_answer)
        else:
            call = Call(exchange, self.waits, request.id, handler)
            call.watch = engine.start(request, call.on_answer, call.on_finished)

    def _check_flow_control(self, scope: str | None, limit_key: str | None) -> None:
        if scope is None:
            raise RequestError(400, errors.LIMIT_KEY_WITHOUT_SCOPE)
        check_scope(scope)
        if not self._limits.scopes_enabled:
            raise RequestError(400, errors.SCOPES_DISABLED)
        if limit_key is not None:
            check_limit_key(limit_key)


def _read_headers(target: str, headers: list[tuple[str, str]]) -> Said:
    said = Said([("x-restate-ingress-path", target)])
    for header in headers:
        if header[0] in _READ_HEADERS:
            field, value = header
            if field == "content-type":
                said.content_type = value
            elif field == "idempotency-key":
                said.idempotency_key = value
            elif field == "traceparent":
                said.trace_parent = value if _TRACE_PARENT.fullmatch(value) else None
            elif field == "x-restate-limit-key":
                said.limit_key = value
            if field in _OWN_HEADERS:
                continue
        said.headers.append(header)
    return said


def _parameters(query: str) -> dict[str, str]:
    """Query parameters by lower-case name. Whatever else a caller's URL carries is none of our business."""
    pairs = parse_qsl(query, keep_blank_values=True, errors="replace")
    return {name.lower(): value for name, value in pairs}


def _require(exchange: Exchange, method: str) -> None:
    if exchange.method != method:
        raise RequestError(405, errors.METHOD_NOT_ALLOWED)


def _preflight(exchange: Exchange) -> errors.Fields:
    """What a browser asks before it sends: everything it asked for is allowed. The origin is echoed by the
    connection, as on every response."""
    asked = dict(exchange.headers)
    fields: errors.Fields = []
    for question, answer in (
        ("access-control-request-method", "access-control-allow-methods"),
        ("access-control-request-headers", "access-control-allow-headers"),
    ):
        if question in asked:
            fields.append((answer, asked[question]))
    return fields
