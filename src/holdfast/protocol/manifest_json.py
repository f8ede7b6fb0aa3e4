"""Reading JSON objects strictly, with errors that say where: `services[2].handlers[0].ty is 7; expected
text`.

A `JsonObject` is one object of the manifest and its path. Each getter answers None for absent and null,
checks the JSON type, and raises `ManifestError` META0013 naming the field.
"""

import json
import math
from collections.abc import Iterator
from enum import StrEnum
from typing import Final, TypeGuard, TypeVar

from holdfast.protocol.errors import ManifestError

MANIFEST_BYTES_MAX: Final = 16 * 1024 * 1024
_DURATION_MS_MAX = 2**63 - 1

Choice = TypeVar("Choice", bound=StrEnum)

# Inside these a schema holds data, not schemas, so "$ref" there is only text.
_SCHEMA_DATA = frozenset({"const", "enum", "default", "examples"})


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Whether a value out of `json.loads` is an object; its keys are always text."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Whether a value out of `json.loads` is a list."""
    return isinstance(value, list)


class JsonObject:
    """One JSON object and where it stands, such as `services[0].handlers[1]`."""

    __slots__ = ("_path", "_values")

    def __init__(self, values: dict[str, object], path: str) -> None:
        self._values = values
        self._path = path

    def error(self, field: str, problem: str) -> ManifestError:
        """An error about a field, to be raised: META0013, `{path}.{field} {problem}`."""
        return ManifestError("META0013", f"discovery manifest: {self._path}{field} {problem}")

    def get(self, field: str) -> object:
        """The value as JSON has it; None when absent or null."""
        return self._values.get(field)

    def text(self, field: str) -> str | None:
        """A string."""
        value = self.get(field)
        if value is None or isinstance(value, str):
            return value
        raise self.error(field, f"is {_shown(value)}; expected text")

    def required_text(self, field: str) -> str:
        """A string that must be there."""
        value = self.text(field)
        if value is None:
            raise self.error(field, "is missing; expected text")
        return value

    def flag(self, field: str) -> bool | None:
        """A boolean."""
        value = self.get(field)
        if value is None or isinstance(value, bool):
            return value
        raise self.error(field, f"is {_shown(value)}; expected true or false")

    def integer(self, field: str, low: int, high: int) -> int | None:
        """A whole number within bounds, both included."""
        value = self.get(field)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise self.error(field, f"is {_shown(value)}; expected a whole number from {low} to {high}")

    def required_integer(self, field: str, low: int, high: int) -> int:
        """A whole number that must be there."""
        value = self.integer(field, low, high)
        if value is None:
            raise self.error(field, f"is missing; expected a whole number from {low} to {high}")
        return value

    def duration(self, field: str) -> int | None:
        """Milliseconds."""
        return self.integer(field, 0, _DURATION_MS_MAX)

    def number(self, field: str) -> float | None:
        """A positive finite number."""
        value = self.get(field)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if math.isfinite(number) and number > 0:
                return number
        raise self.error(field, f"is {_shown(value)}; expected a positive number")

    def choice(self, field: str, choices: type[Choice]) -> Choice | None:
        """One of the names of an enum."""
        value = self.text(field)
        if value is None:
            return None
        for choice in choices:
            if value == choice.value:
                return choice
        raise self.error(field, f"is {_shown(value)}; expected one of {', '.join(choices)}")

    def text_map(self, field: str) -> tuple[tuple[str, str], ...]:
        """An object whose values are strings, as pairs in its order; null values are left out."""
        inner = self.object(field)
        if inner is None:
            return ()
        pairs = [(key, inner.text(key)) for key in inner._values]
        return tuple([(key, value) for key, value in pairs if value is not None])

    def object(self, field: str) -> "JsonObject | None":
        """A nested object."""
        value = self.get(field)
        if value is None:
            return None
        if is_object(value):
            return JsonObject(value, f"{self._path}{field}.")
        raise self.error(field, f"is {_shown(value)}; expected an object")

    def objects(self, field: str) -> "list[JsonObject]":
        """A list of objects that must be there."""
        value = self.get(field)
        if not is_list(value):
            raise self.error(field, f"is {_shown(value)}; expected a list")
        found: list[JsonObject] = []
        for index, item in enumerate(value):
            if not is_object(item):
                raise self.error(f"{field}[{index}]", f"is {_shown(item)}; expected an object")
            found.append(JsonObject(item, f"{self._path}{field}[{index}]."))
        return found


def read_object(body: bytes) -> JsonObject:
    """The JSON object a body holds.

    Raises:
        ManifestError: META0013 not JSON (NaN and infinities are not), not an object, too large, nested too
        deep.
    """
    if len(body) > MANIFEST_BYTES_MAX:
        raise ManifestError(
            "META0013", f"discovery manifest has {len(body)} bytes, more than {MANIFEST_BYTES_MAX}"
        )
    try:
        value: object = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ManifestError("META0013", f"discovery manifest is not JSON: {str(error)[:200]}") from None
    if not is_object(value):
        raise ManifestError("META0013", f"discovery manifest is {_shown(value)}; expected an object")
    return JsonObject(value, "")


def check_schema(item: JsonObject, field: str) -> object:
    """A JSON schema as it is, None when absent; it is shown to callers, never enforced.

    Raises:
        ManifestError: META0013 not a schema at all, or one that points outside itself, which no reader could
        follow.
    """
    schema = item.get(field)
    if schema is None or isinstance(schema, bool):
        return schema
    if not is_object(schema):
        raise item.error(field, f"is {_shown(schema)}; expected a JSON schema")
    nodes = list(_schema_nodes(schema))
    inside = {node["$id"] for node in nodes if isinstance(node.get("$id"), str)}
    for node in nodes:
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.partition("#")[0] not in inside | {""}:
            raise item.error(field, f"refers to {reference[:200]!r}; a schema must hold all it refers to")
    return schema


def _schema_nodes(schema: dict[str, object]) -> Iterator[dict[str, object]]:
    stack: list[object] = [schema]
    while stack:
        node = stack.pop()
        if is_object(node):
            yield node
            stack.extend(value for key, value in node.items() if key not in _SCHEMA_DATA)
        elif is_list(node):
            stack.extend(node)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON value")


def _shown(value: object) -> str:
    """A wrong value for an error message, cut short."""
    if value is None:
        return "missing"
    if is_object(value) or is_list(value):
        return "an object" if is_object(value) else "a list"
    shown = repr(value) if not isinstance(value, int) or abs(value) < 10**40 else "a huge number"
    return shown[:200]
