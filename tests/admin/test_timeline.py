"""Timelines: each command with its answer, however the journal has them, in pages and as they grow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query.story import INPUT, tell
from query.world import text_of

from holdfast.admin import timeline
from holdfast.admin.entries import SIGNAL_INDEX_FROM, signal_entry_index
from holdfast.core.commands import AttemptError, Plain, RunProposal, StartRequest, Suspend
from holdfast.core.model import AttemptFailure, Await, Failure, RetryPolicy, Success
from holdfast.core.records import Signal
from holdfast.protocol.messages import RunCommandMessage
from holdfast.storage.blobs import INLINE_BYTES_MAX
from holdfast.storage.step_metadata import StepMetadata

from .shown import Json, Shown


@pytest.fixture(params=[INLINE_BYTES_MAX, 2], ids=["", "all values are blobs"])
def shown(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shown]:
    monkeypatch.setattr("holdfast.storage.blobs.INLINE_BYTES_MAX", request.param)
    shown = Shown(tmp_path)
    yield shown
    shown.close()


def step(completion: int, name: str = "step") -> Plain:
    return Plain(0x411, RunCommandMessage(completion, name).encode(), completion)


def started(shown: Shown) -> StartRequest:
    request = shown.world.request("Greeter/greet", input_raw=INPUT)
    shown.world.start(request)
    return request


def entries(answer: Json) -> list[Json]:
    found: list[Json] = answer["entries"]
    return found


def brief(answer: Json) -> list[tuple[Any, ...]]:
    return [(e["index"], e["type"], e["name"], e["state"]) for e in entries(answer)]


def test_one_of_everything(shown: Shown) -> None:
    story = tell(shown.world)
    done = shown.get(f"/invocations/{text_of(story.done)}/timeline")
    assert brief(done) == [
        (0, "input", None, "done"), (1, "run", "step", "done"), (3, "output", None, "done"),
    ]  # fmt: skip
    assert entries(done)[1]["value"] == {"bytes": 7, "encoding": "json", "data": {"v": 1}, "cut": False}
    assert (done["input"]["data"], done["output"]["data"]) == ("hi", "hi")
    assert [a["outcome"] for a in done["attempts"]] == ["completed"]

    caller = shown.get(f"/invocations/{text_of(story.caller)}/timeline")
    call = entries(caller)[1]
    assert (call["type"], call["state"], call["input"]["data"]) == ("call", "pending", "hi")
    assert call["callee"] == {"id": text_of(story.callee), "target": "Greeter/greet"}

    flow = shown.get(f"/invocations/{text_of(story.run)}/timeline")
    assert [(e["type"], e["promise"], e["state"]) for e in entries(flow)[1:]] == [
        ("promise_complete", "p", "done"), ("promise_get", "q", "pending"),
    ]  # fmt: skip

    failed = shown.get(f"/invocations/{text_of(story.failed)}/timeline")
    assert entries(failed)[-1]["failure"] == {"code": 409, "message": "Cancelled", "metadata": {}}
    assert failed["invocation"]["failure"] == {"code": 409, "message": "Cancelled"}

    holder = shown.get(f"/invocations/{text_of(story.holder)}/timeline")
    assert [(e["type"], e["name"]) for e in entries(holder)[1:]] == [("state_set", "c"), ("state_set", "bin")]
    assert entries(holder)[2]["input"]["encoding"] == "base64"


def test_what_a_suspended_handler_waits_for_is_there(shown: Shown) -> None:
    """Awakeables and signals have no command: the await tree says them, and they keep their index."""
    story = tell(shown.world)
    path = f"/invocations/{text_of(story.suspended)}"
    waiting = {e["index"]: e for e in entries(shown.get(f"{path}/timeline")) if e["state"] == "pending"}
    awakeable, named = SIGNAL_INDEX_FROM + 17, signal_entry_index("mysig")
    assert waiting.keys() == {1, awakeable, named}
    assert waiting[1]["type"] == "sleep"
    assert waiting[awakeable]["awakeable_id"].startswith("sign_1")
    assert waiting[named]["signal"] == "mysig"
    answer = shown.request("POST", f"{path}/entries/{awakeable}/resolve", {"value": "<b>hi</b>"})
    assert answer.status_code == 200, answer.text
    (entry,) = [e for e in entries(shown.get(f"{path}/timeline")) if e["index"] == awakeable]
    assert (entry["state"], entry["value"]["data"]) == ("done", "<b>hi</b>")
    whole = shown.request("GET", f"{path}/entries/{awakeable}/value")
    assert whole.content == b'"<b>hi</b>"'
    assert whole.headers["content-type"].startswith("text/plain")
    assert whole.headers["x-content-type-options"] == "nosniff"


def test_failed_attempts_stand_at_the_entry_they_failed_in(shown: Shown) -> None:
    request = started(shown)
    shown.world.report(request, step(1, "first"), RunProposal(1, Success(b"1"), True), step(2, "second"))
    for attempt in (1, 2):
        failure = AttemptFailure(500, "boom", "RT0007", "at line 1", 2, "second", "Run")
        shown.world.report(request, AttemptError(failure, RetryPolicy(), 0.0), attempt=attempt)
        shown.engine.records.clear()
        assert shown.request("PATCH", f"/invocations/{text_of(request.id)}/resume").status_code == 200
    answer = shown.get(f"/invocations/{text_of(request.id)}/timeline")
    second = next(e for e in entries(answer) if e["name"] == "second")
    assert [(r["message"], r["code"], r["stacktrace"]) for r in second["retries"]] == [
        ("boom", 500, "at line 1"), ("boom", 500, "at line 1"),
    ]  # fmt: skip
    assert [(a["number"], a["outcome"], a["error"]["entry_index"]) for a in answer["attempts"]] == [
        (1, "failed", second["index"]), (2, "failed", second["index"]),
    ]  # fmt: skip
    summary = shown.get(f"/invocations/{text_of(request.id)}")
    assert summary["last_failure"]["entry_index"] == second["index"]


def test_metadata_of_steps_is_shown_and_summed(shown: Shown) -> None:
    request = started(shown)
    shown.world.report(request, step(1), step(2), RunProposal(1, Success(b"1"), True))
    tables = shown.world.tables[0]
    described: StepMetadata = tables.step_metadata
    described.put(request.row, 1, 1, b'{"kind":"model","tokens_in":10,"tokens_out":3,"model":"<m>"}')
    described.put(request.row, 2, 2, b'{"kind":"tool","tool":"pay","tokens_in":"many"}')
    tables.database.execute("UPDATE invocation SET flags = 2 WHERE row = ?", (request.row,))
    tables.commit()
    answer = shown.get(f"/invocations/{text_of(request.id)}/timeline")
    assert [e["metadata"] for e in entries(answer)[1:]] == [
        {"kind": "model", "tokens_in": 10, "tokens_out": 3, "model": "<m>"},
        {"kind": "tool", "tool": "pay", "tokens_in": "many"},
    ]
    usage = {"model_calls": 1, "tokens_in": 10, "tokens_out": 3}
    assert answer["invocation"]["usage"] == usage
    assert shown.get("/invocations")["invocations"][0]["usage"] == usage


@settings(max_examples=10, deadline=None)
@given(
    answered=st.lists(st.tuples(st.integers(1, 8), st.booleans()), max_size=12, unique_by=lambda a: a[0]),
    page=st.integers(1, 4),
    after=st.integers(-1, 20),
)
def test_pages_and_changes_agree_with_the_whole(
    tmp_path_factory: pytest.TempPathFactory, answered: list[tuple[int, bool]], page: int, after: int
) -> None:
    """Goal: paging, or asking for what is new, ends in the same timeline as asking once. Method: steps that
    are answered in any order, pages of any size, a client that knew the journal up to some index."""
    shown = Shown(tmp_path_factory.mktemp("files"))
    try:
        request = started(shown)
        shown.world.report(request, *[step(n, f"s{n}") for n in range(1, 5)])
        early = {e["index"]: e for e in entries(shown.get(f"/invocations/{text_of(request.id)}/timeline"))}
        known_until = 4
        late = [step(n, f"s{n}") for n in range(5, 9)]
        shown.world.report(request, *late)
        for completion, works in answered:
            result = Success(b"1") if works else Failure(500, "no")
            shown.world.report(request, RunProposal(completion, result, True))
        path = f"/invocations/{text_of(request.id)}/timeline"
        whole = {e["index"]: e for e in entries(shown.get(path))}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(timeline, "COMMANDS_PER_PAGE", page)
            paged: dict[int, Json] = {}
            following: int | None = -1
            while following is not None:
                answer = shown.get(f"{path}?after={following}")
                paged |= {e["index"]: e for e in entries(answer)}
                following = answer["next"]
            assert paged == whole
        grown = early | {e["index"]: e for e in entries(shown.get(f"{path}?after={known_until}"))}
        assert grown == whole
        shown.get(f"{path}?after={after}")
    finally:
        shown.close()


def test_two_thousand_entries_are_quick(shown: Shown) -> None:
    """Not a measurement, a ceiling: an order of magnitude above what it takes."""
    request = started(shown)
    for first in range(1, 2000, 100):
        items: list[Any] = []
        for n in range(first, first + 100):
            items += [step(n), RunProposal(n, Success(b'{"v":1}'), True)]
        shown.world.report(request, *items)
    began = time.process_time()
    answer = shown.get(f"/invocations/{text_of(request.id)}/timeline")
    assert len(entries(answer)) == 2000
    assert answer["next"] is not None
    assert time.process_time() - began < 2.0


# ---------------------------------------------------------------- completing from outside


def test_what_cannot_be_completed_says_why(shown: Shown) -> None:
    story = tell(shown.world)
    path = f"/invocations/{text_of(story.suspended)}/entries"
    named = signal_entry_index("mysig")
    assert shown.request("POST", f"{path}/1/resolve", {"value": 1}).json()["restate_code"] == "HF0022"
    assert shown.request("POST", f"{path}/77/resolve", {"value": 1}).status_code == 404
    assert shown.request("POST", f"{path}/{named + 1}/resolve", {"value": 1}).status_code == 404
    assert shown.request("POST", f"{path}/{named}/resolve", content=b'{"value":').status_code == 400
    assert shown.request("POST", f"{path}/{named}/resolve", content=b'{"value":NaN}').status_code == 400
    assert shown.request("POST", f"{path}/{named}/reject", {"message": "no", "code": 1}).status_code == 422
    assert shown.engine.records == []
    assert shown.request("POST", f"{path}/{named}/resolve", content=b'{"value": 1.10 }').status_code == 200
    record = shown.engine.records[0][1]
    assert isinstance(record, Signal)
    assert (record.signal, record.result) == ("mysig", Success(b"1.10")), "the digits as they were written"


def test_a_promise_is_rejected_once(shown: Shown) -> None:
    story = tell(shown.world)
    path = f"/invocations/{text_of(story.run)}"
    (index,) = [e["index"] for e in entries(shown.get(f"{path}/timeline")) if e["promise"] == "q"]
    body = {"message": "<script>no</script>", "code": 403}
    assert shown.request("POST", f"{path}/entries/{index}/reject", body).status_code == 200
    again = shown.request("POST", f"{path}/entries/{index}/reject", body)
    assert (again.status_code, again.json()["restate_code"]) == (409, "HF0021")
    (entry,) = [e for e in entries(shown.get(f"{path}/timeline")) if e["index"] == index]
    assert entry["failure"] == {"code": 403, "message": "<script>no</script>", "metadata": {}}


def test_a_consumed_signal_makes_room_for_the_wait_for_the_next(shown: Shown) -> None:
    request = started(shown)
    shown.world.apply(request.id, Signal(shown.world.tick(), request.id, "go", Success(b'"1"')))
    shown.world.report(request, Suspend(Await(names=("go",)), 2))
    path = f"/invocations/{text_of(request.id)}/timeline"
    assert [(e["index"], e["state"]) for e in entries(shown.get(path))[1:]] == [
        (1, "done"), (signal_entry_index("go"), "pending"),
    ]  # fmt: skip
