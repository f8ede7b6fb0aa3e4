"""The await tree: what a handler is blocked on, with how the parts combine (version 7).

Leaves are completion ids, signal indexes and signal names; inner nodes say when they are done
(`CombinatorType`). SDKs build one node per nested `gather` or `race`, so a handler in a loop can build a very
deep one by accident. Reading and writing therefore use an explicit stack rather than recursion, never copy a
subtree's bytes (a copy per level would make depth times size, quadratic), and refuse depths that the other
side would refuse too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from holdfast.protocol.errors import AwaitTreeTooDeep, FrameTooLarge
from holdfast.protocol.wire import (
    FIELDS_MAX,
    U32_MAX,
    cut_chunk,
    put_chunk,
    put_packed,
    put_uint,
    read_packed,
    read_tag,
    read_varint,
    skip_field,
    text,
)

FUTURE_DEPTH_MAX = 1000
"""Levels of an await tree, the root being 1 (protocol, "Server codes shown to operators", RT0025)."""


class CombinatorType(IntEnum):
    """When a node of an await tree is done (protocol, "Suspension")."""

    UNKNOWN = 0
    FIRST_COMPLETED = 1
    ALL_COMPLETED = 2
    FIRST_SUCCEEDED_OR_ALL_FAILED = 3
    ALL_SUCCEEDED_OR_FIRST_FAILED = 4


_COMBINATORS = tuple(CombinatorType)


@dataclass(slots=True)
class Future:
    """A node of an await tree. An unfamiliar combinator reads as UNKNOWN: waking too early is always safe."""

    waiting_completions: tuple[int, ...] = ()
    waiting_signals: tuple[int, ...] = ()
    waiting_named_signals: tuple[str, ...] = ()
    nested_futures: tuple["Future", ...] = ()
    combinator_type: CombinatorType = CombinatorType.UNKNOWN

    def is_leafless(self) -> bool:
        """Nothing to wait for anywhere in the tree; suspending on it would be for ever."""
        return not any(
            node.waiting_completions or node.waiting_signals or node.waiting_named_signals
            for node in self.walk()
        )

    def walk(self) -> Iterator["Future"]:
        """Every node of the tree, in no promised order, without recursion."""
        stack: list[Future] = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(node.nested_futures)

    def encode(self) -> bytes:
        """The body of a Future message.

        Raises:
            AwaitTreeTooDeep: deeper than `FUTURE_DEPTH_MAX`.
        """
        if not self.nested_futures:
            return self._around(())
        # One frame per open node: the node, its children still to come, the bodies of those already written.
        open_nodes: list[tuple[Future, Iterator[Future], list[bytes]]] = [
            (self, iter(self.nested_futures), [])
        ]
        while True:
            node, children, bodies = open_nodes[-1]
            child = next(children, None)
            if child is not None:
                if len(open_nodes) >= FUTURE_DEPTH_MAX:
                    raise _too_deep()
                open_nodes.append((child, iter(child.nested_futures), []))
                continue
            body = node._around(bodies)
            open_nodes.pop()
            if not open_nodes:
                return body
            open_nodes[-1][2].append(put_chunk(4, body))

    def _around(self, nested: Iterable[bytes]) -> bytes:
        body = put_packed(1, self.waiting_completions) + put_packed(2, self.waiting_signals)
        for name in self.waiting_named_signals:
            body += put_chunk(3, name.encode())
        return body + b"".join(nested) + put_uint(5, self.combinator_type)

    @classmethod
    def decode(cls, body: bytes) -> "Future":
        """Reads a Future message.

        Raises:
            AwaitTreeTooDeep: deeper than `FUTURE_DEPTH_MAX`.
            FrameTooLarge: more than `FIELDS_MAX` nodes and leaves.
            MalformedMessage: not well-formed.
        """
        return decode_future(body, 0, len(body))


@dataclass(slots=True)
class _Node:
    """A node still being read: `stop` is where its bytes end."""

    stop: int
    completions: list[int]
    signals: list[int]
    names: list[str]
    nested: list[Future]
    combinator: int = 0

    def close(self) -> Future:
        known = self.combinator < len(_COMBINATORS)
        return Future(
            tuple(self.completions),
            tuple(self.signals),
            tuple(self.names),
            tuple(self.nested),
            _COMBINATORS[self.combinator] if known else CombinatorType.UNKNOWN,
        )


def decode_future(body: bytes, start: int, stop: int) -> Future:
    """Reads the Future message at `body[start:stop]`, in place. Raises as `Future.decode`."""
    # The usual tree is one node, "first of completion n and cancel": 0a 01 n 12 01 s 28 c.
    if (
        stop - start == 8
        and body[start : start + 2] == b"\n\x01"
        and body[start + 3 : start + 5] == b"\x12\x01"
    ):
        completion, signal, tag, combinator = (
            body[start + 2],
            body[start + 5],
            body[start + 6],
            body[start + 7],
        )
        if completion < 128 and signal < 128 and tag == 0x28 and combinator < len(_COMBINATORS):
            return Future((completion,), (signal,), (), (), _COMBINATORS[combinator])
    open_nodes = [_Node(stop, [], [], [], [])]
    position, items = start, 0
    while True:
        node = open_nodes[-1]
        end = node.stop
        if position >= end:
            future = node.close()
            open_nodes.pop()
            if not open_nodes:
                return future
            open_nodes[-1].nested.append(future)
            continue
        tag, position = read_tag(body, position, end)
        if tag == 0x0A or tag == 0x12:
            begin, position = cut_chunk(body, position, end)
            items += read_packed(body, begin, position, node.completions if tag == 0x0A else node.signals)
        elif tag == 0x08 or tag == 0x10:
            value, position = read_varint(body, position, end)
            (node.completions if tag == 0x08 else node.signals).append(value & U32_MAX)
        elif tag == 0x1A:
            begin, position = cut_chunk(body, position, end)
            node.names.append(text(body[begin:position]))
        elif tag == 0x22:
            position, inner_stop = cut_chunk(body, position, end)
            if len(open_nodes) >= FUTURE_DEPTH_MAX:
                raise _too_deep()
            open_nodes.append(_Node(inner_stop, [], [], [], []))
        elif tag == 0x28:
            value, position = read_varint(body, position, end)
            node.combinator = value & U32_MAX
        else:
            position = skip_field(body, tag, position, end)
        items += 1
        if items > FIELDS_MAX:
            raise FrameTooLarge(f"await tree holds more than {FIELDS_MAX} parts; await fewer things at once")


def _too_deep() -> AwaitTreeTooDeep:
    return AwaitTreeTooDeep(
        f"await tree is deeper than {FUTURE_DEPTH_MAX} levels; await inner results first or combine flat"
    )
