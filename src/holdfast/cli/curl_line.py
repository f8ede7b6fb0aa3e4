"""A line to paste into a terminal, made of a real handler: what `holdfast dev` prints to try first.

The input is an example of the handler's own JSON schema, and is checked by reading it back as the handler
would. Handlers that anybody may call come before private ones, those whose example fits before others.
"""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast

from holdfast.sdk.handlers import Handler, ServiceDefinition
from holdfast.sdk.serde import NO_INPUT

KEY = "my-key"
_DEPTH_MAX = 8

Schema: TypeAlias = Mapping[str, object]
AnyHandler: TypeAlias = Handler[Any, Any]

_FORMATS = {
    "date-time": "2030-01-31T12:00:00Z",
    "date": "2030-01-31",
    "time": "12:00:00Z",
    "duration": "PT1M",
    "uuid": "6f1c7a52-9d0b-4c0e-8f6e-3a7f5a1b2c3d",
    "email": "ada@example.com",
    "uri": "https://example.com",
    "base64": "",
    "decimal": "1.50",
}
_TEXTS = (None, _FORMATS["date-time"], "12:00:00")
"""Tried for texts without a format, one after the other: instants that may lack a zone are such texts."""


def curl_arguments(services: Iterable[ServiceDefinition]) -> tuple[str, str] | None:
    """What follows the address: (path, further arguments); None when there is no handler at all."""
    handlers = [handler for service in services for handler in service.handlers.values()]
    handlers.sort(key=_private)  # stable: else in the order of definition
    for handler in handlers:
        if (arguments := _arguments(handler)) is not None:
            return _path(handler), arguments
    return (_path(handlers[0]), "--json '{}'") if handlers else None


def _private(handler: AnyHandler) -> bool:
    said = handler.options.private
    return bool(handler.service.options.private if said is None else said)


def _path(handler: AnyHandler) -> str:
    key = f"/{KEY}" if handler.keyed else ""
    return f"{handler.service.name}{key}/{handler.name}"


def _arguments(handler: AnyHandler) -> str | None:
    """None when no example fits."""
    content_type = handler.input.content_type
    if handler.input is NO_INPUT or content_type is None:
        return "-X POST"
    if content_type != "application/json":
        shown = f"--data-binary hello -H {shlex.quote(f'content-type: {content_type}')}"
        return shown if _fits(handler, "hello") else None
    schema = handler.input.schema()
    for text in _TEXTS:
        example: object = {} if schema is None else sample(schema, schema, _input_name(handler), text)
        data = json.dumps(example, ensure_ascii=False)
        if _fits(handler, data):
            return f"--json {shlex.quote(data)}"
    return None


def _fits(handler: AnyHandler, data: str) -> bool:
    try:
        handler.input.deserialize(data.encode())
    except Exception:  # a serde of the user's own may raise anything
        return False
    return True


def _input_name(handler: AnyHandler) -> str:
    parameters = list(inspect.signature(handler.function).parameters)
    return parameters[-1] if parameters else ""


def sample(schema: object, whole: Schema, name: str = "", text: str | None = None, depth: int = 0) -> object:
    """A value that fits a JSON schema, as far as a simple reading of it goes.

    Args:
        whole: the schema that references in `schema` are looked up in.
        name: of the field or parameter; texts are called after it.
        text: instead of that, for all texts.
    """
    if not isinstance(schema, Mapping) or depth > _DEPTH_MAX:
        return None
    fields = cast("Schema", schema)
    if isinstance(reference := fields.get("$ref"), str):
        return sample(_referred(whole, reference), whole, name, text, depth + 1)
    for given in ("examples", "enum"):
        if (values := _items(fields.get(given))) != []:
            return values[0]
    for given in ("const", "default"):
        if given in fields:
            return fields[given]
    for choice in ("anyOf", "oneOf", "allOf"):
        if (options := _items(fields.get(choice))) != []:
            fitting = [option for option in options if _type(option) != "null"]
            return sample((fitting or options)[0], whole, name, text, depth + 1)
    return _of_type(fields, whole, name, text, depth)


def _of_type(fields: Schema, whole: Schema, name: str, text: str | None, depth: int) -> object:
    match _type(fields):
        case "string":
            named = "Ada" if name in ("name", "user", "who") else name or "text"
            return _FORMATS.get(str(fields.get("format", fields.get("contentEncoding"))), text or named)
        case "integer" | "number" as kind:
            least = fields.get("minimum")
            above = fields.get("exclusiveMinimum")
            number = above + 1 if isinstance(above, int | float) else least
            default = 1 if kind == "integer" else 1.5
            return number if isinstance(number, int | float) and number > default else default
        case "boolean":
            return True
        case "array":
            first = [*_items(fields.get("prefixItems")), *_items([fields.get("items", True)])]
            inner = name.removesuffix("s")
            return [
                made for item in first if (made := sample(item, whole, inner, text, depth + 1)) is not None
            ]
        case "object":
            properties = cast("Schema", fields.get("properties") or {})
            wanted = _items(fields.get("required")) or list(properties)
            return {
                str(key): sample(properties.get(str(key)), whole, str(key), text, depth + 1) for key in wanted
            }
        case _:
            return None


def _type(schema: object) -> str:
    if not isinstance(schema, Mapping):
        return ""
    said = cast("Schema", schema).get("type")
    if isinstance(said, list):
        return next((str(one) for one in cast("list[object]", said) if one != "null"), "null")
    return str(said)


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _referred(whole: Schema, reference: str) -> object:
    found: object = whole
    for part in reference.removeprefix("#").strip("/").split("/"):
        found = _fields(found).get(part.replace("~1", "/").replace("~0", "~"))
    return found


def _fields(value: object) -> Schema:
    return cast("Schema", value) if isinstance(value, Mapping) else {}
