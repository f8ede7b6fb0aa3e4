"""What a query means: which tables and columns it names, and of which type each result is.

One walk over the parsed query does three jobs, because each needs what the others find:

- names: every table becomes a *reference* with its own generated name, `*` is written out, and a qualifier
nobody
  knows is dropped (the official command line writes `inv.x` outside the subquery that named `inv`, and the
  engine it was written for takes that);
- use: each reference learns which of its columns are mentioned, and which ids or objects it is narrowed to,
so that
  only those are read and computed;
- types: instants are numbers inside SQLite, so whoever compares one with a text has to be told (`dialect`).
"""

from __future__ import annotations

from sqlglot import exp

from holdfast.query.dialect import Dialect, order_by_raw_ids, raw_id
from holdfast.query.errors import QueryError
from holdfast.query.scope import Reference, Scope, Source
from holdfast.query.tables import INFORMATION_SCHEMA, TABLES, Key
from holdfast.query.types import Type

DEPTH_MAX = 60
"""Nested queries; expressions are bounded by SQLite and by the parser."""

Output = tuple[str, Type]


class Resolver:
    """Rewrites one query in place. `references` is filled as it goes."""

    def __init__(self, now_ms: int) -> None:
        self.references: list[Reference] = []
        self._dialect = Dialect(now_ms, self._subquery)
        self._mentioned: frozenset[str] | None = None
        self._depth = 0

    def resolve(self, query: exp.Query) -> list[Output]:
        """Names and types of the query's columns, in order.

        Raises:
            QueryError: 500 a table does not exist, or a feature is not supported.
        """
        for identifier in query.find_all(exp.Identifier):
            if not identifier.quoted:
                identifier.set("this", identifier.name.lower())
        if not any(_has_star(select) for select in _arms(query)):
            # Without `*` in the answer, inner ones need to give only what somebody names.
            self._mentioned = frozenset(column.name for column in query.find_all(exp.Column))
        outputs = self._query(query, None, {})
        if not isinstance(query, exp.Select):
            return outputs
        return [_leave_raw(query, n, output) for n, output in enumerate(outputs)]

    # ------------------------------------------------------------ queries

    def _query(self, query: exp.Expr, outer: Scope | None, ctes: dict[str, dict[str, Type]]) -> list[Output]:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise QueryError(400, f"the query is nested more than {DEPTH_MAX} levels deep")
        try:
            ctes = self._with(query, outer, ctes)
            if isinstance(query, exp.Subquery):
                return self._query(query.this, outer, ctes)
            if isinstance(query, exp.SetOperation):
                left = self._query(query.this, outer, ctes)
                right = self._query(query.expression, outer, ctes)
                left = [
                    (n, r if t is Type.UNKNOWN else t) for (n, t), (_, r) in zip(left, right, strict=False)
                ]
                scope = Scope(outer, ctes, aliases=dict(left))
                self._clauses(query, scope, "order", "limit", "offset")
                return left
            if isinstance(query, exp.Select):
                return self._select(query, outer, ctes)
            raise QueryError(500, f"{query.key.upper()} is not supported here; write a SELECT")
        finally:
            self._depth -= 1

    def _subquery(self, query: exp.Expr, scope: Scope) -> Type:
        """A query inside an expression: the type of its only column."""
        outputs = self._query(query, scope, scope.ctes)
        return outputs[0][1] if outputs else Type.UNKNOWN

    def _with(
        self, query: exp.Expr, outer: Scope | None, ctes: dict[str, dict[str, Type]]
    ) -> dict[str, dict[str, Type]]:
        with_ = query.args.get("with_")
        if with_ is None:
            return ctes
        ctes = dict(ctes)
        for cte in with_.expressions:
            name, body = cte.alias, cte.this
            named = [column.name for column in cte.args["alias"].args.get("columns") or ()]
            if isinstance(body, exp.SetOperation) and with_.args.get("recursive"):
                ctes[name] = dict.fromkeys(named or _projected_names(body), Type.UNKNOWN)
            outputs = self._query(body, outer, ctes)
            types = [type_ for _, type_ in outputs]
            ctes[name] = dict(zip(named, types, strict=False)) if named else dict(outputs)
        return ctes

    def _select(
        self, select: exp.Select, outer: Scope | None, ctes: dict[str, dict[str, Type]]
    ) -> list[Output]:
        scope = Scope(outer, ctes)
        from_ = select.args.get("from_")
        joins: list[exp.Join] = select.args.get("joins") or []
        for item in ([from_] if from_ is not None else []) + joins:
            self._source(item.this, scope)
        for join in joins:
            if join.args.get("method"):
                raise QueryError(
                    500, f"{join.text('method')} JOIN is not supported; write the condition after ON"
                )
            on = join.args.get("on")
            if on is not None:
                self._dialect.visit(on, scope)
            for column in join.args.get("using") or ():
                scope.column("", column.name)
        where = select.args.get("where")
        if where is not None:
            _narrow(where.this, scope)
            self._dialect.visit(where.this, scope)
        self._expand_stars(select, scope)
        outputs: list[Output] = []
        for projection in list(select.expressions):
            name = _output_name(projection)
            outputs.append((name, self._dialect.visit(projection, scope)))
        scope.aliases = {name: type_ for name, type_ in outputs if name}
        self._clauses(
            select, scope, "distinct", "group", "having", "windows", "qualify", "order", "limit", "offset"
        )
        order = select.args.get("order")
        if order is not None and not select.args.get("group") and not select.args.get("distinct"):
            order_by_raw_ids(order)
        select.set("locks", None)
        return outputs

    def _clauses(self, query: exp.Expr, scope: Scope, *names: str) -> None:
        for name in names:
            clause: exp.Expr | list[exp.Expr | None] | None = query.args.get(name)
            parts = clause if isinstance(clause, list) else [clause]
            for part in parts:
                if part is not None:
                    self._dialect.visit(part, scope)

    # ------------------------------------------------------------ FROM

    def _source(self, item: exp.Expr, scope: Scope) -> None:
        for join in item.args.get("joins") or ():
            self._source(join.this, scope)
        if isinstance(item, exp.Table) and isinstance(item.this, exp.Identifier):
            scope.sources.append(self._table(item, scope))
        elif isinstance(item, exp.Subquery) and isinstance(item.this, exp.Table):
            self._source(item.this, scope)
        elif isinstance(item, exp.Subquery):
            outputs = self._query(item.this, scope.outer, self._with(item, scope.outer, scope.ctes))
            names = [column.name for column in _alias_columns(item)]
            if names:
                outputs = [(name, type_) for name, (_, type_) in zip(names, outputs, strict=False)]
            scope.sources.append(Source(item.alias, dict(outputs)))
        elif isinstance(item, exp.Values):
            names = [column.name for column in _alias_columns(item)]
            if names:
                raise QueryError(
                    500, "column names after VALUES are not supported; use WITH name(columns) AS"
                )
            scope.sources.append(Source(item.alias, {}))
        else:
            raise QueryError(500, f"{item.key.upper()} in FROM is not supported; use tables and subqueries")

    def _table(self, table: exp.Table, scope: Scope) -> Source:
        name, schema = table.name, table.db
        alias = table.alias or name
        if not schema and name in scope.ctes:
            return Source(alias, scope.ctes[name])
        tables = {"": TABLES, "public": TABLES, "information_schema": INFORMATION_SCHEMA}.get(schema, {})
        found = tables.get(name)
        if found is None or table.catalog not in ("", "restate"):
            full = f"{table.catalog or 'restate'}.{schema or 'public'}.{name}"
            raise QueryError(500, f"Error during planning: table '{full}' not found")
        reference = Reference(f"__{len(self.references)}_{name}", found)
        self.references.append(reference)
        table.set("this", exp.to_identifier(reference.name, quoted=True))
        table.set("db", None)
        table.set("catalog", None)
        table.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
        return Source(alias, {column: c.type for column, c in found.columns.items()}, reference)

    # ------------------------------------------------------------ stars

    def _expand_stars(self, select: exp.Select, scope: Scope) -> None:
        """Write `*` and `t.*` out, as far as anybody looks."""
        if not _has_star(select):
            return
        mentioned = self._mentioned if _may_prune(select) else None
        projections: list[exp.Expr] = []
        for projection in select.expressions:
            if not projection.is_star or isinstance(projection, exp.Count):
                projections.append(projection)
                continue
            qualifier = projection.table if isinstance(projection, exp.Column) else ""
            star = projection.this if isinstance(projection, exp.Column) else projection
            except_ = {column.name for column in star.args.get("except_") or ()}
            for source in scope.sources:
                if qualifier not in ("", source.alias):
                    continue
                if not source.columns:
                    raise QueryError(500, "cannot expand * over unnamed columns; name them with WITH")
                projections += [
                    exp.column(name, table=source.alias, quoted=True)
                    for name in source.columns
                    if name not in except_ and (mentioned is None or name in mentioned)
                ]
        select.set("expressions", projections or [exp.Literal.number(1)])


