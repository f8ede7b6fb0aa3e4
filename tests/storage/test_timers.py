"""Timers are taken once, however the table knows of them."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.core.model import Row
from holdfast.storage.partition_tables import PartitionTables

NAMES = st.tuples(st.integers(1, 3), st.integers(0, 1), st.integers(1, 2).map(Row), st.just(1))
MOVES = st.lists(st.tuples(st.sampled_from(["put", "take", "commit", "due"]), NAMES), max_size=40)
AGAIN = (2, 0, Row(2), 1)


@settings(max_examples=80, deadline=None)
@given(MOVES)
@example([(move, AGAIN) for move in ("put", "commit", "due", "put", "take", "commit", "take")])
def test_a_timer_is_taken_exactly_when_it_is_there(
    moves: list[tuple[str, tuple[int, int, Row, int]]],
) -> None:
    """Goal: what `due` remembers never invents a timer or loses one. Method: compare with a set."""
    tables = PartitionTables(None)
    there: set[tuple[int, int, Row, int]] = set()
    for move, name in moves:
        if move == "put":
            tables.timers.put(*name)
            there.add(name)
        elif move == "take":
            assert tables.timers.take(*name) == (name in there)
            there.discard(name)
        else:
            tables.commit()
            if move == "due":
                due = {(t.fire_at, t.kind, t.row, t.completion_id) for t in tables.timers.due(9, 100)}
                assert due == there
    tables.close()
