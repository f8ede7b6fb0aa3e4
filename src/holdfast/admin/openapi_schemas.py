"""Handlers' JSON schemas as components of one OpenAPI document.

A schema refers to its own parts from its own root (`#/$defs/User`). Inside another document that root is
elsewhere, so each schema and each of its definitions becomes a component with a name of its own, and the
references follow.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from holdfast.admin.shapes import JsonObject
from holdfast.protocol.manifest_json import is_list, is_object

_DEFINITIONS = "$defs"
_AS_DATA = frozenset({"const", "enum", "default", "examples"})
"""Inside these a schema holds data, in which "$ref" is only text."""


class SchemaComponents:
    """Collects the components of a document."""

    def __init__(self) -> None:
        self.schemas: JsonObject = {}
        """By component name; goes under `components.schemas`."""

    def add(self, name: str, schema: object) -> JsonObject:
        """Make a schema a component.

        Args:
            name: unique in the document, such as `Greeter.greet.input`.
        Returns:
            The reference that stands for it.
        """
        if not is_object(schema):
            self.schemas[name] = schema
            return _reference(name)
        definitions = schema.get(_DEFINITIONS)
        known = definitions if is_object(definitions) else {}
        names = {f"#/{_DEFINITIONS}/{key}": f"{name}.{key}" for key in known} | {"#": name}
        self.schemas[name] = {
            key: _moved(key, value, names) for key, value in schema.items() if key != _DEFINITIONS
        }
        for key, definition in known.items():
            self.schemas[f"{name}.{key}"] = _moved(key, definition, names)
        return _reference(name)


def _reference(name: str) -> JsonObject:
    return {"$ref": f"#/components/schemas/{quote(name)}"}


def _moved(key: str, value: object, names: dict[str, str]) -> object:
    """The same with references to where their targets are now."""
    if key in _AS_DATA:
        return value
    if key == "$ref" and isinstance(value, str):
        root = next((r for r in (value, unquote(value)) if r in names), None)
        return value if root is None else _reference(names[root])["$ref"]
    if is_object(value):
        return {inner: _moved(inner, part, names) for inner, part in value.items()}
    if is_list(value):
        return [_moved("", part, names) for part in value]
    return value