def _leave_raw(select: exp.Select, index: int, output: Output) -> Output:
    """An id in the answer stays as it is stored: only what is left after LIMIT becomes text. Not where the
    result sorts by that column, since ids sort by their text."""
    name, type_ = output
    projection, order = select.expressions[index], select.args.get("order")
    raw = raw_id(projection.this) if isinstance(projection, exp.Alias) else None
    by_position = order is not None and any(key.this.is_number for key in order.expressions)
    by_name = order is not None and any(column.name == name for column in order.find_all(exp.Column))
    if raw is None or by_position or by_name:
        return name, type_
    projection.this.replace(raw)
    return name, Type.RAW_ID


def _alias_columns(item: exp.Expr) -> list[exp.Expr]:
    alias = item.args.get("alias")
    return [] if alias is None else alias.args.get("columns") or []


def _arms(query: exp.Expr) -> list[exp.Select]:
    """The SELECTs whose columns are the query's."""
    if isinstance(query, exp.SetOperation):
        return _arms(query.this) + _arms(query.expression)
    if isinstance(query, exp.Subquery):
        return _arms(query.this)
    return [query] if isinstance(query, exp.Select) else []


def _has_star(select: exp.Select) -> bool:
    return any(p.is_star and not isinstance(p, exp.Count) for p in select.expressions)


