"""The tables people query, as SQL over a partition's file.

A table is a list of columns, each an expression over the rows of `source`. Only columns a query mentions are
computed, so an expression may be costly. `{p}` stands for the attached file of a partition, `{callee}` for
what is known of the invocation a journal entry started; `i` is always the invocation row, `l` the in-memory
state of its attempt, when there is one.

What one table costs: everything is read from the file in the order it lies there; nothing is sorted or
indexed for queries, because every index would be paid for by every invocation. The way in that must be quick,
by id or by object, is found by the planner, which turns it into row numbers or a key range (`Key`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from holdfast.protocol.framing import MessageType
from holdfast.query.entry_json import entry_type
from holdfast.query.flow_tables import FLOW_TABLES
from holdfast.query.types import Type
from holdfast.storage.blobs import length_sql, whole_sql
from holdfast.storage.keys import JOURNAL_SPAN


class Home(Enum):
    """Where a table's rows are."""

    PARTITIONS = 0
    """In every partition's file."""
    CATALOG = 1
    """In the server's memory; copied into the query's connection for each query that wants them."""
    CONSTANT = 2


class Key(Enum):
    """What the planner can turn into a direct look-up."""

    NONE = 0
    INVOCATION = 1
    """`id` equal to, or in a list of, ids: filters `i.row`."""
    OBJECT = 2
    """`service_name`, alone or with `service_key`: filters `o.object`."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type, and the SQL expression that gives it. `live` ones need the attempts in memory."""

    type: Type
    sql: str
    live: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """`source` follows FROM; `where` always holds; `live_join` is added when a live column is used."""

    columns: Mapping[str, Column]
    source: str
    key: Key = Key.NONE
    home: Home = Home.PARTITIONS
    where: str = ""
    live_join: str = ""


def _text(sql: str, *, live: bool = False) -> Column:
    return Column(Type.TEXT, sql, live)


def _number(sql: str, *, live: bool = False) -> Column:
    return Column(Type.INTEGER, sql, live)


def _time(sql: str, *, live: bool = False) -> Column:
    return Column(Type.TIMESTAMP, sql, live)


_NO_TEXT = _text("NULL")

# ---------------------------------------------------------------- invocations

LIVE_JOIN = " LEFT JOIN main.live l ON i.status = 2 AND l.id = i.id"

_SERVICE_TYPE = (
    "CASE WHEN i.kind = 0 THEN 'service' WHEN i.kind < 3 THEN 'virtual_object' ELSE 'workflow' END"
)
_INVOKED_BY = (
    "CASE i.origin_kind WHEN 0 THEN 'ingress' WHEN 1 THEN 'service' WHEN 2 THEN 'subscription' "
    "ELSE 'restart_as_new' END"
)
_BY_SERVICE = "CASE WHEN i.origin_kind = 1 THEN {} END"
_STORED_STATUS = (
    "CASE i.status WHEN 0 THEN 'scheduled' WHEN 1 THEN 'inboxed' WHEN 2 THEN 'invoked' "
    "WHEN 3 THEN 'suspended' WHEN 4 THEN 'paused' ELSE 'completed' END"
)
_RETRIES = "COALESCE(l.retry_count, i.retry_count)"
_STATUS = (
    "CASE i.status WHEN 0 THEN 'scheduled' WHEN 1 THEN 'pending' WHEN 2 THEN CASE WHEN l.in_flight THEN "
    f"'running' WHEN {_RETRIES} > 0 THEN 'backing-off' ELSE 'ready' END "
    "WHEN 3 THEN 'suspended' WHEN 4 THEN 'paused' ELSE 'completed' END"
)
_CODE = (
    "CASE {0} WHEN 500 THEN '500 Internal' WHEN 570 THEN '570 Journal mismatch' "
    "WHEN 571 THEN '571 Protocol violation' ELSE {0} END"
)
_FAILURE_CODE = _CODE.format("(i.failure ->> '$[0]')")
_OF_ROW = f"j.key BETWEEN i.row * {JOURNAL_SPAN} AND i.row * {JOURNAL_SPAN} + {JOURNAL_SPAN - 1}"
_JOURNAL = f"{{p}}.journal j WHERE {_OF_ROW}"
_FAILED = "CASE WHEN i.status IN (2, 4) AND i.failure IS NOT NULL THEN {} END"
_FAILURE_PART = _FAILED.format("i.failure ->> '$[{}]'")


