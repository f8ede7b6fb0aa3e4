"""Lists and single invocations: what they say is what `sys_invocation` says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from query.story import Story, tell
from query.world import text_of

from holdfast.admin import invocation_list
from holdfast.admin.invocation_shapes import InvocationPage, Summary, Timeline, payload, to_json
from holdfast.protocol.ids import encode_invocation_id

from .shown import Shown

STATUS_OF = {"completed": ("succeeded", "failed")}


@pytest.fixture(params=[1, 3], ids=["one partition", "three partitions"])
def shown(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shown]:
    shown = Shown(tmp_path, request.param)
    yield shown
    shown.close()


@pytest.fixture
def story(shown: Shown) -> Story:
    return tell(shown.world)


def test_the_list_agrees_with_the_sql_view(shown: Shown, story: Story) -> None:
    listed = {one["id"]: one for one in shown.get("/invocations")["invocations"]}
    rows = shown.world.query("SELECT * FROM sys_invocation")
    assert listed.keys() == {row["id"] for row in rows}
    for row in rows:
        one = listed[row["id"]]
        assert one["status"] in STATUS_OF.get(row["status"], (row["status"],)), row["target"]
        assert one["target"] == row["target"]
        assert one["kind"] == row["target_service_ty"]
        assert one["created_at"] == row["created_at"]
        assert one["next_retry_at"] == row.get("next_retry_at")
        assert one["journal_length"] == row["journal_size"]
        assert (one["parent"] is None) == (row.get("invoked_by_id") is None)
        assert (one["last_failure"] is None) == (row.get("last_failure") is None)


def test_answers_are_what_the_document_says(shown: Shown, story: Story) -> None:
    """The models that the OpenAPI document is made of read every answer."""
    TypeAdapter(InvocationPage).validate_python(shown.get("/invocations"))
    known = {one["id"] for one in shown.get("/invocations")["invocations"]}
    for text in known:
        TypeAdapter(Summary).validate_python(shown.get(f"/invocations/{text}"))
        TypeAdapter(Timeline).validate_python(shown.get(f"/invocations/{text}/timeline"))
    document = shown.get("/openapi")
    assert "/invocations/{invocation}/timeline" in document["paths"]
    assert {"Summary", "Timeline", "Entry", "Attempt", "Payload"} <= document["components"]["schemas"].keys()


@pytest.mark.parametrize("status", sorted(invocation_list.STATUSES))
def test_a_status_filters(shown: Shown, story: Story, status: str) -> None:
    every = shown.get("/invocations")["invocations"]
    expected = [one["id"] for one in every if one["status"] == status]
    assert expected, f"the story has an invocation that is {status}"
    assert shown.all_ids(f"status={status}") == expected
    assert set(shown.all_ids(f"status={status},paused")) == {
        one["id"] for one in every if one["status"] in (status, "paused")
    }


def test_service_handler_key_and_id_filter(shown: Shown, story: Story) -> None:
    assert set(shown.all_ids("service=Counter&key=k2")) == {text_of(story.holder), text_of(story.pending)}
    assert shown.all_ids("handler=busy") == [text_of(story.running)]
    both = f"{text_of(story.run)},{text_of(story.derived)}"
    assert set(shown.all_ids(f"id={both}")) == set(both.split(","))
    assert shown.all_ids(f"id={text_of(story.run)}&service=Greeter") == []
    assert shown.all_ids("service=%3Cscript%3E") == []


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_pages_together_are_the_list(
    shown: Shown, story: Story, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing twice, nothing left out, newest first, however little of the table a page may look at."""
    whole = [one["id"] for one in shown.get("/invocations")["invocations"]]
    assert shown.all_ids("", limit) == whole
    created = [one["created_at"] for one in shown.get("/invocations")["invocations"]]
    assert created == sorted(created, reverse=True)
    every = set(shown.all_ids("service=Greeter"))
    monkeypatch.setattr(invocation_list, "ROWS_SCANNED_MAX", 2)
    assert len(every) > 5
    assert set(shown.all_ids("service=Greeter", limit)) == every


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("status=done", 400),
        ("before=zzz", 400),
        ("before=1.2.3.4", 400),
        ("limit=0", 400),
        ("limit=1001", 400),
        ("id=inv_bad", 400),
    ],
)
def test_what_cannot_be_asked_is_refused(shown: Shown, story: Story, query: str, status: int) -> None:
    assert shown.request("GET", f"/invocations?{query}").status_code == status


def test_an_unknown_invocation_is_404_and_no_id_400(shown: Shown) -> None:
    nobody = encode_invocation_id(bytes(24))
    for path in ("", "/timeline", "/entries/0/input"):
        assert shown.request("GET", f"/invocations/{nobody}{path}").status_code == 404
        assert shown.request("GET", f"/invocations/inv_1{path}").status_code == 400


@pytest.mark.parametrize("shown", [1], indirect=True)  # between partitions calls are carried by the post
def test_the_caller_is_named_with_its_entry(shown: Shown, story: Story) -> None:
    parent = shown.get(f"/invocations/{text_of(story.callee)}")["parent"]
    assert parent == {"id": text_of(story.caller), "target": "Greeter/calls", "entry_index": 1}


def test_the_revision_is_that_of_the_deployment_it_runs_on(shown: Shown, story: Story) -> None:
    shown.world.register("Greeter", port=9999)
    one = shown.get(f"/invocations/{text_of(story.done)}")
    assert (one["deployment_id"], one["revision"]) == (story.deployment, 1)


# ---------------------------------------------------------------- payloads


@pytest.mark.parametrize(
    ("content", "encoding", "data"),
    [
        (b"", "text", ""),
        (b'{"a":1.10}', "json", {"a": 1.10}),
        (b"not json <script>", "text", "not json <script>"),
        (b"\xff\x00", "base64", "/wA="),
        (b"NaN", "text", "NaN"),
        (b'"</script>"', "json", "</script>"),
    ],
)
def test_a_payload_is_shown_as_what_it_is(content: bytes, encoding: str, data: object) -> None:
    shown = payload(content)
    assert (shown.bytes, shown.encoding, shown.cut) == (len(content), encoding, False)
    assert json.loads(to_json(shown))["data"] == data


def test_numbers_keep_their_digits() -> None:
    assert b'"data":12345678901234567890.10' in to_json(payload(b"12345678901234567890.10"))


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b'"' + b"x" * 20_000 + b'"', "text"),
        ("ä".encode() * 10_000, "text"),
        (b"x" + "ä".encode() * 10_000, "text"),
        (b"\xff" * 20_000, "base64"),
    ],
)
def test_a_large_payload_is_cut(content: bytes, encoding: str) -> None:
    shown = payload(content)
    assert (shown.bytes, shown.encoding, shown.cut) == (len(content), encoding, True)
    assert 16_000 < len(str(shown.data).encode()) <= 16 * 1024
    if encoding == "text":
        assert content.decode().startswith(shown.data)
