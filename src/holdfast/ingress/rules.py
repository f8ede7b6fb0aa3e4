"""Input and output rules of handlers: which bodies they accept, and which content type their output gets.

Schemas are not enforced here; they describe, handlers validate (protocol, "Manifest").
"""

from __future__ import annotations

from typing import Final

from holdfast.ingress.errors import RequestError
from holdfast.protocol.manifest import InputRule, OutputRule

JSON: Final = "application/json"


def check_input(rule: InputRule | None, content_type: str | None, body: bytes) -> None:
    """Accept a request's body for a handler, or refuse it.

    Raises:
        RequestError: 400 "input validation error: ...".
    """
    if rule is None:
        return
    expected = rule.content_type
    if expected is None and rule.json_schema is not None:
        expected = JSON
    if not body and content_type is None and (expected is None or not rule.required):
        return
    if expected is None:
        found = "no content-type" if content_type is None else f"content-type '{content_type}'"
        raise _invalid(f"Expected body and content-type to be empty, but wasn't with {found}")
    if content_type != expected and not _matches(content_type, expected):
        if content_type is None:
            raise _invalid("Empty content-type")
        raise _invalid(f"Content-type '{content_type}' does not match '{expected}'")
    if not body and rule.json_schema is not None:
        raise _invalid("Empty body not allowed")


def output_content_type(rule: OutputRule | None, body: bytes) -> str | None:
    """The content type of an output, or None for none at all."""
    if rule is None:
        return JSON if body else None
    return rule.content_type if body or rule.set_content_type_if_empty else None


def _matches(found: str | None, expected: str) -> bool:
    expected = _essence(expected)
    if expected == "*/*":
        return True
    if found is None:
        return False
    found = _essence(found)
    if expected.endswith("/*"):
        return found.startswith(expected[:-1])
    return found == expected


def _essence(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _invalid(message: str) -> RequestError:
    return RequestError(400, f"input validation error: {message}")
