"""Which serde an annotation means.

None                       no bytes
bytes                      as they are
Any, object                plain JSON data
Annotated[T, serde]        that serde
what msgspec knows         JSON by msgspec: str, int, containers, dataclasses, TypedDict, Structs, enums …
anything else              JSON by pydantic, when it is installed: its models, and unions that msgspec
                           cannot tell apart

The answer is kept by annotation; making one reads the whole type and its schema.
"""

from importlib.util import find_spec
from typing import Annotated, Any, Final, Never, NoReturn, TypeGuard, TypeVar, get_args, get_origin, overload

import msgspec

from holdfast.sdk.errors import UsageError
from holdfast.sdk.serde.api import Serde
from holdfast.sdk.serde.json_serde import JsonSerde
from holdfast.sdk.serde.plain import BYTES, JSON, NOTHING
from holdfast.sdk.serde.types import inside, shown_type, unknown_name

T = TypeVar("T")

SERDES_KEPT_MAX: Final = 4096
_kept: dict[object, Serde[Any]] = {}


@overload
def serde_for(annotation: type[T]) -> Serde[T]: ...
@overload
def serde_for(annotation: object) -> Serde[Any]: ...
def serde_for(annotation: object) -> Serde[Any]:
    """The serde for values of this type; a `Serde` is given back as it is.

    Raises:
        UsageError: "type_not_serialisable", no serde fits; "unknown_annotation", a class names another that
            is not defined, or not yet: asked again later, the answer may be another.
    """
    try:
        kept = _kept.get(annotation)
    except TypeError:  # unhashable metadata in Annotated
        return _choose(annotation)
    if kept is None:
        kept = _choose(annotation)
        if len(_kept) >= SERDES_KEPT_MAX:
            _kept.clear()
        _kept[annotation] = kept
    return kept


def _choose(annotation: object) -> Serde[Any]:
    if _is_serde(annotation):
        return annotation
    if get_origin(annotation) is Annotated:
        own = [item for item in get_args(annotation)[1:] if _is_serde(item)]
        if own:
            return own[-1]
        plain = get_args(annotation)[0]
        if plain in (None, type(None), bytes, Any, object):
            return _choose(plain)
    if annotation in (None, type(None), Never, NoReturn):
        return NOTHING
    if annotation is bytes:
        return BYTES
    if annotation is Any or annotation is object or isinstance(annotation, TypeVar):
        return JSON
    if _prefers_pydantic(annotation):
        return _by_pydantic(annotation, "")
    unknown: list[object] = []

    def unknown_type(item: type) -> dict[str, object]:
        if item is not object:
            unknown.append(item)
        return {"$comment": "any JSON value"}  # an empty schema would count as none

    try:
        schema = msgspec.json.schema(annotation, schema_hook=unknown_type)
        if not unknown:
            return JsonSerde(annotation, schema)
        reason = f"{shown_type(unknown[0])} is not a type msgspec knows"
    except NameError as error:
        raise unknown_name(annotation, error) from error
    except (TypeError, ValueError, RecursionError) as error:
        reason = str(error)
    return _by_pydantic(annotation, reason)


def _is_serde(value: object) -> TypeGuard[Serde[Any]]:
    return isinstance(value, Serde) and not isinstance(value, type)


def _prefers_pydantic(annotation: object) -> bool:
    """Whether something in it was made for pydantic, though msgspec would take it as well."""
    for item in inside(annotation):
        if isinstance(item, type) and hasattr(item, "__pydantic_core_schema__"):
            return True
        # Field(gt=0) and the like are metadata of Annotated.
        if type(item).__module__.partition(".")[0] in ("pydantic", "annotated_types"):
            return True
    return False


def _by_pydantic(annotation: object, reason: str) -> Serde[Any]:
    if find_spec("pydantic") is None:
        raise UsageError(
            "type_not_serialisable",
            f"{shown_type(annotation)} cannot be serialised: {reason}. Use a dataclass or a plain type, "
            "give a Serde (Annotated[..., serde]), or install holdfast[pydantic]",
        )
    from holdfast.sdk.serde.pydantic_serde import PydanticSerde

    return PydanticSerde(annotation, reason)
