"""What operators do to invocations: the record that is written, and how its answer is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.admin.bodies import BATCH_INVOCATIONS_MAX
from holdfast.core.model import InvocationId, Row
from holdfast.core.operate import COMPLETED, NOT_COMPLETED, NOT_FOUND, NOT_RUNNING, NOT_STARTED
from holdfast.core.outcome import Done, Refused, Restarted
from holdfast.core.records import Cancel, Kill, Pause, Purge, Record, RestartAsNew, Resume
from holdfast.core.restart import INCOMPLETE, JOURNAL_GONE, OUT_OF_RANGE, WORKFLOW
from holdfast.protocol.ids import encode_invocation_id

from .support import NOW_MS, World, manifest_of

RAW = InvocationId(b"\x01" * 24)
ID = encode_invocation_id(RAW)
OTHER = encode_invocation_id(b"\x02" * 24)
NEW_ID = InvocationId(RAW[:8] + b"\x07" * 16)
UNAVAILABLE = Refused(503, "unavailable", "the partition cannot commit: disk full")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Service S on two deployments: the older speaks protocol 5 to 6, the latest 6 to 7."""
    world = World(tmp_path)
    world.deployments.serve("old:80", manifest_of("S", versions=(5, 6)))
    world.deployments.serve("new:80", manifest_of("S", versions=(6, 7)))
    world.deployments.serve("other:80", manifest_of("T"))
    for host in ("old", "new", "other"):
        assert world.request("POST", "/deployments", {"uri": f"http://{host}:80"}).status_code == 201
    return world


def deployment(world: World, host: str) -> str:
    return next(d.id for d in world.catalog.deployments() if d.endpoint.host == host)


def stored(world: World, *, on: str | None, version: int | None, size: int = 5) -> None:
    """What the partition has stored of the invocation."""
    row: dict[str, object] = {"target_service_name": "S", "journal_size": size}
    if on is not None:
        row["pinned_deployment_id"] = deployment(world, on)
        row["pinned_service_protocol_version"] = version
    world.query.rows["sys_invocation_status"] = [row]


@pytest.mark.parametrize(
    ("operation", "record", "later"),
    [
        ("cancel", Cancel(NOW_MS, RAW), 202),
        ("kill", Kill(NOW_MS, RAW), 202),
        ("pause", Pause(NOW_MS, RAW), 202),
        ("purge", Purge(NOW_MS, RAW), 202),
        ("purge-journal", Purge(NOW_MS, RAW, journal_only=True), 202),
        ("resume", Resume(NOW_MS, RAW), 200),
    ],
)
def test_an_operation_is_one_record(world: World, operation: str, record: Record, later: int) -> None:
    response = world.request("PATCH", f"/v3/invocations/{ID}/{operation}")
    assert (response.status_code, response.content) == (200, b"")
    assert world.engine.records == [(RAW, record)]
    world.engine.answer = lambda _: Done(at_once=False)
    assert world.request("PATCH", f"/invocations/{ID}/{operation}").status_code == later


@pytest.mark.parametrize(
    ("operation", "refusal", "status", "words"),
    [
        ("cancel", NOT_FOUND, 404, "The requested invocation '{}' does not exist"),
        ("cancel", COMPLETED, 409, "The invocation '{}' was already completed."),
        ("kill", COMPLETED, 409, "The invocation '{}' was already completed."),
        ("pause", NOT_RUNNING, 409, "The invocation '{}' is not running, cannot be paused."),
        ("resume", COMPLETED, 409, "The invocation '{}' is completed, cannot be resumed."),
        ("resume", NOT_STARTED, 425, "not started"),
        ("purge", NOT_COMPLETED, 409, "not completed"),
        ("purge-journal", NOT_COMPLETED, 409, "not completed"),
        ("restart-as-new", NOT_COMPLETED, 409, "still running"),
        ("restart-as-new", NOT_STARTED, 425, "not started"),
        ("restart-as-new", WORKFLOW, 422, "workflow"),
        ("restart-as-new", JOURNAL_GONE, 410, "journal"),
        ("restart-as-new", OUT_OF_RANGE, 400, "prefix"),
        ("restart-as-new", INCOMPLETE, 400, "never completed"),
        ("cancel", UNAVAILABLE, 503, "disk full"),
    ],
)
def test_a_refusal_says_why(world: World, operation: str, refusal: Refused, status: int, words: str) -> None:
    world.engine.answer = lambda _: refusal
    response = world.request("PATCH", f"/invocations/{ID}/{operation}")
    assert response.status_code == status
    assert words.format(ID) in response.json()["message"]
    assert response.json()["restate_code"] is None


