"""An invocation's journal as a file, by way of the server's SQL.

Three queries, not one transaction: `holdfast journal` says which invocations to export. The random seed is
stored nowhere; it is made of the id as Holdfast's server does it. Journals of other servers that keep entries
as on the wire replay, too, except for what a handler makes of `ctx.random`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPException
from typing import cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from holdfast.protocol import messages
from holdfast.protocol.errors import InvalidId, ProtocolError
from holdfast.protocol.framing import MessageType, is_command, is_notification, type_name
from holdfast.protocol.ids import decode_invocation_id
from holdfast.protocol.versions import VERSION_MAX
from holdfast.sdk.journal_file import StoredEntry, StoredJournal

ANSWER_WITHIN_S = 30.0
ANSWER_BYTES_MAX = 256 * 1024 * 1024
_SHOWN_CHARS_MAX = 300

_TYPES = {
    f"{'Notification' if is_notification(type_) else 'Command'}: {type_name(type_)}": int(type_)
    for type_ in MessageType
    if is_command(type_) or is_notification(type_)
}

Row = Mapping[str, object]
"""Columns that are NULL are left out."""


class ExportError(Exception):
    """No journal came; the text says why."""


def export(invocation_id: str, admin: str) -> str:
    """The text of the journal's file (`holdfast.sdk.journal_file`).

    Args:
        admin: URL of the server's admin interface.
    Raises:
        ExportError: the server cannot be asked, has no such invocation, or no journal of it.
    """
    try:
        raw_id = decode_invocation_id(invocation_id)
    except InvalidId as error:
        raise ExportError(f"{invocation_id!r} is no invocation id: {error.message}") from None
    if urlsplit(admin).scheme not in ("http", "https"):
        raise ExportError(f"--admin is {admin!r}; expected a URL such as http://127.0.0.1:9070")
    found = _query(
        admin,
        "SELECT target_service_name, target_service_key, target_handler_name, "
        f"pinned_service_protocol_version FROM sys_invocation WHERE id = '{invocation_id}'",
    )
    if not found:
        raise ExportError(f"the server at {admin} has no invocation {invocation_id}, or keeps it no longer")
    service, key = str(found[0]["target_service_name"]), found[0].get("target_service_key")
    version = found[0].get("pinned_service_protocol_version")
    rows = _query(
        admin,
        f"SELECT index, entry_type, raw FROM sys_journal WHERE id = '{invocation_id}' ORDER BY index",
    )
    if not rows:
        raise ExportError(f"the journal of {invocation_id} is no longer kept; raise the journal retention")
    state: dict[str, bytes] = {}
    if key is not None:
        of = f"service_name = {_quoted(service)} AND service_key = {_quoted(str(key))}"
        state = {
            str(row["key"]): _bytes(row["value"])
            for row in _query(admin, f"SELECT key, value FROM state WHERE {of}")
        }
    return StoredJournal(
        service=service,
        handler=str(found[0]["target_handler_name"]),
        key=None if key is None else str(key),
        invocation_id=invocation_id,
        protocol_version=version if isinstance(version, int) else VERSION_MAX,
        random_seed=int.from_bytes(raw_id[16:24], "big"),
        state=state,
        entries=tuple([StoredEntry(*_entry(row)) for row in rows]),
    ).to_json()


def _entry(row: Row) -> tuple[int, bytes]:
    type_ = _TYPES.get(str(row["entry_type"]))
    if type_ is None:
        raise ExportError(f"entry {row['index']} is of type {row['entry_type']!r}, unknown to this release")
    body = _bytes(row["raw"])
    try:
        messages.NotificationTemplate.decode(body) if is_notification(type_) else messages.decode(type_, body)
    except ProtocolError as error:
        said = f"entry {row['index']} is not as on the wire ({error.message})"
        raise ExportError(f"{said}; journals of this server cannot be exported") from None
    return type_, body


def _bytes(value: object) -> bytes:
    try:
        return bytes.fromhex(str(value))
    except ValueError:
        said = f"the server gave {value!r:.80} for bytes"
        raise ExportError(f"{said}; journals of this server cannot be exported") from None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _query(admin: str, sql: str) -> list[Row]:
    request = Request(
        f"{admin.rstrip('/')}/query",
        data=json.dumps({"query": sql}).encode(),
        headers={"content-type": "application/json", "accept": "application/json"},
    )
    try:
        # Without proxies: admin interfaces are not reached through those for the world outside.
        with build_opener(ProxyHandler({})).open(request, timeout=ANSWER_WITHIN_S) as response:
            data = response.read(ANSWER_BYTES_MAX + 1)
    except HTTPError as error:
        said = error.read(_SHOWN_CHARS_MAX).decode("utf-8", "replace")
        raise ExportError(f"{admin} answered {error.code}: {said}") from None
    except (URLError, HTTPException, OSError) as error:
        raise ExportError(f"cannot reach an admin interface at {admin}: {error}") from None
    if len(data) > ANSWER_BYTES_MAX:
        raise ExportError(f"the journal is larger than {ANSWER_BYTES_MAX} bytes")
    try:
        return cast("list[Row]", json.loads(data)["rows"])
    except (ValueError, KeyError, TypeError):
        raise ExportError(f"{admin} is not an admin interface: its answer to a query has no rows") from None
