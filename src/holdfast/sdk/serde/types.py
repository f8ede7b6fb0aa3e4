"""What can be told of a type annotation without a value: what is in it, and which classes its values have."""

import dataclasses
import types
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import (
    Annotated,
    Any,
    Literal,
    NewType,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import msgspec

from holdfast.sdk.errors import UsageError

UNKNOWN_ANNOTATION = "unknown_annotation"
"""Code of errors that may be gone later: a name in an annotation is not defined, or not yet."""

_ANYTHING = (object,)

_CONTAINERS: tuple[object, ...] = (dict, list, tuple, set, frozenset)
"""Without arguments, they hold anything."""


def inside(annotation: object) -> Iterator[object]:
    """The annotation and everything it is made of, fields of classes included; each once."""
    seen: list[object] = []
    stack: list[object] = [annotation]
    while stack:
        item = stack.pop()
        if any(item is other for other in seen):
            continue
        seen.append(item)
        yield item
        if isinstance(item, NewType):
            stack.append(item.__supertype__)
        elif get_origin(item) is Literal:
            continue
        elif (origin := get_origin(item)) is not None:
            stack.extend(get_args(item) or [Any])
            if isinstance(origin, type) and origin not in _CONTAINERS:
                stack.append(origin)
        elif isinstance(item, type):
            stack.extend(_field_types(item))


def _field_types(cls: type[Any]) -> list[object]:
    named: bool = hasattr(cls, "_fields") and tuple in cls.__mro__
    if not (named or dataclasses.is_dataclass(cls) or is_typeddict(cls) or issubclass(cls, msgspec.Struct)):
        return []
    try:
        return list(get_type_hints(cls, include_extras=True).values())
    except (NameError, TypeError):
        # A name that only type checkers see: msgspec says so itself when it reads the class.
        return []


def holds_undeclared(annotation: object) -> bool:
    """Whether some part of its values may be anything: `Any`, `object`, a bare `dict` or `list`."""
    return any(
        item is Any or item is object or item in _CONTAINERS or isinstance(item, TypeVar)
        for item in inside(annotation)
    )


def holds_float(annotation: object) -> bool:
    """Whether some part of its values may be a declared float."""
    return any(item is float for item in inside(annotation))


def has_other_keys(annotation: object) -> bool:
    """Whether it declares a dict whose keys are not plain text, such as `dict[int, str]`."""
    for item in inside(annotation):
        origin = get_origin(item)
        if isinstance(origin, type) and issubclass(origin, Mapping) and get_args(item)[:1] != (str,):
            return True
    return False


def compares_equal(annotation: object) -> bool:
    """Whether equal values of this type are `==`: no class in it compares by identity."""
    return not any(
        isinstance(item, type) and bool(_field_types(item)) and not _defines_equality(item)
        for item in inside(annotation)
    )


def _defines_equality(cls: type[Any]) -> bool:
    return any("__eq__" in base.__dict__ for base in cls.__mro__[:-1])


def accepts_none(annotation: object) -> bool:
    """Whether None is a value of this type."""
    if annotation is Any or annotation is object:
        return True
    return type(None) in _union_members(annotation)


def _union_members(annotation: object) -> tuple[object, ...]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _union_members(get_args(annotation)[0])
    if origin is Union or origin is types.UnionType:
        return tuple(inner for item in get_args(annotation) for inner in _union_members(item))
    return (type(None) if annotation is None else annotation,)


def accepted_classes(annotation: object) -> tuple[type, ...]:
    """For `isinstance`: the classes that values of this type have; `object` where nothing can be said."""
    found: list[type] = []
    for member in _union_members(annotation):
        classes = _classes_of(member)
        if classes is None:
            return _ANYTHING
        found += [cls for cls in classes if cls not in found]
    return tuple(found)


def _classes_of(member: object) -> tuple[type, ...] | None:
    if isinstance(member, NewType):
        return accepted_classes(member.__supertype__)
    if get_origin(member) is Literal:
        values: tuple[object, ...] = get_args(member)
        return tuple([value.__class__ for value in values])
    cls = member if isinstance(member, type) and get_origin(member) is None else get_origin(member)
    if not isinstance(cls, type):
        return None
    if cls is float:
        return (float, int)
    if is_typeddict(cls):
        return (dict,)
    if cls is tuple:
        # What asyncio.gather gives is a list, and a tuple to type checkers. Read back, it is the tuple.
        return (tuple, list)
    return (cls,)


def shown_type(annotation: object) -> str:
    """An annotation as it was written, nearly."""
    if annotation is object or annotation is Any:
        return "plain JSON data"
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, type) and get_origin(annotation) is None:
        if issubclass(annotation, Enum):
            return f"{annotation.__qualname__} (one of {', '.join(repr(m.value) for m in annotation)[:200]})"
        return annotation.__qualname__
    return str(annotation).replace("typing.", "")


def unknown_name(annotation: object, error: Exception) -> UsageError:
    """An error for a class whose fields name what is not defined (yet)."""
    name = getattr(error, "name", None)
    named = f"{name!r}" if name else "a type"
    return UsageError(
        UNKNOWN_ANNOTATION,
        f"{shown_type(annotation)} names {named} that is not defined there; define it at module level, and "
        "import it for real, not only under TYPE_CHECKING",
    )
