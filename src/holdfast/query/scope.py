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
    used: set[str] = field(default_factory=set[str])
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
    sources: list[Source] = field(default_factory=list[Source])
    aliases: dict[str, Type] = field(default_factory=dict[str, Type])

    def has(self, alias: str) -> bool:
        """Whether the alias names a source here or further out."""
        scope: Scope | None = self
        while scope is not None:
            if any(source.alias == alias for source in scope.sources):
                return True
            scope = scope.outer
        return False

    def sources_of(self, alias: str, name: str) -> list[Source]:
        """The sources that have the column, in the nearest scope that has any; more than one is ambiguous.
        `alias` empty: whatever its source."""
        scope: Scope | None = self
        while scope is not None:
            found = [s for s in scope.sources if name in s.columns and alias in ("", s.alias)]
            if found or (not alias and name in scope.aliases):
                return found
            scope = scope.outer
        return []

    def column(self, alias: str, name: str) -> Type:
        """The column's type; marks it used. A name that is no column may be that of a result."""
        found = self.sources_of(alias, name)
        for source in found:
            if source.reference is not None:
                source.reference.used.add(name)
        if found:
            return found[0].columns[name]
        scope: Scope | None = None if alias else self
        while scope is not None:
            if name in scope.aliases:
                return scope.aliases[name]
            scope = scope.outer
        return Type.UNKNOWN
