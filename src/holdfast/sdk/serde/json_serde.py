"""JSON by msgspec: the serde of most types.

What msgspec leaves open is closed here. Its encoder knows nothing of the declared type, so a value of another
type would be written happily and come back as something else, or not at all, in a later attempt. Checking a
value whole against its type would cost more than writing it. So, by what the type promises:

declared types    the value's own class is looked at, its contents are trusted
undeclared data   (`Any`, `dict[str, object]`) is read back at once and compared: a dataclass comes back as a
                  dict, a set as a list, an int key as text, NaN as null, and none of them is equal

Both functions are closures, kept as attributes: a call costs one Python frame more than msgspec itself.
"""

from typing import Any, Protocol

import msgspec

from holdfast.sdk.errors import DeserializeError
from holdfast.sdk.serde.explain import changed_value, check_numbers, unwritable_value, wrong_type
from holdfast.sdk.serde.types import (
    accepted_classes,
    accepts_none,
    compares_equal,
    has_other_keys,
    holds_float,
    holds_undeclared,
    shown_type,
)

_UNWRITABLE = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)

# Dicts and sets in order of their keys: the order of a set differs between processes, and with it would the
# bytes that a replay compares. One encoder for all, since it does not depend on the type.
_ENCODE = msgspec.json.Encoder(order="deterministic").encode


def _encode_any_keys(value: object) -> bytes:
    """For dicts with keys other than text, which msgspec sorts only after they became text."""
    return _ENCODE(msgspec.to_builtins(value, str_keys=True, order="deterministic"))


class Writer(Protocol):
    """`Serde.serialize` as a function."""

    def __call__(self, value: Any, /) -> bytes: ...


class Reader(Protocol):
    """`Serde.deserialize` as a function."""

    def __call__(self, data: bytes, /) -> Any: ...


class JsonSerde:
    """JSON for one annotation that msgspec can read.

    Raises:
        TypeError: msgspec cannot read the annotation.
    """

    serialize: Writer
    deserialize: Reader

    def __init__(self, annotation: object, schema: dict[str, object] | None = None) -> None:
        self.content_type: str | None = "application/json"
        self.annotation = annotation
        self._schema: dict[str, object] = {} if schema is None else schema
        decode: Reader = msgspec.json.Decoder(_readable(annotation)).decode
        self.serialize = _writer(annotation, decode)
        self.deserialize = _reader(annotation, decode)

    def schema(self) -> dict[str, object] | None:
        """What msgspec says of the type; empty for `Any`."""
        return self._schema

    def __repr__(self) -> str:
        return f"JsonSerde({shown_type(self.annotation)})"


def _readable(annotation: object) -> Any:
    return Any if annotation is object else annotation


def _writer(annotation: object, decode: Reader) -> Writer:
    encode = _encode_any_keys if has_other_keys(annotation) else _ENCODE
    accepted = accepted_classes(annotation)
    no_bools = bool not in accepted and (int in accepted or float in accepted)
    floats = holds_float(annotation)
    classes = accepted[0] if len(accepted) == 1 else accepted

    # What the first and the last repeat is not shared: another function would cost every call a frame.
    def serialize(value: Any, /) -> bytes:
        if not isinstance(value, classes):
            raise wrong_type(value, annotation)
        try:
            return encode(value)
        except _UNWRITABLE as error:
            raise unwritable_value(value, encode, error) from error

    def serialize_number(value: Any, /) -> bytes:
        data = serialize(value)
        if no_bools and (data == b"true" or data == b"false"):
            raise wrong_type(value, annotation)  # a bool is an int to Python, and no number to JSON
        # Not `in`: that tries to read its operand as a number first, and takes twice as long.
        if floats and data.find(b"null") >= 0:
            check_numbers(value)
        return data

    def serialize_undeclared(value: Any, /) -> bytes:
        if not isinstance(value, classes):
            raise wrong_type(value, annotation)
        try:
            data = encode(value)
        except _UNWRITABLE as error:
            raise unwritable_value(value, encode, error) from error
        if type(value) is str or (came_back := decode(data)) == value:
            return data
        if value.__class__ is list and came_back.__class__ is tuple:  # `_classes_of` says why
            value = tuple(value)
            if came_back == value:
                return data
        raise changed_value(value, came_back)

    if holds_undeclared(annotation) and compares_equal(annotation):
        return serialize_undeclared
    return serialize_number if no_bools or floats else serialize


def _reader(annotation: object, decode: Reader) -> Reader:
    nullable = accepts_none(annotation)

    def deserialize(data: bytes, /) -> Any:
        try:
            return decode(data)
        except _UNREADABLE as error:
            if nullable and not data:
                return None
            found = str(error) if data else "there are no bytes"
            raise DeserializeError("not_decodable", f"expected {shown_type(annotation)}: {found}") from error

    return deserialize