def _failure(index: int, type_: Type = Type.TEXT) -> Column:
    return Column(type_, _FAILURE_PART.format(index))


RAW_ID = "__id"
"""A column without name for clients: the raw id, in tables whose key is INVOCATION."""

_PARTITION_KEY = Column(Type.UNSIGNED, "hf_partition(i.id)")
_ID = _text("hf_id(i.id)")

_STORED: dict[str, Column] = {
    "id": _ID,
    "vqueue_id": _NO_TEXT,
    "target": _text("i.service || '/' || CASE WHEN i.key IS NULL THEN '' ELSE i.key || '/' END || i.handler"),
    "target_service_name": _text("i.service"),
    "target_service_key": _text("i.key"),
    "target_handler_name": _text("i.handler"),
    "target_service_ty": _text(_SERVICE_TYPE),
    "scope": _text("i.scope"),
    "limit_key": _text("i.limit_key"),
    "idempotency_key": _text("i.idempotency_key"),
    "invoked_by": _text(_INVOKED_BY),
    "invoked_by_service_name": _text(
        _BY_SERVICE.format("substr(i.origin_target, 1, instr(i.origin_target, '/') - 1)")
    ),
    "invoked_by_id": _text(_BY_SERVICE.format("hf_id(i.origin_id)")),
    "invoked_by_subscription_id": _NO_TEXT,
    "invoked_by_target": _text(_BY_SERVICE.format("i.origin_target")),
    "restarted_from": _text("CASE WHEN i.origin_kind = 3 THEN hf_id(i.origin_id) END"),
    "pinned_deployment_id": _text("i.deployment"),
    "pinned_service_protocol_version": _number(
        "CASE WHEN i.deployment IS NOT NULL THEN i.protocol_version END"
    ),
    "trace_id": _text("substr(i.trace_parent, 4, 32)"),
    "journal_size": _number(
        f"CASE WHEN i.status = 2 THEN (SELECT count(*) FROM {_JOURNAL}) WHEN i.journal_purged THEN 0 "
        "ELSE i.length END"
    ),
    "journal_commands_size": _number(
        f"CASE WHEN i.status = 2 THEN (SELECT count(*) FROM {_JOURNAL} AND j.type < 0x8000) "
        "WHEN i.journal_purged THEN 0 ELSE i.commands END"
    ),
    "created_at": _time("i.created_at"),
    "created_using_restate_version": _NO_TEXT,
    "modified_at": _time("i.modified_at"),
    "inboxed_at": _time("i.inboxed_at"),
    "scheduled_at": _time("i.scheduled_at"),
    "scheduled_start_at": _time("i.start_at"),
    "running_at": _time("i.running_at"),
    "completed_at": _time("i.completed_at"),
    "completion_retention": Column(Type.DURATION, "i.completion_ms"),
    "journal_retention": Column(Type.DURATION, "i.journal_ms"),
    "suspended_waiting_for_completions": Column(
        Type.LIST, "CASE WHEN i.awaiting IS NOT NULL THEN hf_awaited(i.awaiting, 'CompletionId') END"
    ),
    "suspended_waiting_for_signals": Column(
        Type.LIST, "CASE WHEN i.awaiting IS NOT NULL THEN hf_awaited(i.awaiting, 'SignalIndex') END"
    ),
    "suspended_waiting_future_json": _text("i.awaiting"),
}
_COMPLETION: dict[str, Column] = {
    "completion_result": _text(
        "CASE WHEN i.status = 5 THEN CASE WHEN i.result_code IS NULL THEN 'success' ELSE 'failure' END END"
    ),
    "completion_failure": _text(f"'[' || {_CODE.format('i.result_code')} || '] ' || i.result_message"),
}
_FAILURE_RELATED: dict[str, Column] = {
    "last_failure_related_entry_index": _failure(4, Type.INTEGER),
    "last_failure_related_entry_name": _failure(5),
    "last_failure_related_entry_type": _text(_FAILED.format("i.failure ->> '$[6]'")),
    "last_failure_related_command_index": _failure(4, Type.INTEGER),
    "last_failure_related_command_name": _failure(5),
    "last_failure_related_command_type": _text(_FAILED.format("i.failure ->> '$[6]'")),
}
_ATTEMPT: dict[str, Column] = {
    # Counts attempts from when they start: one that failed once and runs again has made two.
    "retry_count": _number(
        f"CASE WHEN i.status IN (2, 4) THEN {_RETRIES} + COALESCE(l.in_flight, 0) END", live=True
    ),
    "last_start_at": _time("l.last_start_at", live=True),
    "next_retry_at": _time(
        "CASE WHEN i.status = 2 AND COALESCE(l.in_flight, 0) = 0 "
        "THEN COALESCE(l.next_retry_at, i.next_retry_at) END",
        live=True,
    ),
    "last_attempt_deployment_id": _text(
        f"COALESCE(l.deployment, CASE WHEN i.status = 2 AND {_RETRIES} > 0 THEN i.deployment END)", live=True
    ),
    "last_attempt_server": _text("l.server", live=True),
    "last_failure": _text(
        _FAILED.format(
            f"'[' || {_FAILURE_CODE} || '] ' || (i.failure ->> '$[1]') || "
            "CASE WHEN (i.failure ->> '$[3]') = '' THEN '' ELSE char(10) || (i.failure ->> '$[3]') END"
        )
    ),
    "last_failure_error_code": _failure(2),
    **_FAILURE_RELATED,
    "last_awaiting_on_future_json": _text("l.awaiting", live=True),
}

