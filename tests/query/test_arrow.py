"""Arrow answers: read back field by field, and against what was captured from a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from struct import unpack_from
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.vectors import load
from query.world import World

from holdfast.query.arrow import write_arrow
from holdfast.query.runner import ARROW
from holdfast.query.types import Type


class _Table:
    """A FlatBuffers table, read the way the format's own readers do."""

    def __init__(self, data: bytes, position: int) -> None:
        self.data, self.position = data, position
        self.vtable = position - unpack_from("<i", data, position)[0]

    def place(self, slot: int) -> int | None:
        size = unpack_from("<H", self.data, self.vtable)[0]
        if 4 + 2 * slot >= size:
            return None
        offset = unpack_from("<H", self.data, self.vtable + 4 + 2 * slot)[0]
        return self.position + offset if offset else None

    def number(self, slot: int, code: str, default: int = 0) -> int:
        place = self.place(slot)
        if place is None:
            return default
        [value] = unpack_from(f"<{code}", self.data, place)
        return int(value)

    def follow(self, slot: int) -> int:
        place = self.place(slot)
        assert place is not None
        return place + int(unpack_from("<I", self.data, place)[0])

    def table(self, slot: int) -> _Table:
        return _Table(self.data, self.follow(slot))

    def text(self, slot: int) -> str:
        start = self.follow(slot)
        [size] = unpack_from("<I", self.data, start)
        return self.data[start + 4 : start + 4 + size].decode()

    def tables(self, slot: int) -> list[_Table]:
        start = self.follow(slot)
        [count] = unpack_from("<I", self.data, start)
        places = [start + 4 + 4 * n for n in range(count)]
        return [_Table(self.data, p + unpack_from("<I", self.data, p)[0]) for p in places]

    def pairs(self, slot: int) -> list[tuple[int, int]]:
        start = self.follow(slot)
        assert (start + 4) % 8 == 0
        [count] = unpack_from("<I", self.data, start)
        return [unpack_from("<2q", self.data, start + 4 + 16 * n) for n in range(count)]


def _messages(stream: bytes) -> Iterator[tuple[_Table, bytes]]:
    position = 0
    while True:
        mark, size = unpack_from("<Ii", stream, position)
        assert mark == 0xFFFFFFFF
        assert position % 8 == 0
        position += 8
        if size == 0:
            assert position == len(stream)
            return
        metadata = stream[position : position + size]
        message = _Table(metadata, unpack_from("<I", metadata)[0])
        position += size
        body = message.number(3, "q")
        yield message, stream[position : position + body]
        position += body


def _bit(buffer: bytes, index: int) -> bool:
    return bool(buffer[index // 8] >> index % 8 & 1)


def _values(kind: int, type_: _Table, count: int, buffers: list[bytes]) -> list[Any]:
    if kind == 6:
        return [_bit(buffers[0], n) for n in range(count)]
    if kind in (19, 20):
        offsets = unpack_from(f"<{count + 1}q", buffers[0])
        raw = [buffers[1][a:b] for a, b in pairwise(offsets)]
        return raw if kind == 19 else [part.decode() for part in raw]
    code = "d" if kind == 3 else "Q" if kind == 2 and not type_.number(1, "B") else "q"
    return list(unpack_from(f"<{count}{code}", buffers[0]))


def read(stream: bytes) -> tuple[list[tuple[str, int]], list[tuple[Any, ...]]]:
    """Names and type numbers of the columns, and the rows."""
    messages = list(_messages(stream))
    fields = messages[0][0].table(2).tables(1)
    columns: list[list[Any]] = [[] for _ in fields]
    for message, body in messages[1:]:
        batch = message.table(2)
        nodes, places = batch.pairs(1), batch.pairs(2)
        buffers = iter([body[offset : offset + size] for offset, size in places])
        for field, node, column in zip(fields, nodes, columns, strict=True):
            validity = next(buffers)
            kind = field.number(2, "B")
            data = [next(buffers) for _ in range(2 if kind in (19, 20) else 1)]
            values = _values(kind, field.table(3), node[0], data)
            present = [not validity or _bit(validity, n) for n in range(node[0])]
            assert present.count(False) == node[1]
            column += [value if there else None for value, there in zip(values, present, strict=True)]
    return [(field.text(0), field.number(2, "B")) for field in fields], list(zip(*columns, strict=True))


CAPTURED = [
    request
    for vector in load("cli")["vectors"]
    for request in vector["requests"]
    if "response_arrow_hex" in request
]


@pytest.mark.parametrize("request_", CAPTURED, ids=lambda r: " ".join(r["body"]["query"].split())[:50])
def test_a_captured_answer_written_again_reads_the_same(request_: dict[str, Any]) -> None:
    """Goal: names, types and values as the real server's. Method: one reader for both."""
    columns, rows = read(bytes.fromhex(request_["response_arrow_hex"]))
    outputs = [(name, Type.INTEGER if kind == 2 else Type.TEXT) for name, kind in columns]
    assert read(write_arrow(outputs, rows)) == (columns, rows)


@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.text(),
            st.none() | st.binary(),
            st.none() | st.booleans(),
            st.none() | st.floats(allow_nan=False),
        ),
        min_size=1,
        max_size=200,
    )
)
def test_every_value_comes_back(rows: list[tuple[Any, ...]]) -> None:
    types = [Type.INTEGER, Type.TEXT, Type.BINARY, Type.BOOLEAN, Type.FLOAT]
    columns, back = read(write_arrow([(f"c{n}", type_) for n, type_ in enumerate(types)], rows))
    assert [kind for _, kind in columns] == [2, 20, 19, 6, 3]
    assert back == rows


def test_a_count_is_one_number(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.start(world.request("Greeter/greet"))
    try:
        content_type, body = asyncio.run(world.runner.run("SELECT COUNT(1) FROM sys_invocation", "*/*"))
        assert content_type == ARROW
        assert read(body) == ([("count(Int64(1))", 2)], [(1,)])
        _, empty = asyncio.run(world.runner.run("SELECT id, created_at FROM sys_invocation LIMIT 0", ARROW))
        assert read(empty) == ([("id", 20), ("created_at", 10)], [])
    finally:
        world.close()
