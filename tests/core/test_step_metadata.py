"""Metadata of steps: together with what it belongs to, once, and gone with the journal."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from core.harness import GONE_AT_ONCE, SERVICE, World, proposal, run, sleep
from core.test_restart import restart
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core import commands as c
from holdfast.core.model import (
    STEP_METADATA_BYTES_MAX,
    Activity,
    InvocationId,
    Retention,
    RetryPolicy,
)
from holdfast.core.outcome import AbortAttempt, Restarted
from holdfast.core.step_metadata import merged
from holdfast.protocol.step_metadata import METADATA_BYTES_MAX, Usage, usage_of
from holdfast.storage.step_metadata import step_metadata_of


def about(item: c.Plain | c.RunProposal, metadata: bytes, completion_id: int | None = None) -> c.Described:
    known = item.completion_id if completion_id is None else completion_id
    assert known is not None
    return c.Described(item, known, metadata, RetryPolicy(), 0.0)


def kept(world: World, id_: InvocationId) -> dict[int, tuple[int, object]]:
    """Index of the run command to its completion id and metadata."""
    rows = world.tables[world.owner(id_)].database.rows
    found = step_metadata_of(rows, world.invocation(id_).row)
    return {index: (one.completion_id, one.metadata) for index, one in found.items()}


def usage(world: World, id_: InvocationId) -> Usage | None:
    rows = world.tables[world.owner(id_)].database.rows
    return usage_of(one.metadata for one in step_metadata_of(rows, world.invocation(id_).row).values())


MODEL = b'{"kind":"model","model":"m","tokens_in":0}'


def test_both_ends_of_a_step_make_one_object_and_the_later_keys_win(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, about(run(1), MODEL), run(2))
    assert kept(world, id_) == {1: (1, {"kind": "model", "model": "m", "tokens_in": 0})}
    world.report(id_, about(proposal(1), b'{"tokens_in":5,"tokens_out":2}'), proposal(2))
    assert kept(world, id_) == {1: (1, {"kind": "model", "model": "m", "tokens_in": 5, "tokens_out": 2})}
    assert usage(world, id_) == Usage(1, 5, 2)
    assert [e.type for e in world.journal(id_)] == [0x400, 0x411, 0x411, 0x8011, 0x8011]


@pytest.mark.parametrize("between", [0, 3], ids=["same commit", "later"])
def test_what_is_known_only_at_the_end_finds_its_command(world: World, between: int) -> None:
    """In one batch with it the command is in memory, later it is on disk."""
    id_ = world.start(SERVICE)
    if between:
        world.report(id_, run(9), *(sleep(n, world.now + 10**6) for n in range(1, between)))
        world.report(id_, about(proposal(9), MODEL))
    else:
        world.report(id_, run(1), run(9), sleep(2, world.now + 10**6), about(proposal(9), MODEL))
    assert list(kept(world, id_)) == [1 if between else 2]


def test_a_step_that_ran_twice_counts_once(tmp_path: Path) -> None:
    """The service died before its proposal came; or the proposal came, and it died before it heard so."""
    world = World(directory=tmp_path)
    id_ = world.start(SERVICE)
    world.report(id_, about(run(1), MODEL))
    world.reopen()
    world.report(id_, about(proposal(1), b'{"tokens_in":5}'))
    world.report(id_, about(proposal(1), b'{"tokens_in":7}'))
    world.reopen()
    assert world.invocation(id_).has_step_metadata
    world.report(id_, about(proposal(1), b'{"tokens_in":9}'))
    assert usage(world, id_) == Usage(1, 5, 0)
    assert [e.type for e in world.journal(id_)] == [0x400, 0x411, 0x8011]
    world.close()


@pytest.mark.parametrize(
    "wrong",
    [
        about(proposal(2), MODEL),
        about(proposal(0), MODEL),
        about(run(1 << 20), MODEL),
        about(proposal(1), b'{"a":"%s"}' % (b"x" * (STEP_METADATA_BYTES_MAX - len(MODEL)))),
    ],
    ids=["no such step", "zero", "no such number", "too much together"],
)
def test_what_breaks_a_rule_fails_the_attempt_and_is_not_stored(world: World, wrong: c.Described) -> None:
    id_ = world.start(SERVICE)
    world.report(id_, about(run(1), MODEL))
    before = world.dump()["0/step_metadata"], len(world.journal(id_))
    world.report(id_, wrong, run(5))
    invocation = world.invocation(id_)
    assert world.all(AbortAttempt)
    assert invocation.activity is Activity.BACKING_OFF
    assert invocation.failure is not None
    assert invocation.failure.doc_code == "RT0012"
    assert "metadata" in invocation.failure.message
    assert (world.dump()["0/step_metadata"], len(world.journal(id_))) == before


@pytest.mark.parametrize("retention", [GONE_AT_ONCE, Retention(10**6, 0), Retention(10**6, 10**6)])
def test_it_goes_with_the_journal(world: World, retention: Retention) -> None:
    id_ = world.start(SERVICE, retention=retention)
    other = world.start(SERVICE)
    for one in (id_, other):
        world.report(one, about(run(1), MODEL), proposal(1))
    world.finish(id_)
    if retention.journal_ms:
        assert world.count("step_metadata") == 2
        world.purge(id_, journal_only=True)
    assert world.count("step_metadata") == 1
    assert kept(world, other)


def test_invocations_without_any_cost_no_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    touched: list[str] = []
    table = world.tables[0].step_metadata
    for method in ("get", "put", "delete"):
        monkeypatch.setattr(table, method, lambda *_, name=method: touched.append(name))
    id_ = world.start(SERVICE, retention=GONE_AT_ONCE)
    world.report(id_, run(1), proposal(1))
    world.finish(id_)
    assert world.find(id_) is None
    assert touched == []
    world.close()


def test_a_prefix_takes_its_steps_metadata_along(world: World) -> None:
    id_ = world.start(SERVICE)
    world.report(
        id_, run(1), proposal(1), about(run(2), MODEL), proposal(2), about(run(3), MODEL), proposal(3)
    )
    world.finish(id_)
    answer = restart(world, id_, 3)
    assert isinstance(answer, Restarted)
    assert kept(world, answer.id) == {2: (2, {"kind": "model", "model": "m", "tokens_in": 0})}
    assert world.invocation(answer.id).has_step_metadata
    plain = restart(world, id_, 2)
    assert isinstance(plain, Restarted)
    assert not world.invocation(plain.id).has_step_metadata
    world.purge(id_)
    world.kill(answer.id)
    world.purge(answer.id)
    assert world.count("step_metadata") == 0


def test_both_sides_of_the_wire_mean_the_same_bound() -> None:
    assert STEP_METADATA_BYTES_MAX == METADATA_BYTES_MAX


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=2), json_values, max_size=4)


@given(objects, objects)
def test_merging_is_that_of_dictionaries(earlier: dict[str, object], later: dict[str, object]) -> None:
    encode, decode = msgspec.json.encode, msgspec.json.decode
    whole = merged(encode(earlier), encode(later))
    assert decode(whole) == {**decode(encode(earlier)), **decode(encode(later))}
    assert len(whole) <= len(encode(earlier)) + len(encode(later))


@given(st.lists(st.dictionaries(st.sampled_from(["kind", "tokens_in", "tokens_out"]), json_values)))
def test_no_metadata_makes_the_sum_fail(steps: list[dict[str, object]]) -> None:
    world = World()
    id_ = world.start(SERVICE)
    for number, step in enumerate(steps, 1):
        world.report(id_, about(run(number), msgspec.json.encode(step)))
    found = usage(world, id_)
    models = sum(step.get("kind") == "model" for step in steps)
    assert (found.model_calls if found else 0) == models
    world.close()
