"""From a client's SQL to what SQLite runs.

Two steps, because what lies between them is somebody else's: `parse` needs nothing but the text and says
which parts of the server's memory the query wants to see (attempts, catalog); `Query.render` needs to look
ids up and runs in the query's own connection.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

from holdfast.query.errors import QueryError
from holdfast.query.resolve import Output, Resolver
from holdfast.query.scope import Reference
from holdfast.query.tables import RAW_ID, Home

# It warns about statements that are refused here anyway, in the client's own words and past the log's format.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

SQL_BYTES_MAX = 128 * 1024
"""A statement; one that names a thousand ids, the most a batch operation takes, is 45 KB."""

_WRITES = (
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Merge,
    exp.Copy,
    exp.DDL,
    exp.Command,
    exp.Into,
    exp.Attach,
    exp.Detach,
    exp.Pragma,
    exp.Set,
    exp.Transaction,
)

_CALLEE = (
    "(SELECT json_array(c.kind, c.completion_ms, c.journal_ms) FROM {c}.invocation c WHERE c.id = j.callee "
    "AND c.row = COALESCE("
    "(SELECT a.row FROM {c}.invocation_alias a WHERE a.id = j.callee), hf_row(j.callee)))"
)

RowsOfIds = Callable[[Iterable[str]], Mapping[int, list[int]]]
"""Ids (printable) to the rows they may have, by partition; unknown ids are left out."""


@dataclass
class Query:
    """A query that was understood. `outputs` are the names and types of its columns."""

    outputs: list[Output]
    references: list[Reference]
    _tree: exp.Query

    @property
    def wants_attempts(self) -> bool:
        """Whether it looks at what is in memory about running attempts."""
        return any(r.table.columns[name].live for r in self.references for name in r.used - {RAW_ID})

    @property
    def wants_catalog(self) -> bool:
        """Whether it looks at deployments or services."""
        return any(r.table.home is Home.CATALOG for r in self.references)

    def render(self, partitions: int, rows_of: RowsOfIds) -> str:
        """The SQL for a connection that has partition n's file attached as `p<n>`."""
        parts = [f'"{r.name}" AS ({_source(r, partitions, rows_of)})' for r in self.references]
        with_ = self._tree.args.get("with_")
        if with_ is not None:
            self._tree.set("with_", None)
            parts += [_write(cte) for cte in with_.expressions]
        body = _write(self._tree)
        return f"WITH RECURSIVE {', '.join(parts)} {body}" if parts else body


def parse(sql: str, now_ms: int) -> Query:
    """Understand one SELECT.

    Raises:
        QueryError: 400 it cannot be parsed or is not one query; 500 it names what does not exist.
    """
    if len(sql.encode()) > SQL_BYTES_MAX:
        raise QueryError(400, f"the query is longer than {SQL_BYTES_MAX} bytes")
    try:
        statements = [s for s in sqlglot.parse(sql, read="postgres") if s is not None]
        statements = [s for s in statements if not isinstance(s, exp.Semicolon)]
        if len(statements) != 1:
            raise QueryError(400, f"expected one SQL statement, found {len(statements)}")
        tree = statements[0]
        forbidden = tree.find(*_WRITES)
        if forbidden is not None or not isinstance(tree, exp.Query):
            name = (tree if forbidden is None else forbidden).key.upper()
            raise QueryError(400, f"{name} is not a query: only SELECT and WITH are allowed here")
        resolver = Resolver(now_ms)
        outputs = resolver.resolve(tree)
    except SqlglotError as error:
        raise QueryError(400, f"SQL error: {_first_line(error)}") from error
    except RecursionError:
        raise QueryError(400, "the query is nested too deeply") from None
    return Query(outputs, resolver.references, tree)


def _write(tree: exp.Expr) -> str:
    try:
        return tree.sql(
            dialect="sqlite",
            identify=True,
            normalize_functions=False,
            unsupported_level=ErrorLevel.RAISE,
            comments=False,
        )
    except SqlglotError as error:
        raise QueryError(500, f"not supported here: {_first_line(error)}") from error
    except RecursionError:
        raise QueryError(400, "the query is nested too deeply") from None


def _first_line(error: SqlglotError) -> str:
    return str(error).partition("\n")[0].replace("\x1b[4m", "").replace("\x1b[0m", "")


def _source(reference: Reference, partitions: int, rows_of: RowsOfIds) -> str:
    """The SELECT that stands for one table: its used columns, from the files and keys that can matter."""
    table = reference.table
    columns = [f'{table.columns[name].sql} AS "{name}"' for name in table.columns if name in reference.used]
    if RAW_ID in reference.used:
        columns.append(f'i.id AS "{RAW_ID}"')
    live = any(table.columns[name].live for name in reference.used - {RAW_ID})
    select = f"SELECT {', '.join(columns) or '1'} FROM {table.source}{table.live_join if live else ''}"
    conditions = [table.where] if table.where else []
    if table.home is not Home.PARTITIONS:
        return _arm(select, conditions)
    if reference.services is not None:
        conditions.append(_object_condition(reference.services, reference.object_key))
    if reference.ids is None:
        arms = [_for_partition(_arm(select, conditions), n, partitions) for n in range(partitions)]
    else:
        arms = [
            _for_partition(_arm(select, [*conditions, f"i.row IN ({_join(rows)})"]), n, partitions)
            for n, rows in rows_of(reference.ids).items()
        ] or [_for_partition(_arm(select, ["0"]), 0, partitions)]
    return " UNION ALL ".join(arms)


def _join(rows: Iterable[int]) -> str:
    return ", ".join(map(str, rows))


def _arm(select: str, conditions: list[str]) -> str:
    return f"{select} WHERE {' AND '.join(conditions)}" if conditions else select


def _for_partition(arm: str, partition: int, partitions: int) -> str:
    if "{callee}" in arm:
        found = [_CALLEE.replace("{c}", f"p{n}") for n in range(partitions)]
        arm = arm.replace("{callee}", f"COALESCE({', '.join(found)}, NULL)")
    return arm.replace("{p}", f"p{partition}")


def _object_condition(services: frozenset[str], key: str | None) -> str:
    """Objects are named `service/key`, and `0` is the character after `/`."""
    if key is not None:
        names = ", ".join(_quoted(f"{service}/{key}") for service in sorted(services))
        return f"o.object IN ({names})"
    ranges = [f"(o.object >= {_quoted(s + '/')} AND o.object < {_quoted(s + '0')})" for s in sorted(services)]
    return f"({' OR '.join(ranges)})" if ranges else "0"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
