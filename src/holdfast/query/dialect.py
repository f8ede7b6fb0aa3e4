"""From the PostgreSQL-like dialect clients write to what SQLite runs, expression by expression.

`visit` rewrites an expression in place and says its type. Instants and intervals are integer milliseconds
from here on: `now() - INTERVAL '1 day'` is a subtraction of two numbers, and a text compared with an instant
is turned into one. What SQLite does the same way is left alone; what it does not know fails there, by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from sqlglot import exp

from holdfast.protocol.errors import InvalidId
from holdfast.protocol.ids import decode_invocation_id
from holdfast.query.errors import QueryError
from holdfast.query.scope import Reference, Scope, Source
from holdfast.query.tables import RAW_ID, Key
from holdfast.query.types import UNSIGNED_SHIFT, Type, parse_timestamp

_MS: dict[str, float] = {
    "millisecond": 1,
    "second": 1000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 604_800_000,
}
_UNIT_NAMES = {"ms": "millisecond", "s": "second", "sec": "second", "min": "minute", "h": "hour", "d": "day"}
_PART = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*([a-zA-Z]+)")

_SAME_TYPE = (
    exp.Paren,
    exp.Min,
    exp.Max,
    exp.Nullif,
    exp.Coalesce,
    exp.Greatest,
    exp.Least,
    exp.AnyValue,
    exp.Lag,
    exp.Lead,
    exp.NthValue,
    exp.Sum,
    exp.Avg,
    exp.Abs,
    exp.Filter,
    exp.Window,
    exp.Alias,
    exp.Order,
    exp.Ordered,
    exp.Distinct,
)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ)
_TRUTHS = (exp.And, exp.Or, exp.Not, exp.Is, exp.Like, exp.ILike, exp.Boolean, exp.Exists)
_COUNTS = (exp.Count, exp.RowNumber, exp.Rank, exp.DenseRank, exp.Length)
_TIME_TYPES = frozenset({"TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMPLTZ", "TIMESTAMPNTZ", "DATETIME"})
_TEXT_TYPES = frozenset({"TEXT", "VARCHAR", "CHAR", "NVARCHAR"})
_FLOAT_TYPES = frozenset({"DOUBLE", "FLOAT", "DECIMAL", "NUMERIC", "REAL"})
_EXTRACT_FORMATS = {
    "year": "%Y",
    "month": "%m",
    "day": "%d",
    "hour": "%H",
    "minute": "%M",
    "second": "%S",
    "dow": "%w",
    "doy": "%j",
}

_Rule: TypeAlias = Callable[[exp.Expr, Scope], Type]


class Dialect:
    """Expressions of one query, whose `now()` is one instant."""

    def __init__(self, now_ms: int, subquery: _Rule) -> None:
        self._now_ms = now_ms
        self._subquery = subquery
        self._rules: tuple[tuple[type[exp.Expr] | tuple[type[exp.Expr], ...], _Rule], ...] = (
            (exp.Column, self._column),
            ((exp.Select, exp.SetOperation, exp.Subquery), self._subquery),
            (exp.In, self._in),
            (exp.Between, self._between),
            (_COMPARISONS, self._comparison),
            (exp.Interval, self._interval),
            ((exp.CurrentTimestamp, exp.CurrentDate), self._now),
            (exp.Cast, self._cast),
            ((exp.FirstValue, exp.LastValue), self._first_or_last),
            (exp.ArrayAgg, self._array),
            (exp.TimestampTrunc, self._truncate),
            (exp.DateBin, self._bin),
            (exp.Extract, self._extract),
            (exp.UnixToTime, self._from_unix),
            ((exp.Add, exp.Sub), self._sum),
            (exp.Case, self._case),
            (exp.Literal, self._literal),
            (exp.Count, self._count),
        )

    def visit(self, node: exp.Expr, scope: Scope) -> Type:
        """Rewrite `node` where it stands; its type, or UNKNOWN."""
        for kinds, rule in self._rules:
            if isinstance(node, kinds):
                return rule(node, scope)
        types = [self.visit(child, scope) for child in list(node.iter_expressions())]
        if isinstance(node, _TRUTHS):
            return Type.BOOLEAN
        if isinstance(node, _COUNTS):
            return Type.INTEGER
        if isinstance(node, _SAME_TYPE):
            return next((type_ for type_ in types if type_ is not Type.UNKNOWN), Type.UNKNOWN)
        if isinstance(node, exp.Anonymous) and node.name.lower() == "to_timestamp_millis":
            node.replace(node.expressions[0])
            return Type.TIMESTAMP
        return Type.UNKNOWN

    # ------------------------------------------------------------ names and values

    def _column(self, node: exp.Expr, scope: Scope) -> Type:
        alias = node.text("table")
        if alias and not scope.has(alias):
            node.set("table", None)
            alias = ""
        found = scope.sources_of(alias, node.name) if node.name == "id" else []
        if len(found) == 1 and found[0].reference and found[0].reference.table.key is Key.INVOCATION:
            return _late_id(node, found[0], found[0].reference)
        return scope.column(alias, node.name)

    def _literal(self, node: exp.Expr, scope: Scope) -> Type:
        if isinstance(node, exp.Literal) and not node.is_string:
            return Type.INTEGER if node.is_int else Type.FLOAT
        return Type.TEXT

    def _now(self, node: exp.Expr, scope: Scope) -> Type:
        at = self._now_ms
        if isinstance(node, exp.CurrentDate):
            at -= at % 86_400_000
        node.replace(exp.Literal.number(at))
        return Type.TIMESTAMP

    def _interval(self, node: exp.Expr, scope: Scope) -> Type:
        unit = node.args.get("unit")
        text = f"{node.this.name} {'' if unit is None else unit.name}"
        node.replace(exp.Literal.number(interval_ms(text)))
        return Type.DURATION

    # ------------------------------------------------------------ comparing

    def _comparison(self, node: exp.Expr, scope: Scope) -> Type:
        left, right = self.visit(node.this, scope), self.visit(node.expression, scope)
        if isinstance(node, exp.EQ | exp.NEQ):
            _compare_raw_ids(node)
        _align(node.this, left, node.expression, right)
        return Type.BOOLEAN

    def _in(self, node: exp.Expr, scope: Scope) -> Type:
        type_ = self.visit(node.this, scope)
        query = node.args.get("query")
        if query is not None:
            self.visit(query, scope)
        for value in list(node.expressions):
            _align(node.this, type_, value, self.visit(value, scope))
        raw, values = raw_id(node.this), [_decoded(value) for value in node.expressions]
        if raw is not None and values and all(values):
            node.this.replace(raw)
            node.set("expressions", values)
        return Type.BOOLEAN

    def _between(self, node: exp.Expr, scope: Scope) -> Type:
        type_ = self.visit(node.this, scope)
        for bound in ("low", "high"):
            bound_type = self.visit(node.args[bound], scope)
            _align(node.this, type_, node.args[bound], bound_type)
        return Type.BOOLEAN

    def _sum(self, node: exp.Expr, scope: Scope) -> Type:
        left, right = self.visit(node.this, scope), self.visit(node.expression, scope)
        if {left, right} == {Type.TIMESTAMP, Type.TEXT}:
            _align(node.this, left, node.expression, right)
            left = right = Type.TIMESTAMP
        if left is right:
            return Type.DURATION if left is Type.TIMESTAMP else left
        return Type.TIMESTAMP if Type.TIMESTAMP in (left, right) else left

    def _case(self, node: exp.Expr, scope: Scope) -> Type:
        operand = node.args.get("this")
        if operand is not None:
            self.visit(operand, scope)
        types: list[Type] = []
        for branch in node.args["ifs"]:
            self.visit(branch.this, scope)
            types.append(self.visit(branch.args["true"], scope))
        default = node.args.get("default")
        if default is not None:
            types.append(self.visit(default, scope))
        return next((type_ for type_ in types if type_ is not Type.UNKNOWN), Type.UNKNOWN)

    # ------------------------------------------------------------ functions

    def _count(self, node: exp.Expr, scope: Scope) -> Type:
        if not isinstance(node.this, exp.Star):
            self.visit(node.this, scope)
        return Type.INTEGER

    def _cast(self, node: exp.Expr, scope: Scope) -> Type:
        inner, target = node.this, node.args["to"].this.name
        type_ = self.visit(inner, scope)
        inner = node.this
        if target == "DATE":
            day = exp.Literal.string("day")
            node.replace(exp.func("hf_truncate", day, exp.func("hf_instant", inner.copy())))
            return Type.TIMESTAMP
        if target in _TIME_TYPES:
            node.replace(exp.func("hf_instant", inner.copy()))
            return Type.TIMESTAMP
        if target == "INTERVAL":
            return self._interval(node, scope)
        if target in _TEXT_TYPES:
            if type_ is Type.TIMESTAMP:
                node.replace(exp.func("hf_iso", inner.copy()))
            elif type_ is Type.BOOLEAN:
                texts = (exp.Literal.string("true"), exp.Literal.string("false"))
                node.replace(exp.func("IIF", inner.copy(), *texts))
            else:
                node.set("to", exp.DataType.build("TEXT"))
            return Type.TEXT
        if target == "BOOLEAN":
            node.replace(inner.copy())
            return Type.BOOLEAN
        floating = target in _FLOAT_TYPES
        if not floating and "INT" not in target:
            raise QueryError(500, f"CAST to {target} is not supported")
        node.set("to", exp.DataType.build("DOUBLE" if floating else "BIGINT"))
        return Type.FLOAT if floating else Type.INTEGER

    def _first_or_last(self, node: exp.Expr, scope: Scope) -> Type:
        """As a window function SQLite has it. As an aggregate there are two quick ways for what clients ask:
        without order it is any row's value, which grouping gives anyway, and always the same row's; the id
        that comes first in time is the least of all texts `time id`."""
        order = node.this if isinstance(node.this, exp.Order) else None
        type_ = self.visit(node.this if order is None else order.this, scope)
        key_types = [] if order is None else [self.visit(key.this, scope) for key in order.expressions]
        window, select = node.parent, node.find_ancestor(exp.Select)
        if isinstance(window, exp.Window) and window.this is node:
            return type_
        first = isinstance(node, exp.FirstValue)
        if order is None and select is not None and select.args.get("group"):
            node.replace(exp.Paren(this=node.this.copy()))
        elif order is not None and key_types == [Type.TIMESTAMP] and raw_id(order.this) is not None:
            ordered = order.expressions[0]
            least = first is not bool(ordered.args.get("desc"))
            node.replace(_first_id(order.this, ordered.this, "min" if least else "max"))
        else:
            node.replace(exp.func("hf_first" if first else "hf_last", node.this.copy()))
        return type_

    def _array(self, node: exp.Expr, scope: Scope) -> Type:
        if self.visit(node.this, scope) is Type.TIMESTAMP:
            value = node.this.this if isinstance(node.this, exp.Order) else node.this
            value.replace(exp.func("hf_iso", value.copy()))
        node.replace(exp.func("json_group_array", node.this.copy()))
        return Type.LIST

    def _truncate(self, node: exp.Expr, scope: Scope) -> Type:
        self._instant(node.this, scope)
        unit = exp.Literal.string(node.text("unit").lower())
        node.replace(exp.func("hf_truncate", unit, node.this.copy()))
        return Type.TIMESTAMP

    def _bin(self, node: exp.Expr, scope: Scope) -> Type:
        self.visit(node.this, scope)
        self._instant(node.expression, scope)
        node.replace(exp.func("hf_bin", node.this.copy(), node.expression.copy()))
        return Type.TIMESTAMP

    def _extract(self, node: exp.Expr, scope: Scope) -> Type:
        unit = node.this.name.lower()
        self._instant(node.expression, scope)
        seconds = exp.Div(
            this=exp.Paren(this=node.expression.copy()), expression=exp.Literal.number("1000.0")
        )
        if unit == "epoch":
            node.replace(exp.Paren(this=seconds))
            return Type.FLOAT
        if unit not in _EXTRACT_FORMATS:
            raise QueryError(500, f"EXTRACT knows no unit {unit!r}")
        text = exp.func(
            "strftime", exp.Literal.string(_EXTRACT_FORMATS[unit]), seconds, exp.Literal.string("unixepoch")
        )
        node.replace(exp.Cast(this=text, to=exp.DataType.build("BIGINT")))
        return Type.INTEGER

    def _from_unix(self, node: exp.Expr, scope: Scope) -> Type:
        if self.visit(node.this, scope) is Type.TEXT:
            node.replace(exp.func("hf_instant", node.this.copy()))
        else:
            node.replace(
                exp.Paren(
                    this=exp.Mul(this=exp.Paren(this=node.this.copy()), expression=exp.Literal.number(1000))
                )
            )
        return Type.TIMESTAMP

    def _instant(self, node: exp.Expr, scope: Scope) -> None:
        if self.visit(node, scope) is Type.TEXT:
            node.replace(exp.func("hf_instant", node.copy()))


def _late_id(node: exp.Expr, source: Source, reference: Reference) -> Type:
    """Ids are read as they are stored and become text where they are used: a query that compares, joins or
    counts them needs no text at all."""
    reference.used.add(RAW_ID)
    text: exp.Expr = exp.func("hf_id", exp.column(RAW_ID, table=source.alias, quoted=True))
    if isinstance(node.parent, exp.Select) and node.arg_key == "expressions":
        text = exp.alias_(text, node.name, quoted=True)
    node.replace(text)
    return Type.TEXT


def raw_id(node: exp.Expr) -> exp.Expr | None:
    """The raw id inside `_late_id`'s text."""
    is_text = isinstance(node, exp.Anonymous) and node.name == "hf_id"
    return node.expressions[0].copy() if is_text else None


