"""Where invocations live: derived ids as other servers derive them, minted ones in their own partition."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from partition.support import engine, handler
from partition.support import run as go

from holdfast.core.model import InvocationId, Row, TargetKind
from holdfast.partition.placement import Minter, idempotent_id, some_id_of_key, workflow_id
from holdfast.protocol.ids import encode_invocation_id
from holdfast.storage.keys import row_in_id
from holdfast.storage.partition_tables import PartitionTables

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "vectors" / "ids.json").read_text())["vectors"]
COUNTS = (1, 4, 7)


def _items(part: str) -> dict[str, str]:
    (found,) = [v["items"] for v in VECTORS if v["description"].startswith(part)]
    items: dict[str, str] = found
    return items


def test_derived_ids_equal_the_captured_ones() -> None:
    keys, uniques = _items("first 8 bytes"), _items("last 16 bytes")
    assert workflow_id("Flow", "w2").hex() == keys["w2"] + uniques["wf,Flow,w2"]
    by_key = idempotent_id("Greeter", None, "greet", "k1").hex()
    assert by_key == keys["k1"] + uniques["ik,Greeter,greet,k1"]
    captured = {v["raw_hex"]: v["text"] for v in VECTORS if v["description"] == "invocation id"}
    derived = workflow_id("Flow", "w2")
    assert captured[derived.hex()] == encode_invocation_id(derived)


def test_everything_of_a_key_lives_together() -> None:
    for key in ("k1", "w2", "", "ключ"):
        start = some_id_of_key(key)[:8]
        assert workflow_id("Flow", key)[:8] == start
        assert idempotent_id("Counter", key, "add", "some idempotency key")[:8] == start


@given(st.sampled_from([*COUNTS, 4096]), st.integers(0, 2**64 - 1))
def test_every_id_has_one_owner(partitions: int, partition_key: int) -> None:
    tables = _tables(partitions)
    owner = tables.partition_of(InvocationId(partition_key.to_bytes(8, "big") + bytes(16)))
    assert 0 <= owner < partitions
    assert owner == partition_key * partitions // 2**64


_OPEN: dict[int, PartitionTables] = {}


def _tables(partitions: int) -> PartitionTables:
    if partitions not in _OPEN:
        _OPEN[partitions] = PartitionTables(None, 0, partitions)
    return _OPEN[partitions]


@pytest.mark.parametrize("partitions", [*COUNTS, 4096])
def test_minted_ids_are_their_own_partitions_and_hold_their_row(partitions: int) -> None:
    tables = _tables(partitions)
    for partition in {0, 1 % partitions, partitions // 2, partitions - 1}:
        minter = Minter(partition, partitions, 7)
        for number in range(200):
            id_, row = minter.anywhere()
            assert tables.partition_of(id_) == partition
            assert row_in_id(id_) == row == 7 + number


def test_the_edges_of_a_partitions_range_are_its_own() -> None:
    for partitions in (*COUNTS, 4096):
        tables = _tables(partitions)
        for partition in (0, partitions // 2, partitions - 1):
            minter = Minter(partition, partitions, 1)
            first, last = minter._first_key, minter._first_key + minter._keys - 1
            for key in (first, last):
                assert tables.partition_of(InvocationId(key.to_bytes(8, "big") + bytes(16))) == partition


def test_ids_for_a_key_are_random_beside_it() -> None:
    minter = Minter(0, 1, 1)
    (one, _), (two, _) = minter.for_key("k1"), minter.for_key("k1")
    assert one[:8] == two[:8] == some_id_of_key("k1")[:8]
    assert one[14:] != two[14:]
    assert minter.like(one)[0][:8] == one[:8]


@pytest.mark.parametrize("partitions", COUNTS)
def test_requests_get_ids_and_rows_of_their_owner(partitions: int) -> None:
    async def story() -> None:
        async with engine(partitions) as e:
            make, exclusive = e.engine.make_request, handler(TargetKind.OBJECT_EXCLUSIVE, "Counter", "add")
            plain = [make(handler(), None, (), b"") for _ in range(3 * partitions)]
            owners = [e.engine.owner(r.id).index for r in plain]
            assert sorted(owners) == sorted([*range(partitions)] * 3), "in turn"
            assert all(r.fresh and row_in_id(r.id) == r.row > 0 for r in plain)
            for key in ("a", "b", "c", "d"):
                request = make(exclusive, key, (), b"")
                assert request.id[:8] == some_id_of_key(key)[:8]
                assert row_in_id(request.id) == request.row
                caller = (e.engine.owner(request.id).index + 1) % partitions
                called = make(exclusive, key, (), b"", caller=caller)
                assert called.id[:8] == request.id[:8]
                assert (called.row == Row(0)) is (partitions > 1), "its owner gives it a row on arrival"
            stays = make(handler(), None, (), b"", caller=partitions - 1)
            assert e.engine.owner(stays.id).index == partitions - 1
            again = [make(handler(), None, (), b"", idempotency_key="same") for _ in range(2)]
            assert again[0].id == again[1].id == idempotent_id("Greeter", None, "greet", "same")
            assert not again[0].fresh
            flow = make(handler(TargetKind.WORKFLOW_RUN, "Flow", "run"), "w2", (), b"")
            assert flow.id == workflow_id("Flow", "w2")
            id_, row = e.engine.mint(flow.id)
            assert e.engine.owner(id_) is e.engine.owner(flow.id)
            assert row_in_id(id_) == row

    go(story())
