"""What Lambda hands over as JSON, read as the request that it stands for.

Two shapes are in use: the one of servers and of the first version of Lambda's proxies, and that of function
URLs and the second version. Both wrap a body that is binary here, so it comes in base64 (protocol, "Lambda").
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from holdfast.protocol.framing import MESSAGE_BYTES_MAX
from holdfast.sdk.endpoint.zstd import CONTENT_ENCODING, Zstd

REQUEST_BYTES_MAX = 8 * MESSAGE_BYTES_MAX
"""Of a request that came compressed. Others are bounded by Lambda itself."""

Fields = Mapping[str, object]


class BadEvent(Exception):
    """The event is no request; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Request:
    """An event, read.

    Attributes:
        headers: names in lower case, the last one of a repeated name.
        is_text: the body came as text, which no invocation can.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    is_text: bool


def read_event(event: object, zstd: Zstd | None) -> Request:
    """The request.

    Args:
        zstd: reads compressed bodies; None: they are refused.
    Raises:
        BadEvent: it is none.
    """
    fields = _mapping(event)
    path, method = fields.get("path"), fields.get("httpMethod")
    if not isinstance(path, str):
        path = fields.get("rawPath")
        method = _mapping(_mapping(fields.get("requestContext")).get("http")).get("method")
    if not isinstance(path, str) or not isinstance(method, str):
        raise BadEvent(
            'this event is no HTTP request; expected {"path", "httpMethod", "headers", "body", '
            '"isBase64Encoded"}, or "rawPath" and "requestContext.http.method"'
        )
    text = fields.get("body") or ""
    if not isinstance(text, str):
        raise BadEvent(f"the event's body is {type(text).__name__}; expected text")
    headers = _headers(fields)
    encoded = bool(fields.get("isBase64Encoded"))
    body = _decompressed(_decoded(text) if encoded else text.encode(), headers, zstd)
    return Request(method.upper(), path, headers, body, bool(text) and not encoded)


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadEvent(f"the event's body is not base64: {error}") from None


def _decompressed(body: bytes, headers: dict[str, str], zstd: Zstd | None) -> bytes:
    encoding = headers.get("content-encoding", "identity")
    if not body or encoding == "identity":
        return body
    if encoding != CONTENT_ENCODING or zstd is None:
        raise BadEvent(f"the event's body is encoded as {encoding}, which this function does not read")
    try:
        return zstd.decompress(body, REQUEST_BYTES_MAX)
    except ValueError as error:
        raise BadEvent(f"the event's body cannot be decompressed: {error}") from None


def _headers(fields: Fields) -> dict[str, str]:
    headers: dict[str, str] = {}
    for source in ("multiValueHeaders", "headers"):
        for name, value in _mapping(fields.get(source)).items():
            values = cast("list[object]", value) if isinstance(value, list) else [value]
            headers[name.lower()] = str(values[-1]) if values else ""
    return headers


def _mapping(value: object) -> Fields:
    return cast("Fields", value) if isinstance(value, Mapping) else {}