def _decoded(node: exp.Expr) -> exp.Expr | None:
    """The raw id a literal text means; None when it is no id."""
    if not isinstance(node, exp.Literal) or not node.is_string:
        return None
    try:
        return exp.HexString(this=decode_invocation_id(node.name).hex())
    except InvalidId:
        return None


def _compare_raw_ids(node: exp.Expr) -> None:
    left = raw_id(node.this) or _decoded(node.this)
    right = raw_id(node.expression) or _decoded(node.expression)
    if left is not None and right is not None:
        node.this.replace(left)
        node.expression.replace(right)


def _first_id(id_: exp.Expr, at: exp.Expr, aggregate: str) -> exp.Expr:
    """`hf_id` of the raw id with the least (or greatest) instant; 20 digits make texts compare as numbers."""
    digits = exp.Anonymous(this="printf", expressions=[exp.Literal.string("%020d"), at.copy()])
    pair = exp.DPipe(this=digits, expression=exp.Anonymous(this="hex", expressions=[raw_id(id_)]))
    best = exp.Anonymous(this=aggregate, expressions=[pair])
    digits_of_id = exp.Anonymous(this="substr", expressions=[best, exp.Literal.number(21)])
    return exp.func("hf_id", exp.Anonymous(this="unhex", expressions=[digits_of_id]))


