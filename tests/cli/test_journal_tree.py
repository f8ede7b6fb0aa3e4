"""Rows of the server become the tree that people read."""

from __future__ import annotations

import json

from holdfast.cli.admin_client import Json, Row
from holdfast.cli.journal_text import as_json, as_text
from holdfast.cli.journal_tree import Entry, Failed, tree

AT = "2026-01-31T12:00:0{}Z"
INVOCATION: Row = {
    "id": "inv_1",
    "target": "Shop/order",
    "status": "running",
    "created_at": AT.format("0"),
    "invoked_by": "ingress",
}


def line(index: int, type_: str, entry: dict[str, Json] | None, second: int = 0, **columns: Json) -> Row:
    side, _, kind = type_.partition(": ")
    body: Json = {side: {kind: entry}} if side == "Command" else {side: {"Completion": {kind: entry}}}
    text = None if entry is None else json.dumps(body)
    return {
        "index": index,
        "entry_type": type_,
        "entry_json": text,
        "appended_at": AT.format(second),
        **columns,
    }


def success(value: object) -> Json:
    return {"Success": list(json.dumps(value).encode())}


def failed_attempt(after: int, second: int, message: str) -> Row:
    return {
        "after_journal_entry_index": after,
        "appended_at": AT.format(second),
        "event_type": "TransientError",
        "event_json": json.dumps({"error_code": 500, "error_message": message}),
    }


def test_answers_stand_beside_what_was_asked_in_whatever_order_they_came() -> None:
    found = tree(
        INVOCATION,
        [
            line(0, "Command: Input", {"payload": list(b'"tea"')}),
            line(1, "Command: Run", {"completion_id": 1}, name="slow"),
            line(2, "Command: Run", {"completion_id": 2}, name="fast"),
            line(3, "Notification: Run", {"completion_id": 2, "result": success(2)}, 1),
            line(
                4,
                "Notification: Run",
                {"completion_id": 1, "result": {"Failure": {"code": 500, "message": "no"}}},
                3,
            ),
            line(5, "Command: Sleep", {"completion_id": 3}, 3, sleep_wakeup_at=AT.format("9")),
        ],
        [],
    )
    _, slow, fast, sleep = [entry for entry in found.entries if isinstance(entry, Entry)]
    assert (slow.name, slow.failure, slow.answered_ms and slow.answered_ms - slow.at_ms) == (
        "slow",
        "[500] no",
        3000,
    )
    assert (fast.name, fast.result) == ("fast", b"2")
    assert (sleep.answered_ms, sleep.wakes_ms is not None) == (None, True)
    text = as_text(found)
    assert "step slow  3.0 s  failed: [500] no" in text
    assert "step fast  1.0 s  = 2" in text
    assert "sleep  waiting until" in text.splitlines()[-1]


def test_steps_say_what_they_are_about_and_add_up() -> None:
    def said(index: int, metadata: object) -> Row:
        return {"entry_index": index, "metadata": json.dumps(metadata)}

    journal = [
        line(number, "Command: Run", {"completion_id": number}, name=f"s{number}") for number in range(1, 6)
    ]
    found = tree(
        INVOCATION,
        journal,
        [],
        [
            said(3, {"kind": "tool", "tool": "wire", "arguments": {"to": "Ada"}}),
            said(1, {"kind": "model", "model": "m-1", "tokens_in": 70, "tokens_out": 5}),
            said(2, {"kind": "model", "tokens_in": 30}),
            said(4, {"why": "because " * 50}),
        ],
    )
    text = as_text(found)
    assert "usage       2 model calls, 100 tokens in, 5 out" in text
    lines = text.splitlines()[-5:]
    assert lines[0].endswith("step s1  waiting  [model m-1, 70 tokens in, 5 out]")
    assert lines[1].endswith("[model, 30 tokens in, 0 out]")
    assert lines[2].endswith('[tool wire {"to": "Ada"}]')
    assert lines[3].split("  ")[-1].startswith('[{"why": "because because')
    assert len(lines[3]) < 150
    assert lines[4].endswith("step s5  waiting")
    made = as_json(found)
    assert made["usage"] == {"model_calls": 2, "tokens_in": 100, "tokens_out": 5}
    steps = made["journal"]
    assert isinstance(steps, list)
    assert [isinstance(step, dict) and "metadata" in step for step in steps] == [True] * 4 + [False]
    assert "usage" not in as_json(tree(INVOCATION, [], []))


def test_failed_attempts_stand_where_they_happened_and_repeats_are_one() -> None:
    found = tree(
        INVOCATION,
        [
            line(0, "Command: Input", {"payload": []}),
            line(1, "Command: Run", {"completion_id": 1}, name="load"),
            line(2, "Notification: Run", {"completion_id": 1, "result": success(1)}, 5),
        ],
        [failed_attempt(0, 1, "early"), failed_attempt(1, 2, "late"), failed_attempt(1, 3, "late")],
    )
    kinds = [item.message if isinstance(item, Failed) else item.kind for item in found.entries]
    assert kinds == ["Input", "[500] early", "Run", "[500] late"]
    assert "attempt failed 2 times: [500] late" in as_text(found)


def test_what_cannot_be_shown_as_json_is_still_an_entry() -> None:
    """Entries of megabytes come without their JSON form."""
    rows = [line(0, "Command: Input", None, raw_length=9_000_000), line(1, "Notification: Run", None)]
    found = tree(INVOCATION, rows, [])
    assert [entry.bytes_ for entry in found.entries if isinstance(entry, Entry)] == [9_000_000]
    assert as_json(found)["journal"] != []


def test_text_from_outside_cannot_steer_the_terminal() -> None:
    rows = [line(0, "Command: Run", {"completion_id": 1}, name="a\x1b[31mb\nc")]
    assert "a?[31mb c" in as_text(tree(INVOCATION, rows, []))
