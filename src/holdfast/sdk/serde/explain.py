"""Why a value cannot be written: finds the part that is to blame, and says what to do about it.

Only reached once something failed, so it may take its time; but never for ever: values that contain
themselves end the search at a depth.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import TypeGuard

import msgspec

from holdfast.sdk.errors import SerializeError
from holdfast.sdk.serde.types import shown_type

DEPTH_MAX = 100
_ERRORS = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)

Encode = Callable[[object], bytes]


def wrong_type(value: object, annotation: object) -> SerializeError:
    """A value of a class that the annotation does not name."""
    return SerializeError(
        "value_not_of_type",
        f"a value of type {_class_of(value)} where {shown_type(annotation)} is declared; "
        "return that, or correct the annotation",
    )


def check_numbers(value: object) -> None:
    """Refuses NaN and infinities, which JSON does not have: msgspec writes null for them.

    Raises:
        SerializeError: says where it is.
    """
    stack = [("", value, 0)]
    while stack:
        path, part, depth = stack.pop()
        if isinstance(part, float) and not math.isfinite(part):
            raise odd_number(path, part)
        if depth < DEPTH_MAX:
            stack.extend((path + step, inner, depth + 1) for step, inner in _parts(part))


def odd_number(path: str, value: float) -> SerializeError:
    """NaN and infinities, which JSON does not have."""
    return SerializeError(
        "value_not_serialisable",
        f"{_at(path)} is {value!r}, which is no JSON number; use None or text for it",
    )


def unwritable_value(value: object, encode: Encode, error: Exception) -> SerializeError:
    """A value, or a part of one, that has no JSON form."""

    def fits(part: object) -> bool:
        try:
            encode(part)
        except _ERRORS:
            return False
        return True

    path, part, too_deep = _culprit(value, fits)
    if too_deep or isinstance(error, RecursionError):
        return SerializeError(
            "value_not_serialisable", f"the value is nested deeper than {DEPTH_MAX}, or contains itself"
        )
    if _is_mapping(part) and not _has_text_keys(part):
        return SerializeError(
            "undeclared_type",
            f"{_at(path)} is of type {_class_of(part)} and has keys that are not text. It "
            "is not declared: they would come back as text; annotate it, such as dict[int, str]",
        )
    return SerializeError(
        "value_not_serialisable",
        f"{_at(path)} is of type {_class_of(part)}, which has no JSON form ({error}); convert it, or "
        "annotate it with a Serde: Annotated[..., serde]",
    )


def changed_value(value: object, came_back: object) -> SerializeError:
    """A value of undeclared type that plain JSON would bring back as something else.

    Args:
        came_back: what its bytes decode to; not equal to `value`.
    """
    path = ""
    for _ in range(DEPTH_MAX):
        if type(value) is not type(came_back):
            break
        back = dict(_parts(came_back))
        changed = [
            (step, part) for step, part in _parts(value) if step in back and not _equal(part, back[step])
        ]
        if not changed:
            break
        step, value = changed[0]
        path, came_back = path + step, back[step]
    if isinstance(value, float):
        return odd_number(path, value)
    same = " with other content" if type(value) is type(came_back) else ""
    return SerializeError(
        "undeclared_type",
        f"{_at(path)} is of type {_class_of(value)}, which is not declared: it would come back as "
        f"{_class_of(came_back)}{same}; annotate it with its type",
    )


def _equal(one: object, other: object) -> bool:
    return bool(one == other)


def _culprit(value: object, fits: Callable[[object], bool]) -> tuple[str, object, bool]:
    """Path and value of the innermost part that does not fit; and whether the search ran out of depth."""
    path = ""
    for _ in range(DEPTH_MAX):
        for step, part in _parts(value):
            if not fits(part):
                path, value = path + step, part
                break
        else:
            return path, value, False
    return path, value, True


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if _is_mapping(value):
        for key, item in value.items():
            yield f"[{key!r}]", item
    elif _is_listed(value):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    elif _is_set(value):
        for item in value:
            yield "{...}", item
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield f".{name}", getattr(value, name)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield f".{field.name}", getattr(value, field.name)


def _is_mapping(value: object) -> TypeGuard[Mapping[object, object]]:
    return isinstance(value, Mapping)


def _is_listed(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def _is_set(value: object) -> TypeGuard[Set[object]]:
    return isinstance(value, set | frozenset)


def _has_text_keys(value: Mapping[object, object]) -> bool:
    return all(isinstance(key, str) for key in value)


def _at(path: str) -> str:
    return f"value{path}" if path else "the value"


def _class_of(value: object) -> str:
    return type(value).__qualname__