def _may_prune(select: exp.Select) -> bool:
    """Whether leaving out columns nobody mentions changes nothing: not under DISTINCT, UNION or IN."""
    parent = select.parent
    if select.args.get("distinct") is not None:
        return False
    if isinstance(parent, exp.CTE):
        return True
    return isinstance(parent, exp.Subquery) and isinstance(parent.parent, exp.From | exp.Join)


def _projected_names(query: exp.Expr) -> list[str]:
    arms = _arms(query)
    return [_output_name(projection) for projection in arms[0].expressions] if arms else []


def _output_name(projection: exp.Expr) -> str:
    """The column's name in the answer: the alias, the column, or the text DataFusion would give it."""
    if isinstance(projection, exp.Alias | exp.Column):
        return projection.alias_or_name
    if isinstance(projection, exp.Count) and isinstance(projection.this, exp.Literal):
        return f"count(Int64({projection.this.name}))"
    text = projection.sql(dialect="postgres")
    head, bracket, rest = text.partition("(")
    return f"{head.lower()}{bracket}{rest}"


# ---------------------------------------------------------------- narrowing


def _narrow(condition: exp.Expr, scope: Scope) -> None:
    """Find what must hold of a row's id or object, before the condition is rewritten."""
    for part in condition.flatten() if isinstance(condition, exp.And) else [condition]:
        while isinstance(part, exp.Paren):
            part = part.this
        found = _equal_to(part)
        if found is None:
            continue
        column, values = found
        for source in scope.sources:
            reference = source.reference
            if reference is None or column.table not in ("", source.alias):
                continue
            _narrow_reference(reference, column.name, values)


def _narrow_reference(reference: Reference, column: str, values: frozenset[str]) -> None:
    key = reference.table.key
    if key is Key.INVOCATION and column in ("id", "invocation_id"):
        reference.ids = values if reference.ids is None else reference.ids & values
    elif key is Key.OBJECT and column == "service_name":
        reference.services = values if reference.services is None else reference.services & values
    elif key is Key.OBJECT and column == "service_key" and len(values) == 1:
        reference.object_key = next(iter(values))


def _equal_to(part: exp.Expr) -> tuple[exp.Column, frozenset[str]] | None:
    """`column = 'text'` and `column IN ('text', ...)`, either way round."""
    if isinstance(part, exp.EQ):
        for column, value in ((part.this, part.expression), (part.expression, part.this)):
            if isinstance(column, exp.Column) and isinstance(value, exp.Literal) and value.is_string:
                return column, frozenset({value.name})
    if isinstance(part, exp.In) and isinstance(part.this, exp.Column) and part.expressions:
        values = part.expressions
        if all(isinstance(value, exp.Literal) and value.is_string for value in values):
            return part.this, frozenset(value.name for value in values)
    return None
