"""What names mean inside a query: its tables, the columns they offer, and what is used of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.query.tables import Table
from holdfast.query.types import Type


@dataclass
class Reference:
    """One mention of a table: `name` in the query that is run, what is used of it, and how it is narrowed
    (None: not at all). `objects` are services, with `object_key` when that is known too."""

    name: str
    table: Table
    used: set[str] = field(default_factory=set)
    ids: frozenset[str] | None = None
    services: frozenset[str] | None = None
    object_key: str | None = None


@dataclass
class Source:
    """What a FROM item offers."""

    alias: str
    columns: dict[str, Type]
    reference: Reference | None = None


@dataclass
class Scope:
    """Names visible in one SELECT; `outer` is that of the query around it."""

    outer: Scope | None
    ctes: dict[str, dict[str, Type]]
    sources: list[Source] = field(default_factory=list)
    aliases: dict[str, Type] = field(default_factory=dict)

    def has(self, alias: str) -> bool:
        """Whether the alias names a source here or further out."""
        scope: Scope | None = self
        while scope is not None:
            if any(source.alias == alias for source in scope.sources):
                return True
            scope = scope.outer
        return False

    def column(self, alias: str, name: str) -> Type:
        """The column's type; marks it used. `alias` empty: wherever it is found first."""
        scope: Scope | None = self
        while scope is not None:
            found = [s for s in scope.sources if name in s.columns and alias in ("", s.alias)]
            for source in found:
                if source.reference is not None:
                    source.reference.used.add(name)
            if found:
                return found[0].columns[name]
            if not alias and name in scope.aliases:
                return scope.aliases[name]
            scope = scope.outer
        return Type.UNKNOWN
