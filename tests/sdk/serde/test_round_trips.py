"""Values come back as what they were, and equal values are equal bytes: the two laws of every serde."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar, Union
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypedDict as ExtendedTypedDict

from holdfast.sdk.errors import SerializeError
from holdfast.sdk.serde import BYTES, JSON, NOTHING, Serde, serde_for
from holdfast.sdk.serde.json_serde import JsonSerde
from holdfast.sdk.serde.pydantic_serde import PydanticSerde

T = TypeVar("T")
UserId = NewType("UserId", str)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Address:
    street: str
    number: int = 1


@dataclass(frozen=True)
class User:
    name: str
    address: Address | None = None
    tags: frozenset[str] = frozenset()


@dataclass
class Page(Generic[T]):
    items: list[T]
    following: int | None = None


class Options(TypedDict, total=False):
    depth: int
    colour: Colour


class Point(NamedTuple):
    x: int
    y: int


class Event(msgspec.Struct, tag=True):
    at: datetime
    data: dict[str, Any] = {}


class Closed(msgspec.Struct, tag=True):
    reason: str


class Model(BaseModel):
    name: str
    at: datetime
    tags: set[str] = set()
    counts: dict[str, int] = {}
    inner: Model | None = None


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: list[str]


class WithModel(ExtendedTypedDict):
    model: Cat


@dataclass
class HoldsModel:
    models: list[Cat]
    by_name: dict[str, Dog] = field(default_factory=dict)


@pydantic_dataclass
class Checked:
    number: int = Field(gt=0)


NOW = datetime(2026, 11, 22, 23, 59, 1, 5, UTC)
MODEL = Model(name="a", at=NOW, tags={"x", "y"}, counts={"b": 1, "a": 2})

BY_MSGSPEC: list[tuple[Any, Any]] = [
    (str, "Ada"),
    (int, 2**40),
    (float, 1.5),
    (list[float | None], [None, 1.5]),
    (dict[str, list], {"a": [1, "null"]}),
    (bool, True),
    (int | bool, True),
    (list[int], [1, 2]),
    (dict[str, list[float]], {"b": [1.0], "a": []}),
    (dict[int, str], {2: "b", 1: "a"}),
    (dict[UUID, int], {UUID(int=5): 1}),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (set[str], {"a", "b"}),
    (frozenset[int], frozenset({3, 1})),
    (Sequence[int], [1]),
    (Mapping[str, int], {"a": 1}),
    (Colour, Colour.RED),
    (Level, Level.HIGH),
    (Literal["a", 1], "a"),
    (Optional[str], None),  # noqa: UP045 - the old spelling is the point
    (Union[int, str, None], "x"),  # noqa: UP007
    (int | None, 5),
    (UserId, UserId("u1")),
    (datetime, NOW),
    (date, date(2026, 11, 22)),
    (timedelta, timedelta(seconds=90)),
    (Decimal, Decimal("1.10")),
    (UUID, UUID(int=7)),
    (Address, Address("a", 2)),
    (User, User("u", Address("b"), frozenset({"x"}))),
    (list[User], [User("u")]),
    (Page[User], Page([User("u")], 2)),
    (Options, {"depth": 1, "colour": Colour.BLUE}),
    (Point, Point(1, 2)),
    (Event, Event(NOW, {"a": [1, None]})),
    (Event | Closed, Closed("done")),
    (Annotated[int, msgspec.Meta(ge=0)], 5),
    (dict[str, Any], {"a": [1, {"b": None}]}),
    (dict[str, object], {"a": [1, {"b": None}]}),
    (dict[str, bytes], {"a": b"\xff"}),
    (Any, {"a": [1, 2.5, None, True, "x"]}),
    (object, ["a"]),
    (list, [1, "a"]),
]

BY_PYDANTIC: list[tuple[Any, Any]] = [
    (Model, MODEL),
    (list[Model], [MODEL, Model(name="b", at=NOW, inner=MODEL)]),
    (Optional[Cat], None),  # noqa: UP045
    (Cat | Dog, Dog(tricks=["sit"])),
    (dict[str, Cat], {"b": Cat(lives=9), "a": Cat(lives=1)}),
    (WithModel, {"model": Cat(lives=9)}),
    (HoldsModel, HoldsModel([Cat(lives=2)], {"d": Dog(tricks=[])})),
    (Checked, Checked(number=1)),
    (Annotated[int, Field(gt=0)], 5),
    (Address | Point | User, User("u")),
]


@pytest.mark.parametrize(("annotation", "value"), [*BY_MSGSPEC, *BY_PYDANTIC], ids=lambda x: str(x)[:40])
def test_every_kind_of_type_comes_back(annotation: Any, value: Any) -> None:
    serde = serde_for(annotation)
    data = serde.serialize(value)
    back = serde.deserialize(data)
    assert back == value
    assert type(back) is type(value)
    assert serde.serialize(back) == data
    assert serde.content_type == "application/json"
    json.loads(data)
    assert serde_for(annotation) is serde


class Item(BaseModel):
    name: str


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (tuple[str, int], ["a", 1]),
        (tuple[str, ...], ["a", "b"]),
        (tuple[str, Any], ["a", {"b": [1]}]),
        (tuple[Item, Item], [Item(name="a"), Item(name="b")]),
    ],
)
def test_what_gather_gives_is_the_tuple_that_type_checkers_take_it_for(annotation: Any, value: Any) -> None:
    serde: Serde[Any] = serde_for(annotation)
    assert serde.deserialize(serde.serialize(value)) == tuple(value)


def test_a_list_for_a_tuple_is_checked_like_one() -> None:
    with pytest.raises(SerializeError, match=r"value\[1\] is of type tuple"):
        serde_for(tuple[str, Any]).serialize(["a", (1, 2)])
    with pytest.raises(SerializeError, match="a value of type dict"):
        serde_for(tuple[str, str] | None).serialize({"a": 1})


def test_who_reads_what() -> None:
    """Goal: pydantic is asked only where it is needed, or where the type was made for it."""
    assert {type(serde_for(annotation)) for annotation, _ in BY_MSGSPEC} == {JsonSerde}
    assert {type(serde_for(annotation)) for annotation, _ in BY_PYDANTIC} == {PydanticSerde}
    assert serde_for(None) is serde_for(type(None)) is NOTHING
    assert serde_for(bytes) is BYTES
    assert serde_for(Any) is serde_for(object) is JSON
    assert serde_for(Annotated[bytes, "as a note"]) is BYTES
    own: Serde[int] = JsonSerde(int)
    assert serde_for(own) is own
    assert serde_for(Annotated[str, "a note", own]) is own


def test_nothing_and_bytes() -> None:
    assert NOTHING.serialize(None) == b""
    assert NOTHING.deserialize(b"") is None
    assert NOTHING.deserialize(b"null") is None
    assert BYTES.deserialize(BYTES.serialize(b"\x00\xff")) == b"\x00\xff"
    assert BYTES.serialize(bytearray(b"a")) == b"a"  # type: ignore[arg-type]
    assert (NOTHING.content_type, BYTES.content_type) == (None, "application/octet-stream")


def test_an_absent_body_is_none_where_none_is_declared() -> None:
    for annotation in (str | None, Cat | None, Any):
        assert serde_for(annotation).deserialize(b"") is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(json_values)
def test_plain_json_data_needs_no_type(value: object) -> None:
    data = JSON.serialize(value)
    assert JSON.deserialize(data) == value
    assert json.loads(data) == value


users = st.builds(
    User,
    st.text("abä", max_size=4),
    st.none() | st.builds(Address, st.text("xy", max_size=3), st.integers()),
    st.frozensets(st.text("abc", max_size=3)),
)


@given(st.lists(users, max_size=3))
def test_declared_types_come_back(value: list[User]) -> None:
    serde = serde_for(list[User])
    assert serde.deserialize(serde.serialize(value)) == value


@given(st.dictionaries(st.text("abc", max_size=3), st.integers()), st.randoms())
def test_order_of_dicts_does_not_show(value: dict[str, int], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    for annotation in (dict[str, int], Any, dict[str, Any]):
        serde = serde_for(annotation)
        assert serde.serialize(value) == serde.serialize(OrderedDict(items)) == serde.serialize(dict(items))


def test_order_of_sets_does_not_depend_on_the_process() -> None:
    """Goal: a replay in another process writes the same bytes. Method: several hash seeds."""
    program = (
        "from datetime import datetime, UTC\n"
        "from pydantic import BaseModel\n"
        "from holdfast.sdk.serde import serde_for\n"
        "class M(BaseModel):\n"
        "    tags: set[str]\n"
        "    inner: list[set[int | str]] = []\n"
        "tags = {'tag%d' % i for i in range(40)}\n"
        "counts = dict.fromkeys(tags, 1)\n"
        "print(serde_for(set[str]).serialize(tags), serde_for(dict[str, set[str]]).serialize({'a': tags}))\n"
        "print(serde_for(dict[str, int]).serialize(counts))\n"
        "print(serde_for(M).serialize(M(tags=tags, inner=[tags])))\n"
    )
    written = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed},
            timeout=60,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(written) == 1


@pytest.mark.parametrize(("annotation", "value"), [*BY_MSGSPEC, *BY_PYDANTIC], ids=lambda x: str(x)[:40])
def test_schemas_hold_all_they_refer_to(annotation: Any, value: Any) -> None:
    schema = serde_for(annotation).schema()
    assert schema is not None
    defined = {f"#/$defs/{name}" for name in schema.get("$defs", {})}  # type: ignore[attr-defined]
    assert references(schema) <= defined


def references(node: object) -> set[str]:
    if isinstance(node, dict):
        found = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return found.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()