@pytest.mark.parametrize("mode", ["Cancel", "kill", "Purge", None])
def test_the_old_way_always_says_accepted(world: World, mode: str | None) -> None:
    world.engine.answer = lambda _: NOT_FOUND
    response = world.request("DELETE", f"/invocations/{ID}" + (f"?mode={mode}" if mode else ""))
    assert (response.status_code, response.content) == (202, b"")
    kind = {"Cancel": Cancel, "kill": Kill, "Purge": Purge, None: Cancel}[mode]
    assert isinstance(world.engine.records[0][1], kind)


def test_the_old_way_does_not_hide_a_broken_partition(world: World) -> None:
    world.engine.answer = lambda _: UNAVAILABLE
    assert world.request("DELETE", f"/invocations/{ID}").status_code == 503


def test_the_old_way_needs_a_mode_it_knows(world: World) -> None:
    assert world.request("DELETE", f"/invocations/{ID}?mode=Explode").status_code == 400
    assert world.request("DELETE", "/invocations/inv_bad?mode=Kill").status_code == 400
    assert world.engine.records == []


def test_an_unknown_operation_is_refused(world: World) -> None:
    assert world.request("PATCH", f"/invocations/{ID}/explode").status_code == 404


@pytest.mark.parametrize(
    ("pinned", "version", "wanted", "expected"),
    [
        ("old", 6, "keep", (None, None)),
        ("old", 6, "latest", ("new", 6)),
        ("new", 6, "old", ("old", 6)),
        (None, None, "latest", ("new", 7)),
        (None, None, "old", ("old", 6)),
    ],
)
def test_resuming_elsewhere_keeps_the_journals_version(
    world: World,
    pinned: str | None,
    version: int | None,
    wanted: str,
    expected: tuple[str | None, int | None],
) -> None:
    stored(world, on=pinned, version=version)
    asked = deployment(world, wanted) if wanted == "old" else wanted
    assert world.request("PATCH", f"/invocations/{ID}/resume?deployment={asked}").status_code == 200
    host, pin = expected
    id_ = None if host is None else deployment(world, host)
    assert world.engine.records == [(RAW, Resume(NOW_MS, RAW, id_, pin))]


def test_a_deployment_that_cannot_read_the_journal_is_refused(world: World) -> None:
    stored(world, on="old", version=5)
    response = world.request("PATCH", f"/invocations/{ID}/resume?deployment=latest")
    assert response.status_code == 400
    assert "version 5" in response.json()["message"]
    assert world.engine.records == []


def test_a_deployment_must_exist_and_serve_the_service(world: World) -> None:
    stored(world, on="old", version=6)
    other, gone = deployment(world, "other"), "dp_12bjEbHYEo55nF4NhPAfItz"
    for wanted, status in ((other, 400), (gone, 404), ("nonsense", 400)):
        assert world.request("PATCH", f"/invocations/{ID}/resume?deployment={wanted}").status_code == status
    world.query.rows.clear()
    assert world.request("PATCH", f"/invocations/{ID}/resume?deployment=latest").status_code == 404
    assert world.engine.records == []


def restarted(world: World, query: str) -> RestartAsNew:
    world.engine.answer = lambda _: Restarted(NEW_ID)
    response = world.request("PATCH", f"/invocations/{ID}/restart-as-new{query}")
    assert response.status_code == 200, response.text
    assert response.json() == {"new_invocation_id": encode_invocation_id(NEW_ID)}
    record = world.engine.records[-1][1]
    assert isinstance(record, RestartAsNew)
    return record