_INVOCATIONS = "{p}.invocation i"
_SYS_INVOCATION = Table(
    {**_STORED, **_ATTEMPT, "status": _text(_STATUS, live=True), **_COMPLETION},
    _INVOCATIONS,
    Key.INVOCATION,
    live_join=LIVE_JOIN,
)
_SYS_INVOCATION_STATUS = Table(
    {"partition_key": _PARTITION_KEY, **_STORED, "status": _text(_STORED_STATUS), **_COMPLETION},
    _INVOCATIONS,
    Key.INVOCATION,
)
_SYS_INVOCATION_STATE = Table(
    {
        "partition_key": _PARTITION_KEY,
        "id": _ID,
        "in_flight": Column(Type.BOOLEAN, "COALESCE(l.in_flight, 0)", live=True),
        **_ATTEMPT,
    },
    _INVOCATIONS,
    Key.INVOCATION,
    where="i.status = 2",
    live_join=LIVE_JOIN,
)

# ---------------------------------------------------------------- journals

_ANSWERED = "CASE WHEN j.type < 0x8000 AND j.ref IS NOT NULL THEN hf_answered('{p}', i.row, j.ref) END"
_ENTRY_TYPE = (
    "CASE j.type "
    + " ".join(
        [f"WHEN {t.value} THEN '{entry_type(t)}'" for t in MessageType if t >= MessageType.INPUT_COMMAND]
    )
    + " ELSE hf_entry_type(j.type) END"
)
_BODY = whole_sql("j.body", "{p}")
_ENTRY = f"j.type, {_BODY}, j.callee, CASE WHEN j.callee IS NOT NULL THEN {{callee}} END"

