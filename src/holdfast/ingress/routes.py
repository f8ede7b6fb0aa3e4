"""What a path means. Pure: text in, a route out, nothing looked up.

Two families share the root. Below `/restate/` every form says what it is; anywhere else the first segment is
a service, and whether the second is a key or a handler is known only once the service's type is, which is why
`Invoke` keeps its segments and `locate` finishes the job with the type in hand.

Segments are split before they are percent-decoded, so a key may contain an encoded slash. Only what the
caller chooses freely (keys, idempotency keys) is decoded; names are matched as they came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from holdfast.ingress import errors
from holdfast.ingress.errors import EXPECTED_NEWER_PATHS, EXPECTED_PATHS, NO_ROUTE, RequestError
from holdfast.protocol.manifest import ServiceType

SEGMENTS_MIN: Final = 2
SEGMENTS_MAX: Final = 7
SCOPE_CHARS_MAX: Final = 36

_SERVICE: Final = ServiceType.SERVICE  # a plain name: see `core.attempts`
_SCOPE = re.compile(r"[a-zA-Z0-9_.-]{1,36}")
_LIMIT_KEY = re.compile(r"[a-zA-Z0-9_.-]{1,36}(/[a-zA-Z0-9_.-]{1,36})?")


_SHAPES = {
    "invocation": ((3, 5, 6), errors.EXPECTED_INVOCATION_PATHS),
    "workflow": ((4,), errors.EXPECTED_WORKFLOW_PATHS),
    "awakeables": ((3,), errors.EXPECTED_AWAKEABLE_PATHS),
    "a": ((3,), errors.EXPECTED_AWAKEABLE_PATHS),
} | dict.fromkeys(("call", "send", "scope", "attach", "output", "lookup"), ((), errors.EXPECTED_NEWER_PATHS))
"""Below `/restate/`: how many segments there have to be, and what to say when there are not."""


Located: TypeAlias = tuple[ServiceType, str | None, str, bool]
"""For a type of service: key (decoded; None for plain services), handler, and whether it is a send."""


class Verb(StrEnum):
    """What is asked about an existing invocation."""

    ATTACH = "attach"
    OUTPUT = "output"
    LOOKUP = "lookup"


@dataclass(slots=True)
class Invoke:
    """A call or a send. `rest` is what follows the service name, still encoded; `send` None leaves it to a
    last segment `send`."""

    service: str
    rest: list[str]
    send: bool | None = None
    scope: str | None = None
    located: Located | None = field(default=None, compare=False)
    """What `locate` found last, for who keeps routes."""


@dataclass(slots=True)
class ById:
    verb: Verb
    id_text: str


@dataclass(slots=True)
class ByIdempotencyKey:
    verb: Verb
    service: str
    key: str | None
    handler: str
    idempotency_key: str


@dataclass(slots=True)
class ByWorkflow:
    verb: Verb
    service: str
    key: str


@dataclass(slots=True)
class ByBody:
    """The request's JSON body names the invocation."""

    verb: Verb


@dataclass(slots=True)
class CompleteAwakeable:
    id_text: str
    resolve: bool


@dataclass(slots=True)
class Health:
    pass


Existing: TypeAlias = ById | ByIdempotencyKey | ByWorkflow
Route: TypeAlias = Invoke | Existing | ByBody | CompleteAwakeable | Health


def parse_path(path: str) -> Route:
    """The route of a path, without its query.

    Raises:
        RequestError: 400 for a path of the wrong shape or encoding, 404 for one that is reserved or unknown.
    """
    if path[-1:] == "/":
        path = path.rstrip("/") or "/"
    segments = path[1:].split("/")
    if not SEGMENTS_MIN <= len(segments) <= SEGMENTS_MAX or path[:1] != "/":
        raise RequestError(400, f"bad path: {path}")
    first = segments[0]
    if first == "restate":
        return _restate(segments[1:])
    if first == "openapi":
        raise RequestError(404, NO_ROUTE)
    return Invoke(first, segments[1:])


def _restate(segments: list[str]) -> Route:
    match segments:
        case [("call" | "send") as verb, service, *rest]:
            return Invoke(service, rest, verb == "send")
        case ["scope", scope, ("call" | "send") as verb, service, *rest]:
            return Invoke(service, rest, verb == "send", decode(scope))
        case ["invocation", id_text, ("attach" | "output") as verb]:
            return ById(Verb(verb), id_text)
        case ["invocation", service, handler, idempotency_key, ("attach" | "output") as verb]:
            return ByIdempotencyKey(Verb(verb), service, None, handler, decode(idempotency_key))
        case ["invocation", service, key, handler, idempotency_key, ("attach" | "output") as verb]:
            return ByIdempotencyKey(Verb(verb), service, decode(key), handler, decode(idempotency_key))
        case ["workflow", service, key, ("attach" | "output") as verb]:
            return ByWorkflow(Verb(verb), service, decode(key))
        case [("attach" | "output") as verb, id_text]:
            return ById(Verb(verb), id_text)
        case [("attach" | "output" | "lookup") as verb]:
            return ByBody(Verb(verb))
        case ["awakeables" | "a", id_text, ("resolve" | "reject") as verb]:
            return CompleteAwakeable(id_text, verb == "resolve")
        case ["health"]:
            return Health()
        case [first, *_] if first in _SHAPES and len(segments) not in _SHAPES[first][0]:
            raise RequestError(400, _SHAPES[first][1])
        case _:
            raise RequestError(404, NO_ROUTE)


def locate(invoke: Invoke, service_type: ServiceType) -> Located:
    """Finish a route, now that the service's type is known.

    Raises:
        RequestError: 400, too few or too many segments for this type, or a key that is not UTF-8.
    """
    rest = invoke.rest
    keyed = service_type is not _SERVICE
    count = 2 if keyed else 1
    send = invoke.send
    if send is None:
        send = len(rest) == count + 1 and rest[-1] == "send"
        if send:
            count += 1
    if len(rest) != count:
        raise RequestError(400, EXPECTED_PATHS if invoke.send is None else EXPECTED_NEWER_PATHS)
    if keyed:
        return service_type, decode(rest[0]), rest[1], send
    return service_type, None, rest[0], send


def decode(segment: str) -> str:
    """A percent-decoded segment.

    Raises:
        RequestError: 400, the bytes are not UTF-8.
    """
    if "%" not in segment:
        return segment
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError as error:
        message = f"bad path, cannot decode key: '{segment}' is not UTF-8 ({error.reason})"
        raise RequestError(400, message) from None


def check_scope(scope: str) -> None:
    """Raise RequestError 400 unless `scope` has the form of one."""
    if _SCOPE.fullmatch(scope) is None:
        reason = "value contains characters outside the allowed set [a-zA-Z0-9_.-]"
        if not scope:
            reason = "value cannot be empty"
        elif len(scope) > SCOPE_CHARS_MAX:
            reason = f"value too long: {len(scope.encode())} bytes (max {SCOPE_CHARS_MAX})"
        raise RequestError(400, f"bad scope value: {reason}")


def check_limit_key(limit_key: str) -> None:
    """Raise RequestError 400 unless `limit_key` is one or two parts, each of the form of a scope."""
    if _LIMIT_KEY.fullmatch(limit_key) is None:
        raise RequestError(
            400,
            f"bad limit key '{limit_key}', expected one or two parts separated by '/', each 1 to 36 "
            "characters of a-z A-Z 0-9 _ . -",
        )