def test_a_restart_from_the_input_chooses_like_any_new_invocation(world: World) -> None:
    expected = RestartAsNew(NOW_MS, RAW, NEW_ID, Row(77), keep_commands=1)
    for query in ("", "?from=0", "?deployment=latest"):
        assert restarted(world, query) == expected
    assert world.query.asked == []


def test_a_restart_from_the_input_may_be_sent_elsewhere(world: World) -> None:
    stored(world, on="old", version=6)
    record = restarted(world, "?deployment=keep")
    assert (record.deployment, record.protocol_version) == (deployment(world, "old"), 6)


def test_a_restart_from_a_prefix_counts_its_commands_and_stays_in_its_version(world: World) -> None:
    stored(world, on="old", version=6, size=5)
    kinds = ["Command: Input", "Command: Sleep", "Notification: Sleep"]
    world.query.rows["sys_journal"] = [{"index": i, "entry_type": kind} for i, kind in enumerate(kinds)]
    record = restarted(world, "?from=2")
    assert (record.keep_commands, record.deployment, record.protocol_version) == (
        2,
        deployment(world, "new"),
        6,
    )
    assert any('"index" <= 2' in sql for sql, _ in world.query.asked)
    kept = restarted(world, "?from=2&deployment=keep")
    assert (kept.deployment, kept.protocol_version) == (deployment(world, "old"), 6)


def test_a_prefix_of_a_purged_journal_is_gone(world: World) -> None:
    stored(world, on="old", version=6, size=0)
    world.engine.answer = lambda _: JOURNAL_GONE
    assert world.request("PATCH", f"/invocations/{ID}/restart-as-new?from=3").status_code == 410


@pytest.mark.parametrize("last_entry", ["5", "-1", "x", "99999999999999999999"])
def test_a_prefix_lies_inside_the_journal(world: World, last_entry: str) -> None:
    stored(world, on="old", version=6, size=5)
    response = world.request("PATCH", f"/invocations/{ID}/restart-as-new?from={last_entry}")
    assert response.status_code == 400
    assert world.engine.records == []


@pytest.mark.parametrize("operation", ["cancel", "kill", "purge", "purge-journal", "pause", "resume"])
def test_a_batch_tells_each_outcome(world: World, operation: str) -> None:
    world.engine.answer = lambda _: Done() if world.engine.records[-1][0] == RAW else NOT_FOUND
    path = f"/internal/invocations_batch_operations/{operation}"
    response = world.request("POST", path, {"invocation_ids": [ID, OTHER, "inv_bad"]})
    assert response.status_code == 200
    assert response.json()["succeeded"] == [ID]
    assert [failure["invocation_id"] for failure in response.json()["failed"]] == [OTHER, "inv_bad"]
    assert response.json()["failed"][0]["error"] == f"Invocation '{OTHER}' not found"


def test_a_batch_of_restarts_names_both_ids(world: World) -> None:
    world.engine.answer = lambda _: Restarted(NEW_ID)
    path = "/internal/invocations_batch_operations/restart-as-new"
    answer = world.request("POST", path, {"invocation_ids": [ID]}).json()
    new = encode_invocation_id(NEW_ID)
    assert answer == {"succeeded": [{"old_invocation_id": ID, "new_invocation_id": new}], "failed": []}


def test_a_batch_has_a_bound(world: World) -> None:
    path = "/internal/invocations_batch_operations/cancel"
    full = world.request("POST", path, {"invocation_ids": [ID] * BATCH_INVOCATIONS_MAX})
    assert len(full.json()["succeeded"]) == BATCH_INVOCATIONS_MAX
    assert (
        world.request("POST", path, {"invocation_ids": [ID] * (BATCH_INVOCATIONS_MAX + 1)}).status_code == 422
    )
    assert world.request("POST", path.replace("cancel", "explode"), {"invocation_ids": []}).status_code == 404
