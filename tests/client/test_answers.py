"""Answers read: the captured ones of a real server, and those of proxies and of nobody we know."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from client.support import GREET, PING, Backwards, response
from hypothesis import given
from hypothesis import strategies as st

from holdfast.client.answers import (
    FOREIGN_TEXT_CHARS_MAX,
    SendStatus,
    read_health,
    read_nothing,
    read_result,
    read_sent,
)
from holdfast.client.errors import IngressError, InvocationFailed, NotReady, UnreadableAnswer
from holdfast.client.wire import Response
from holdfast.sdk.errors import TerminalError
from holdfast.sdk.serde import JSON

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "vectors" / "ingress.json").read_text())["vectors"]


def captured(status: int, part: str) -> list[Response]:
    """The captured responses with this status whose request contains `part`; at least one."""
    found = [
        Response(vector["status"], dict(vector["headers"]), vector["body"].encode())
        for vector in VECTORS
        if vector["status"] == status and part in vector["request"]
    ]
    assert found, f"no vector with status {status} for {part}"
    return found


def test_results() -> None:
    for part in ("/restate/invocation/Greeter/greet/k1/output", "/restate/attach", "/restate/output"):
        for found in captured(200, part):
            assert read_result("call", GREET.output, None, found) == "hi a"
    (flow,) = captured(200, "/restate/workflow/Flow/w2/output")
    assert read_result("output", JSON, None, flow) == {"x": "x", "v": {"z": 1}, "key": "w2"}


def test_a_failed_invocation_is_the_handlers_terminal_error() -> None:
    (found,) = captured(409, "throwTerm")
    with pytest.raises(TerminalError, match="terminal!") as caught:
        read_result("call", GREET.output, None, found)
    error = caught.value
    assert isinstance(error, InvocationFailed)
    assert (error.code, error.message, dict(error.metadata)) == (409, "terminal!", {})
    assert error.invocation_id == "inv_11YrTZHQElD46wZhCRVwcnAF2sF2fl1hdH"


def test_a_failure_keeps_its_metadata_and_its_own_code() -> None:
    body = {"code": 1234, "message": "m", "metadata": {"k": "v"}, "source": "invocation"}
    with pytest.raises(InvocationFailed) as caught:
        read_result("call", GREET.output, None, response(500, body, "invocation", x_restate_id="inv_1"))
    assert (caught.value.code, dict(caught.value.metadata)) == (1234, {"k": "v"})


def test_not_ready() -> None:
    (found,) = captured(470, "/output")
    with pytest.raises(NotReady, match="has not completed yet") as caught:
        read_result("output", GREET.output, None, found)
    assert caught.value.status == 470


def test_every_captured_refusal_of_the_ingress_is_an_ingress_error() -> None:
    count = 0
    for vector in VECTORS:
        headers = dict(vector["headers"])
        if headers.get("x-restate-error-source") != "ingress":
            continue
        count += 1
        with pytest.raises(IngressError) as caught:
            read_nothing(Response(vector["status"], headers, vector["body"].encode()))
        assert caught.value.status == caught.value.code == vector["status"]
        assert caught.value.message == json.loads(vector["body"])["message"]
    assert count > 20


def test_acceptances() -> None:
    delayed = read_sent("send", captured(202, "idempotency-key: k1")[0])
    assert delayed.status is SendStatus.ACCEPTED
    assert delayed.invocation_id == "inv_16vnR5MzgZWy3eOFa6NVfCXO0sW91TJz4N"
    assert delayed.execution_time == datetime(2026, 11, 22, 18, 8, 54, 160000, UTC)
    again = read_sent("send", captured(202, "/Flow/w2/run/send")[0])
    assert again.status is SendStatus.PREVIOUSLY_ACCEPTED
    assert again.execution_time is None
    (resolved,) = captured(202, "/restate/a/")
    read_nothing(resolved)


def test_health() -> None:
    (found,) = captured(200, "/restate/health")
    assert read_health("health", found) == ["Counter", "Flow", "Greeter"]


def test_a_proxys_page_is_an_ingress_error_with_a_glimpse_of_it() -> None:
    with pytest.raises(IngressError) as caught:
        read_result("call", GREET.output, None, response(502, b"<html>" + b"x" * 9999))
    assert (caught.value.status, caught.value.code) == (502, 502)
    assert len(caught.value.message) == FOREIGN_TEXT_CHARS_MAX


def test_a_result_of_another_type_names_the_invocation_and_what_to_check() -> None:
    found = response(200, 5, x_restate_id="inv_1x")
    with pytest.raises(UnreadableAnswer, match=r"call Greeter/greet \(inv_1x\) ended well.*Check") as caught:
        read_result("call Greeter/greet", GREET.output, None, found)
    assert isinstance(caught.value.__cause__, Exception)


def test_the_codec_undoes_what_the_service_did_and_leaves_nothing_alone() -> None:
    assert read_result("call", GREET.output, Backwards(), response(200, b'"adA"')) == "Ada"
    assert read_result("call", PING.output, Backwards(), response(200)) is None


@pytest.mark.parametrize("body", [b"", b"[]", b'{"invocationId": "inv_1"}', b'{"status": "Accepted"}', b"{"])
def test_an_acceptance_that_says_nothing(body: bytes) -> None:
    with pytest.raises(UnreadableAnswer, match="invocationId and status"):
        read_sent("send", response(202, body))


@given(st.integers(100, 599), st.binary(max_size=60), st.sampled_from([None, "ingress", "invocation"]))
def test_any_answer_is_a_result_or_a_documented_error(status: int, body: bytes, source: str | None) -> None:
    found = response(status, body, source)
    documented = (InvocationFailed, IngressError, UnreadableAnswer)
    with contextlib.suppress(*documented):
        read_result("call", GREET.output, None, found)
    with contextlib.suppress(*documented):
        read_sent("send", found)
    with contextlib.suppress(*documented):
        read_health("health", found)