_SYS_JOURNAL = Table(
    {
        "partition_key": _PARTITION_KEY,
        "id": _ID,
        "index": _number(f"j.key - i.row * {JOURNAL_SPAN}"),
        "entry_type": _text(_ENTRY_TYPE),
        "name": _text(f"hf_entry_name(j.type, {_BODY})"),
        "completed": Column(Type.BOOLEAN, _ANSWERED),
        "invoked_id": _text("hf_id(j.callee)"),
        "invoked_target": _text(
            f"CASE WHEN j.callee IS NOT NULL THEN hf_invoked_target(j.type, {_BODY}) END"
        ),
        "sleep_wakeup_at": _time(f"CASE WHEN j.type = 0x40C THEN hf_sleep_wakeup_at(j.type, {_BODY}) END"),
        "promise_name": _text(
            f"CASE WHEN j.type BETWEEN 0x409 AND 0x40B THEN hf_promise_name(j.type, {_BODY}) END"
        ),
        "raw": Column(Type.BINARY, _BODY),
        "raw_length": _number(length_sql("j.body", "{p}")),
        "version": _number("2"),
        "entry_json": _text(f"hf_entry_json({_ENTRY})"),
        "entry_lite_json": _text(f"hf_entry_lite_json({_ENTRY})"),
        "appended_at": _time("j.at"),
    },
    # CROSS JOIN fixes the order: invocations first, then each one's entries as one range of keys.
    f"{{p}}.invocation i CROSS JOIN {{p}}.journal j ON j.key BETWEEN i.row * {JOURNAL_SPAN} "
    f"AND i.row * {JOURNAL_SPAN} + {JOURNAL_SPAN - 1}",
    Key.INVOCATION,
)
_SYS_JOURNAL_EVENTS = Table(
    {
        "partition_key": _PARTITION_KEY,
        "id": _ID,
        "after_journal_entry_index": _number("e.after_index"),
        "appended_at": _time("e.at"),
        "event_type": _text("e.type"),
        "event_json": _text("e.detail"),
    },
    "{p}.invocation i CROSS JOIN {p}.event e ON e.row = i.row",
    Key.INVOCATION,
)


def _told(name: str, kind: str) -> str:
    """A member of the metadata, where it is of this JSON type. What services write is only known to be an
    object: nested deeper than SQLite reads, it counts as telling nothing."""
    return (
        f"CASE WHEN json_valid(m.metadata) THEN CASE WHEN json_type(m.metadata, '$.{name}') = '{kind}' "
        f"THEN m.metadata ->> '$.{name}' END END"
    )


_STEP_METADATA = Table(
    {
        "partition_key": _PARTITION_KEY,
        "id": _ID,
        "invocation_id": _ID,
        "entry_index": _number("m.entry_index"),
        "completion_id": _number(f"m.key - i.row * {JOURNAL_SPAN}"),
        "metadata": _text("m.metadata"),
        "model": _text(_told("model", "text")),
        "tokens_in": _number(f"CAST({_told('tokens_in', 'integer')} AS INTEGER)"),
        "tokens_out": _number(f"CAST({_told('tokens_out', 'integer')} AS INTEGER)"),
    },
    # CROSS JOIN as above; `flags` spares a look-up for the many invocations without.
    "{p}.invocation i CROSS JOIN {p}.step_metadata m ON i.flags & 2 AND m.key BETWEEN "
    f"i.row * {JOURNAL_SPAN} AND i.row * {JOURNAL_SPAN} + {JOURNAL_SPAN - 1}",
    Key.INVOCATION,
)
"""What services said about their steps: an extension of this server's own."""

# ---------------------------------------------------------------- objects

_OBJECT: dict[str, Column] = {
    "partition_key": Column(Type.UNSIGNED, "hf_key_partition(substr(o.object, instr(o.object, '/') + 1))"),
    "service_name": _text("substr(o.object, 1, instr(o.object, '/') - 1)"),
    "service_key": _text("substr(o.object, instr(o.object, '/') + 1)"),
}


def _object(**columns: Column) -> dict[str, Column]:
    return {**_OBJECT, **columns}


def _scoped(**columns: Column) -> dict[str, Column]:
    return {"partition_key": _OBJECT["partition_key"], "scope": _NO_TEXT, **_OBJECT, **columns}


