"""What is asked becomes which request (protocol, section 7)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from client.support import ADD, ANYWHERE, GREET, PING, RUN, Backwards

from holdfast.client.operations import (
    MISSING,
    Operation,
    Operations,
    Reference,
    by_id,
    by_idempotency_key,
    by_workflow,
)
from holdfast.client.wire import Request
from holdfast.sdk.errors import SerializeError, UsageError
from holdfast.sdk.remote import remote
from holdfast.sdk.serde import BYTES
from holdfast.sdk.services import Service

ID = "inv_1izah4cW9bV53D1jecG95jyo2Jb7cNvAZe"
AWAKEABLE = "sign_1ctSFwzKpr3mWjTEVrB7ZGWlfW-B2bU6xAAAAEQ"
JSON = ("content-type", "application/json")

plain = Operations()
here = Service("Here")


@here.handler
async def greet(name: str) -> str:
    return name


class Odd:
    """A serde that cannot."""

    content_type = "text/odd"

    def serialize(self, value: int) -> bytes:
        raise KeyError(value)

    def deserialize(self, data: bytes) -> int:
        return len(data)

    def schema(self) -> dict[str, object] | None:
        return None


def test_a_call_of_a_service() -> None:
    operation = plain.call(GREET, "Ada", {})
    assert operation.request == Request("POST", "/Greeter/greet", (JSON,), b'"Ada"')
    assert operation.what == "call Greeter/greet"
    assert not operation.repeatable


def test_a_call_with_everything() -> None:
    operation = plain.call(ADD, 5, {"key": "a/b c", "idempotency_key": "once", "headers": {"X-Who": "me"}})
    assert operation.request == Request(
        "POST", "/Counter/a%2Fb%20c/add", (("x-who", "me"), JSON, ("idempotency-key", "once")), b"5"
    )
    assert operation.repeatable


def test_a_handler_without_input_gets_neither_body_nor_content_type() -> None:
    assert plain.call(PING, MISSING, {}).request == Request("POST", "/Greeter/ping")


def test_a_content_type_of_the_callers_wins() -> None:
    operation = plain.call(ANYWHERE, b"{}", {"headers": {"Content-Type": "application/json"}})
    assert operation.request.headers == (JSON,)


def test_a_delayed_send() -> None:
    operation = plain.send(GREET, "Ada", {"delay": timedelta(seconds=1.5)})
    assert operation.request.path == "/Greeter/greet/send?delay=1500ms"
    assert not operation.repeatable
    assert plain.send(GREET, "Ada", {"idempotency_key": "once"}).repeatable


def test_a_submission_is_repeatable_by_nature() -> None:
    operation = plain.submit(RUN, "w 1", "order", {})
    assert operation.request == Request("POST", "/Flow/w%201/run/send", (JSON,), b'"order"')
    assert operation.repeatable


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        (by_id(ID), f"/restate/invocation/{ID}"),
        (by_idempotency_key(GREET, "k-1", None), "/restate/invocation/Greeter/greet/k-1"),
        (by_idempotency_key(ADD, "k1", "a b"), "/restate/invocation/Counter/a%20b/add/k1"),
        (by_workflow(RUN, "w2"), "/restate/workflow/Flow/w2"),
    ],
)
def test_questions_about_an_invocation(reference: Reference, path: str) -> None:
    attach = plain.attach(reference, GREET.output)
    output = plain.output(reference, GREET.output)
    assert attach.request == Request("GET", f"{path}/attach")
    assert output.request == Request("GET", f"{path}/output")
    assert attach.repeatable
    assert output.repeatable


def test_an_idempotency_key_that_a_path_would_change_goes_into_a_body() -> None:
    operation = plain.attach(by_idempotency_key(ADD, "k/1", "a b"), ADD.output)
    assert (operation.request.method, operation.request.path) == ("POST", "/restate/attach")
    assert operation.request.headers == (JSON,)
    assert json.loads(operation.request.body) == {
        "target": "idempotentInvocation",
        "service": "Counter",
        "key": "a b",
        "handler": "add",
        "idempotencyKey": "k/1",
    }


def test_awakeables() -> None:
    path = f"/restate/awakeables/{AWAKEABLE}"
    resolve = plain.resolve_awakeable(AWAKEABLE, {"ok": True}, None)
    assert resolve.request == Request("POST", f"{path}/resolve", (JSON,), b'{"ok":true}')
    raw = plain.resolve_awakeable(AWAKEABLE, b"\x00", BYTES)
    assert raw.request.body == b"\x00"
    reject = plain.reject_awakeable(AWAKEABLE, "no")
    assert reject.request.path == f"{path}/reject"
    assert reject.request.body == b"no"
    assert resolve.repeatable
    assert reject.repeatable


def test_a_codec_sees_every_payload_and_no_reason() -> None:
    coded = Operations(Backwards())
    assert coded.call(GREET, "Ada", {}).request.body == b'"adA"'
    assert coded.resolve_awakeable(AWAKEABLE, 12, None).request.body == b"21"
    assert coded.reject_awakeable(AWAKEABLE, "no").request.body == b"no"
    assert coded.call(PING, MISSING, {}).request.body == b""
    assert coded.call(ANYWHERE, b"", {}).request.body == b""


def test_headers_of_the_client_go_everywhere() -> None:
    operations = Operations(headers={"Authorization": "Bearer x"})
    token = ("authorization", "Bearer x")
    everything: list[Operation[Any]] = [
        operations.call(GREET, "Ada", {}),
        operations.send(GREET, "Ada", {}),
        operations.attach(by_id(ID), GREET.output),
        operations.resolve_awakeable(AWAKEABLE, 1, None),
        operations.reject_awakeable(AWAKEABLE, "no"),
        operations.health(),
    ]
    assert all(token in operation.request.headers for operation in everything)


def test_keys_where_they_belong() -> None:
    with pytest.raises(UsageError, match="Counter/add needs a key"):
        plain.call(ADD, 1, {})
    with pytest.raises(UsageError, match="Greeter/greet takes no key"):
        plain.call(GREET, "Ada", {"key": "k"})
    assert plain.call(ANYWHERE, b"", {"key": "k"}).request.path == "/Any/k/where"


def test_values_that_cannot_be_written_name_the_call() -> None:
    with pytest.raises(SerializeError, match="call Greeter/greet: "):
        plain.call(GREET, 5, {})  # type: ignore[misc]
    with pytest.raises(UsageError, match="call Odd/odd: KeyError"):
        plain.call(remote("Odd", "odd", input=Odd()), 5, {})


def test_handlers_of_this_program_are_targets() -> None:
    operation = plain.call(greet, "Ada", {})
    assert operation.request == Request("POST", "/Here/greet", (JSON,), b'"Ada"')
    with pytest.raises(UsageError, match="takes no key"):
        plain.call(greet, "Ada", {"key": "k"})


def test_arguments_where_they_belong() -> None:
    with pytest.raises(UsageError, match="call Greeter/greet: the handler takes an argument"):
        plain.call(GREET, MISSING, {})
    with pytest.raises(UsageError, match="call Greeter/ping: an argument was given"):
        plain.call(PING, "x", {})  # type: ignore[misc]
