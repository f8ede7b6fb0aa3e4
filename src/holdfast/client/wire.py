"""Requests and responses as values, and the pieces of text they are made of.

Owns percent-encoding, header rules and the units of durations (protocol, section 7). Everything a user can
get wrong in a name, a key, a header or a duration is refused here, before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from holdfast.sdk.durations import Duration, duration_ms, seconds_of
from holdfast.sdk.errors import UsageError

DELAY_DAYS_MAX: Final = 36_500
"""A hundred years: more is a unit mistaken, and the server's clock arithmetic need not cope with it."""

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[!-~]([ \t!-~]*[!-~])?")
_OWN_HEADERS: Final = {
    "idempotency-key": "pass it as idempotency_key=",
    "host": "it follows from the client's URL",
    "content-length": "it follows from the body",
    "transfer-encoding": "it follows from the body",
    "connection": "connections are the HTTP client's business",
}


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `path` starts with a slash, is encoded and carries the query."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole HTTP response. `headers`: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def base_url(url: str) -> str:
    """`url` without a trailing slash.

    Raises:
        UsageError: not an absolute http or https URL, or one with a query or fragment.
    """
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, whole = urlsplit(""), False
    if not whole or parts.query or parts.fragment:
        raise UsageError(
            "client_url",
            f"{url!r} is not the URL of an ingress; expected one such as 'http://localhost:8080'",
        )
    return url.rstrip("/")


def segment(text: str, what: str) -> str:
    """`text` as one segment of a path.

    Dots alone are encoded too: every URL library on the way may read `..` as "one level up".

    Raises:
        UsageError: empty, or not encodable as UTF-8 (half of a surrogate pair).
    """
    if not text:
        raise UsageError("client_name", f"{what} is empty; expected at least one character")
    if text in (".", ".."):
        return text.replace(".", "%2E")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as error:
        raise UsageError(
            "client_name", f"{what} {text!r} is not valid Unicode ({error.reason}); remove the lone surrogate"
        ) from None


def header(name: str, value: str) -> tuple[str, str]:
    """A header as it is sent, its name in lower case.

    Raises:
        UsageError: a name or value HTTP cannot carry, or a header the client sets itself.
    """
    lower = name.lower()
    if lower in _OWN_HEADERS:
        raise UsageError("client_header", f"header {name!r} cannot be given: {_OWN_HEADERS[lower]}")
    if _HEADER_NAME.fullmatch(name) is None:
        raise UsageError("client_header", f"{name!r} is not the name of an HTTP header")
    return lower, _value(f"header {name!r}", value)


def idempotency_header(key: str) -> tuple[str, str]:
    """The header of an idempotency key.

    Raises:
        UsageError: empty, or with characters a header cannot carry.
    """
    return "idempotency-key", _value("the idempotency key", key)


def _value(what: str, value: str) -> str:
    if _HEADER_VALUE.fullmatch(value) is None:
        raise UsageError(
            "client_header",
            f"{what} is {value!r}; expected one or more printable ASCII characters without a space at "
            "either end: encode anything else, with urllib.parse.quote for example",
        )
    return value


def timeout_seconds(value: Duration | None) -> float | None:
    """A timeout in seconds, None for none.

    Raises:
        UsageError: not a length of time, or none at all.
    """
    if value is None:
        return None
    try:
        found = seconds_of(value, "timeout")
    except (TypeError, ValueError) as error:
        raise UsageError("client_duration", str(error)) from None
    if not found:
        raise UsageError("client_duration", "timeout is 0; expected some time, or None to wait for ever")
    return found


def delay_text(delay: Duration) -> str:
    """A delay as the ingress reads it: whole milliseconds with their unit.

    Raises:
        UsageError: not a length of time, or more than DELAY_DAYS_MAX.
    """
    try:
        milliseconds = duration_ms(delay, "delay")
    except (TypeError, ValueError) as error:
        raise UsageError("client_duration", str(error)) from None
    if milliseconds > DELAY_DAYS_MAX * 86_400_000:
        raise UsageError(
            "client_duration",
            f"delay is {delay!r}; expected a timedelta or seconds, to {DELAY_DAYS_MAX} days",
        )
    return f"{milliseconds}ms"
