"""What does not fit its declared type is refused when it is written or read; the error says which part."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from holdfast.sdk.errors import DeserializeError, SerializeError, UsageError
from holdfast.sdk.serde import BYTES, JSON, NOTHING, serde_for


@dataclass
class Order:
    number: int
    extra: object = None


@dataclass
class Parcel:
    order: Order
    notes: dict[str, Any]


class Strict(msgspec.Struct):
    name: str


class Model(BaseModel):
    name: str
    count: int = 0


class Name(StrEnum):
    ADA = "Ada"


class Unknown:
    pass


class Quiet:
    __eq__ = object.__eq__


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        (Order(1), "undeclared_type", "the value is of type Order, which is not declared"),
        ({"a": [0, Order(1)]}, "undeclared_type", "value['a'][1] is of type Order"),
        ((1, 2), "undeclared_type", "it would come back as list"),
        ({"a": {1, 2}}, "undeclared_type", "value['a'] is of type set"),
        ({1: "a"}, "undeclared_type", "annotate it, such as dict[int, str]"),
        ([datetime(2026, 1, 1)], "undeclared_type", "value[0] is of type datetime"),  # noqa: DTZ001
        (UUID(int=1), "undeclared_type", "come back as str"),
        (Decimal("1.1"), "undeclared_type", "come back as str"),
        (b"x", "undeclared_type", "come back as str"),
        (Strict("a"), "undeclared_type", "annotate it with its type"),
        (float("nan"), "value_not_serialisable", "the value is nan, which is no JSON number"),
        ([1.0, float("inf")], "value_not_serialisable", "value[1] is inf, which is no JSON number"),
        (Unknown(), "value_not_serialisable", "the value is of type Unknown, which has no JSON form"),
        ({"a": [Unknown()]}, "value_not_serialisable", "value['a'][0] is of type Unknown"),
        (Model(name="a"), "value_not_serialisable", "of type Model"),
        ("\ud800", "value_not_serialisable", ""),
        (LOOP, "value_not_serialisable", "contains itself"),
    ],
)
def test_undeclared_values_that_would_change(value: object, code: str, words: str) -> None:
    with pytest.raises(SerializeError) as refused:
        JSON.serialize(value)
    assert refused.value.code == code
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (str, 5, "a value of type int where str is declared"),
        (int, "5", "where int is declared"),
        (int, True, "a value of type bool where int is declared"),
        (float | None, False, "a value of type bool where float | None is declared"),
        (Order, {"number": 1}, "a value of type dict where Order is declared"),
        (list[int], (1, 2), "where list[int] is declared"),
        (str | None, 5, "where str | None is declared"),
        (Order, None, "where Order is declared"),
        (float, float("nan"), "the value is nan, which is no JSON number"),
        (list[float | None], [None, float("-inf")], "value[1] is -inf"),
        (dict[str, dict], {"a": {"b": (1, 2)}}, "value['a']['b'] is of type tuple"),
        (dict[str, object], {"a": Order(1)}, "value['a'] is of type Order"),
        (dict[str, Any], {"a": Order(1)}, "value['a'] is of type Order"),
        (list, [(1, 2)], "value[0] is of type tuple"),
        (list[Order], [Order(1, Unknown())], "value[0].extra is of type Unknown"),
        (Order, Order(1, Order(2)), "value.extra is of type Order"),
        (Parcel, Parcel(Order(1), {"a": (1,)}), "value.notes['a'] is of type tuple"),
        (None, "text", "where None is declared"),
        (bytes, "text", "where bytes are declared"),
        (Model, {"name": "a"}, "where Model is declared"),
        (Model, Model.model_construct(name="a", count="many"), "where Model is declared"),
        (Name, "Bob", "where Name"),
    ],
)
def test_values_of_another_type(annotation: object, value: object, words: str) -> None:
    with pytest.raises(SerializeError) as refused:
        serde_for(annotation).serialize(value)
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("annotation", "data", "words"),
    [
        (str, b"5", "expected str: Expected `str`, got `int`"),
        (Order, b'{"number":"1"}', "expected Order: Expected `int`, got `str` - at `$.number`"),
        (Order, b"", "expected Order: there are no bytes"),
        (Order, b"{", "expected Order"),
        (Name, b'"Bob"', "'Ada'"),
        (Any, b"\xff", "expected plain JSON data"),
        (Any, b"[" * 10_000, "expected plain JSON data"),
        (None, b"{}", "nothing is expected"),
        (Model, b'{"count":"x"}', "Field required at name; Input should be a valid integer"),
        (Model, b"", "expected Model: there are no bytes"),
    ],
)
def test_bytes_that_are_something_else(annotation: object, data: bytes, words: str) -> None:
    with pytest.raises(DeserializeError) as refused:
        serde_for(annotation).deserialize(data)
    assert words in refused.value.message
    assert refused.value.code == "not_decodable"


@given(st.binary(max_size=40))
def test_no_bytes_break_a_reader(data: bytes) -> None:
    """Goal: whatever a caller sends gives a value or a DeserializeError."""
    for serde in (JSON, NOTHING, BYTES, serde_for(Order), serde_for(Model), serde_for(dict[int, str])):
        with suppress(DeserializeError):
            serde.deserialize(data)


@pytest.mark.parametrize("annotation", [Unknown, list[Unknown], range, Order | Strict | Unknown])
def test_types_nobody_can_write(annotation: object) -> None:
    with pytest.raises(UsageError, match="type_not_serialisable") as refused:
        serde_for(annotation)
    assert "give a Serde" in refused.value.message


def test_without_pydantic_the_advice_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.sdk.serde.choose.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"install holdfast\[pydantic\]"):
        serde_for(Order | Strict)
