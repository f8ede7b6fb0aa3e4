"""JSON by pydantic: models, and what msgspec cannot read. The only module that imports pydantic."""

from collections.abc import Sequence, Set
from typing import Any, TypeGuard, get_origin

import msgspec
from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from holdfast.protocol.manifest_json import is_list, is_object
from holdfast.sdk.errors import DeserializeError, SerializeError, UsageError
from holdfast.sdk.serde.types import accepts_none, shown_type, unknown_name

ERRORS_SHOWN_MAX = 5


class PydanticSerde:
    """JSON for one annotation that pydantic can read, in pydantic's own reading of it.

    Args:
        reason: why msgspec could not, for the error when pydantic cannot either.
    Raises:
        UsageError: "type_not_serialisable", or "unknown_annotation" while a class in it names another that is
            not defined yet.
    """

    __slots__ = ("_adapter", "_is_tuple", "_nullable", "_ordered", "annotation", "content_type")

    def __init__(self, annotation: Any, reason: str) -> None:
        self.annotation = annotation
        self.content_type: str | None = "application/json"
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(annotation)
            schema = self._adapter.json_schema(mode="serialization")
        except NameError as error:
            raise unknown_name(annotation, error) from error
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            if error.code == "class-not-fully-defined":
                raise unknown_name(annotation, error) from error
            because = reason or error.message.splitlines()[0]
            raise UsageError(
                "type_not_serialisable",
                f"{shown_type(annotation)} cannot be serialised: {because}. Use a dataclass, a model or "
                "another plain type, or give a Serde (Annotated[..., serde])",
            ) from error
        self._nullable = accepts_none(annotation)
        self._ordered = not _mentions_unordered(schema)
        self._is_tuple = get_origin(annotation) is tuple

    def serialize(self, value: Any, /) -> bytes:
        """The value as JSON, dicts and sets in order."""
        if self._is_tuple and value.__class__ is list:  # what asyncio.gather gives
            value = tuple(value)
        try:
            data = self._adapter.dump_json(value, by_alias=True, warnings="error")
            if self._ordered:
                return data
            plain = self._adapter.dump_python(value, mode="json", by_alias=True)
            live = self._adapter.dump_python(value, by_alias=True)
        except (PydanticSerializationError, TypeError, ValueError, RecursionError) as error:
            found = str(error).splitlines()
            raise SerializeError(
                "value_not_serialisable",
                f"a value of type {type(value).__qualname__} where {shown_type(self.annotation)} is "
                f"declared: {' '.join(line.strip() for line in found)[:500]}",
            ) from error
        return _ENCODE(_sorted_sets(plain, live))

    def deserialize(self, data: bytes, /) -> Any:
        """The value, validated."""
        if not data and self._nullable:
            return None
        try:
            return self._adapter.validate_json(data)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            shown = "; ".join(
                f"{problem['msg']} at {'.'.join(str(part) for part in problem['loc']) or 'the value'}"
                for problem in problems[:ERRORS_SHOWN_MAX]
            )
            if len(problems) > ERRORS_SHOWN_MAX:
                shown += f"; and {len(problems) - ERRORS_SHOWN_MAX} more"
            found = shown if data else "there are no bytes"
            raise DeserializeError(
                "not_decodable", f"expected {shown_type(self.annotation)}: {found}"
            ) from error

    def schema(self) -> dict[str, object] | None:
        """What pydantic says of the type as it is read."""
        return self._adapter.json_schema(by_alias=True)

    def __repr__(self) -> str:
        return f"PydanticSerde({shown_type(self.annotation)})"


_ENCODE = msgspec.json.Encoder(order="deterministic").encode


def _mentions_unordered(schema: object) -> bool:
    """Whether a JSON schema has sets or free dicts in it, whose order pydantic leaves to chance."""
    if is_object(schema):
        if schema.get("uniqueItems") or schema.get("additionalProperties") or not schema:
            return True
        return any(_mentions_unordered(item) for item in schema.values())
    return is_list(schema) and any(_mentions_unordered(item) for item in schema)


def _sorted_sets(plain: object, live: object) -> object:
    """`plain`, the JSON data of `live`, with what is a set there in the order of its JSON.

    Both were written by the same walk of pydantic, so they have the same shape and order.
    """
    if _is_set(live) and is_list(plain):
        return sorted(
            (_sorted_sets(item, original) for item, original in zip(plain, live, strict=True)), key=_ENCODE
        )
    if is_object(plain) and is_object(live):
        pairs = zip(plain.items(), live.values(), strict=True)
        return {key: _sorted_sets(item, original) for (key, item), original in pairs}
    if is_list(plain) and _is_listed(live) and len(plain) == len(live):
        return [_sorted_sets(item, original) for item, original in zip(plain, live, strict=True)]
    return plain


def _is_set(value: object) -> TypeGuard[Set[object]]:
    return isinstance(value, set | frozenset)


def _is_listed(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)