def order_by_raw_ids(order: exp.Expr) -> None:
    """An id as a later sort key only makes an order repeatable: its bytes do as well as its text, and need
    not be computed for every row of a table to find the newest few."""
    for ordered in order.expressions[1:]:
        raw = raw_id(ordered.this)
        if raw is not None:
            ordered.this.replace(raw)


def _align(left: exp.Expr, left_type: Type, right: exp.Expr, right_type: Type) -> None:
    """Bring the text or number a client wrote to the form the other side has inside SQLite."""
    for side, type_, other in ((right, right_type, left_type), (left, left_type, right_type)):
        if type_ is Type.TEXT and other in (Type.TIMESTAMP, Type.DURATION):
            if not isinstance(side, exp.Literal):
                side.replace(exp.func("hf_instant", side.copy()))
                continue
            at = parse_timestamp(side.name) if other is Type.TIMESTAMP else interval_ms(side.name)
            if at is None:
                raise QueryError(500, f"{side.name!r} is not a timestamp; write it like 2026-11-22T18:05:08Z")
            side.replace(exp.Literal.number(at))
        elif type_ is Type.INTEGER and other is Type.UNSIGNED and isinstance(side, exp.Literal):
            side.replace(exp.Literal.number(int(side.name) - UNSIGNED_SHIFT))


def interval_ms(text: str) -> int:
    """Milliseconds of `1 day`, `2 hours 30 minutes`, `-15 min`; months and years have no fixed length.

    Raises:
        QueryError: 500 it is none of these.
    """
    position, total = 0, 0.0
    text = text.strip()
    while position < len(text):
        part = _PART.match(text, position)
        unit = "" if part is None else part[2].lower()
        unit = _UNIT_NAMES.get(unit, unit.removesuffix("s"))
        if part is None or unit not in _MS:
            raise QueryError(
                500, f"INTERVAL {text!r} is not understood; use weeks, days, hours, minutes, seconds"
            )
        total += float(part[1]) * _MS[unit]
        position = part.end()
    return round(total)