_VALUE = whole_sql("o.value", "{p}")
_STATE = Table(
    _scoped(
        key=_text("hf_text(o.key)"),
        key_length=_number("length(o.key)"),
        value_utf8=_text(f"hf_utf8({_VALUE})"),
        value=Column(Type.BINARY, _VALUE),
        value_length=_number(length_sql("o.value", "{p}")),
    ),
    "{p}.state o",
    Key.OBJECT,
)
_SYS_INBOX = Table(
    _object(id=_ID, sequence_number=_number("o.sequence"), created_at=_time("i.created_at")),
    "{p}.inbox o JOIN {p}.invocation i ON i.row = o.row",
    Key.OBJECT,
)
_SYS_KEYED_SERVICE_STATUS = Table(
    _object(invocation_id=_ID), "{p}.object_lock o JOIN {p}.invocation i ON i.row = o.row", Key.OBJECT
)
_SYS_PROMISE = Table(
    _scoped(
        key=_text("o.key"),
        completed=Column(Type.BOOLEAN, "o.completed"),
        completion_success_value=Column(Type.BINARY, _VALUE),
        completion_success_value_utf8=_text(f"hf_utf8({_VALUE})"),
        completion_failure=_text(f"'[' || {_CODE.format('o.code')} || '] ' || o.message"),
    ),
    "(SELECT object, key, 1 AS completed, value, code, message FROM {p}.promise UNION ALL "
    "SELECT DISTINCT object, key, 0, NULL, NULL, NULL FROM {p}.promise_listener w WHERE NOT EXISTS "
    "(SELECT 1 FROM {p}.promise d WHERE d.object = w.object AND d.key = w.key)) o",
    Key.OBJECT,
)

# ---------------------------------------------------------------- the catalog, and what is always empty

_SYS_DEPLOYMENT = Table(
    {
        "id": _text("d.id"),
        "ty": _text("d.ty"),
        "endpoint": _text("d.endpoint"),
        "created_at": _time("d.created_at"),
        "min_service_protocol_version": _number("d.min_version"),
        "max_service_protocol_version": _number("d.max_version"),
        "services": Column(Type.LIST, "d.services"),
    },
    "main.deployment d",
    home=Home.CATALOG,
)
_SYS_SERVICE = Table(
    {
        "name": _text("s.name"),
        "revision": _number("s.revision"),
        "public": Column(Type.BOOLEAN, "s.public"),
        "ty": _text("s.ty"),
        "deployment_id": _text("s.deployment"),
    },
    "main.service s",
    home=Home.CATALOG,
)


def _empty(columns: Mapping[str, Type]) -> Table:
    described = {name: Column(type_, "NULL") for name, type_ in columns.items()}
    return Table(described, "(SELECT 1 WHERE 0) n", home=Home.CONSTANT)


TABLES: dict[str, Table] = {
    "sys_invocation": _SYS_INVOCATION,
    "sys_invocation_status": _SYS_INVOCATION_STATUS,
    "sys_invocation_state": _SYS_INVOCATION_STATE,
    "sys_journal": _SYS_JOURNAL,
    "sys_journal_events": _SYS_JOURNAL_EVENTS,
    "holdfast_step_metadata": _STEP_METADATA,
    "sys_deployment": _SYS_DEPLOYMENT,
    "sys_service": _SYS_SERVICE,
    "sys_inbox": _SYS_INBOX,
    "sys_keyed_service_status": _SYS_KEYED_SERVICE_STATUS,
    "sys_promise": _SYS_PROMISE,
    "state": _STATE,
    **{name: _empty(columns) for name, columns in FLOW_TABLES.items()},
}
"""By name, in the schema `restate.public`."""

INFORMATION_SCHEMA: dict[str, Table] = {
    "columns": Table(
        {
            "table_catalog": _text("'restate'"),
            "table_schema": _text("'public'"),
            "table_name": _text("c.table_name"),
            "column_name": _text("c.column_name"),
            "ordinal_position": _number("c.position"),
            "is_nullable": _text("'YES'"),
            "data_type": _text("c.type"),
        },
        "main.columns c",
        home=Home.CONSTANT,
    ),
    "tables": Table(
        {
            "table_catalog": _text("'restate'"),
            "table_schema": _text("'public'"),
            "table_name": _text("c.table_name"),
            "table_type": _text("'BASE TABLE'"),
        },
        "main.columns c",
        home=Home.CONSTANT,
        where="c.position = 1",
    ),
}
