"""What goes in and out: every type, bad input, private handlers, options, an encoding of every payload."""

import json

import pytest
from sdk_suite.family import Family, fresh
from sdk_suite.services.payloads import Reversed

pytestmark = [pytest.mark.e2e, pytest.mark.interop]

JSON = {"content-type": "application/json"}


def test_bytes_go_as_they_are(family: Family) -> None:
    data = bytes(range(256))
    response = family.post("Payloads/raw", data, {"content-type": "application/octet-stream"})
    assert response.content == data[::-1]
    assert response.headers["content-type"] == "application/octet-stream"
    assert family.post("Payloads/raw", b"", {"content-type": "application/octet-stream"}).content == b""


def test_nothing_goes_as_nothing(family: Family) -> None:
    response = family.post("Payloads/none")
    assert (response.status_code, response.content) == (200, b"")
    assert family.call("Payloads/nothing_at_all") == "nothing"
    assert family.call("Payloads/without_context", 1) == 2


def test_types(family: Family) -> None:
    assert family.call("Payloads/model", {"name": "Ada", "age": 36}) == {"name": "Ada", "age": 37, "tags": []}
    assert family.call("Payloads/record", {"item": "tea", "count": 1}) == [
        {"item": "tea", "count": 1},
        {"item": "tea", "count": 2},
    ]
    assert family.call("Payloads/typed_dict", {"x": 1, "y": 2}) == {"x": 2, "y": 1}
    assert family.call("Payloads/mapping", {"a": [1, 2], "b": [3]}) == 6


def test_an_input_may_be_left_out(family: Family) -> None:
    assert family.call("Payloads/optional") == "hello nobody"
    assert family.call("Payloads/optional", "Ada") == "hello Ada"
    assert family.call("Payloads/optional", b"null", JSON) == "hello None"


def test_a_serde_of_ones_own(family: Family) -> None:
    response = family.post("Payloads/csv", b"a,b\nc,d", {"content-type": "text/csv"})
    assert (response.content, response.headers["content-type"]) == (b"b,a\nd,c", "text/csv")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("Payloads/model", b'{"name": "Ada", "age": -1}'),
        ("Payloads/model", b"{"),
        ("Payloads/record", b'{"item": "tea"}'),
        ("Payloads/without_context", b'"text"'),
    ],
)
def test_bad_input_is_the_callers_fault(family: Family, path: str, body: bytes) -> None:
    response = family.post(path, body, JSON)
    assert response.status_code == 400
    assert "x-restate-id" not in response.headers or path in response.json()["message"]


def test_a_wrong_content_type_is_refused(family: Family) -> None:
    response = family.post("Payloads/model", b"<xml/>", {"content-type": "text/xml"})
    assert response.status_code in (400, 415)


def test_private_handlers_are_not_called_from_outside(family: Family) -> None:
    assert family.post("Described/hidden").status_code == 400
    assert family.post("Secret/tell").status_code == 400
    assert family.call("Described/calls_hidden") == "found"


def test_options_are_what_the_code_says(family: Family) -> None:
    service = family.admin.get(f"/services/{family.prefix}Described").json()
    assert service["documentation"] == "All options."
    assert service["metadata"]["team"] == "tea"
    assert service["public"] is True
    handlers = {handler["name"]: handler for handler in service["handlers"]}
    documented = handlers["documented"]
    assert documented["documentation"] == "What it does.\n\nAnd why."
    assert documented["metadata"]["owner"] == "Ada"
    assert handlers["hidden"]["public"] is False
    assert documented["input_json_schema"]["required"] == ["name", "age"]


def test_the_deployment_says_what_it_speaks(family: Family) -> None:
    service = family.admin.get(f"/services/{family.prefix}Leaf").json()
    deployment = family.admin.get(f"/deployments/{service['deployment_id']}").json()
    assert deployment["max_protocol_version"] == family.version
    mode = "RequestResponse" if family.prefix.endswith("Rr") else "BidiStream"
    assert deployment["protocol_type"] == mode
    invocation = family.send("Leaf/ping")
    family.result(invocation)
    row = family.admin.invocation(invocation)
    assert row is not None
    assert row["pinned_service_protocol_version"] == family.version


@pytest.mark.parametrize("prefix", ["Codec", "CodecRr"])
def test_a_codec_encodes_every_payload(families: dict[str, Family], prefix: str) -> None:
    family, codec = families[prefix], Reversed()

    def call(path: str, value: object) -> object:
        response = family.post(path, codec.encode(json.dumps(value).encode()), JSON)
        assert response.status_code == 200, response.text
        return json.loads(codec.decode(response.content))

    assert call("Payloads/model", {"name": "Ada", "age": 1}) == {"name": "Ada", "age": 2, "tags": []}
    key = fresh()
    assert call(f"Store/{key}/add", 12) == 12
    [row] = family.admin.query(f"SELECT * FROM state WHERE service_key = '{key}'")
    assert row["value_utf8"] == "~21"
    assert call(f"Store/{key}/steadily", 3) == [0, 1, 2]
    assert family.post("Payloads/none").content == b""
    assert call("Calls/by_name", fresh()) is not None
    assert family.post("Payloads/model", b'{"name": "Ada", "age": 1}', JSON).status_code == 400
