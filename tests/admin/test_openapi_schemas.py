"""Schemas inside a service's OpenAPI document: every reference leads somewhere."""

from __future__ import annotations

from holdfast.admin.openapi_schemas import SchemaComponents


def test_references_follow_their_definitions() -> None:
    """Goal: a schema with parts of its own stays whole. Method: two handlers whose parts have one name."""
    components = SchemaComponents()
    tree = {
        "$ref": "#/$defs/Node",
        "$defs": {
            "Node": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}]}}},
        },
    }
    assert components.add("S.a.input", tree) == {"$ref": "#/components/schemas/S.a.input"}
    components.add("S.b.input", {"items": {"$ref": "#"}, "$defs": {"Node": {"type": "null"}}})
    assert components.schemas == {
        "S.a.input": {"$ref": "#/components/schemas/S.a.input.Node"},
        "S.a.input.Node": {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#/components/schemas/S.a.input.Node"}]}},
        },
        "S.b.input": {"items": {"$ref": "#/components/schemas/S.b.input"}},
        "S.b.input.Node": {"type": "null"},
    }


def test_data_is_left_alone() -> None:
    components = SchemaComponents()
    components.add("x", {"const": {"$ref": "#/$defs/a"}, "$defs": {"a": True}})
    assert components.schemas["x"] == {"const": {"$ref": "#/$defs/a"}}
    assert components.add("y", True) == {"$ref": "#/components/schemas/y"}
