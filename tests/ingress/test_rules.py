"""Input and output rules of handlers."""

import pytest

from holdfast.ingress.errors import RequestError
from holdfast.ingress.rules import check_input, output_content_type
from holdfast.protocol.manifest import InputRule, OutputRule

JSON = "application/json"
NOTHING, OPTIONAL = InputRule(), InputRule(content_type=JSON)
REQUIRED = InputRule(required=True, content_type=JSON)
SCHEMA = InputRule(content_type=JSON, json_schema={"type": "string"})


@pytest.mark.parametrize(
    ("rule", "content_type", "body", "accepted"),
    [
        (None, None, b"", True), (None, "x/y", b"z", True),
        (NOTHING, None, b"", True), (NOTHING, JSON, b"", False), (NOTHING, None, b"1", False),
        (OPTIONAL, None, b"", True), (OPTIONAL, JSON, b"1", True), (OPTIONAL, JSON, b"", True),
        (OPTIONAL, "Application/JSON; charset=utf-8", b"1", True),
        (OPTIONAL, "text/plain", b"1", False), (OPTIONAL, None, b"1", False),
        (REQUIRED, None, b"", False), (REQUIRED, JSON, b"", True), (REQUIRED, JSON, b"1", True),
        (SCHEMA, JSON, b"", False), (SCHEMA, JSON, b"1", True), (SCHEMA, None, b"", True),
        (InputRule(content_type="text/*"), "text/csv", b"1", True),
        (InputRule(content_type="text/*"), "textual/csv", b"1", False),
        (InputRule(content_type="*/*"), None, b"1", True), (InputRule(content_type="*/*"), "x/y", b"1", True),
    ],
)  # fmt: skip
def test_input(rule: InputRule | None, content_type: str | None, body: bytes, accepted: bool) -> None:
    if accepted:
        check_input(rule, content_type, body)
    else:
        with pytest.raises(RequestError, match="input validation error: "):
            check_input(rule, content_type, body)


@pytest.mark.parametrize(
    ("rule", "body", "content_type"),
    [
        (None, b"1", JSON), (None, b"", None), (OutputRule(), b"1", None),
        (OutputRule("text/plain"), b"1", "text/plain"), (OutputRule("text/plain"), b"", None),
        (OutputRule("text/plain", True), b"", "text/plain"),
    ],
)  # fmt: skip
def test_output(rule: OutputRule | None, body: bytes, content_type: str | None) -> None:
    assert output_content_type(rule, body) == content_type
