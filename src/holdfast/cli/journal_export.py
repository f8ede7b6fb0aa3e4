"""An invocation's journal as a file, by way of the server's SQL.

Three queries, not one transaction: `holdfast journal` says which invocations to export. The random seed is
stored nowhere; it is made of the id as Holdfast's server does it. Journals of other servers that keep entries
as on the wire replay, too, except for what a handler makes of `ctx.random`.
"""

from __future__ import annotations

from holdfast.cli.admin_client import Admin, Row, quoted
from holdfast.protocol import messages
from holdfast.protocol.errors import InvalidId, ProtocolError
from holdfast.protocol.framing import MessageType, is_command, is_notification, type_name
from holdfast.protocol.ids import decode_invocation_id
from holdfast.protocol.versions import VERSION_MAX
from holdfast.sdk.journal_file import StoredEntry, StoredJournal

_TYPES = {
    f"{'Notification' if is_notification(type_) else 'Command'}: {type_name(type_)}": int(type_)
    for type_ in MessageType
    if is_command(type_) or is_notification(type_)
}


class ExportError(Exception):
    """No journal came; the text says why."""


def export(invocation_id: str, admin: Admin) -> str:
    """The text of the journal's file (`holdfast.sdk.journal_file`).

    Raises:
        ExportError: the server has no such invocation, or no journal of it.
        AdminError: the server cannot be asked.
    """
    try:
        raw_id = decode_invocation_id(invocation_id)
    except InvalidId as error:
        raise ExportError(f"{invocation_id!r} is no invocation id: {error.message}") from None
    found = admin.query(
        "SELECT target_service_name, target_service_key, target_handler_name, "
        f"pinned_service_protocol_version FROM sys_invocation WHERE id = '{invocation_id}'",
    )
    if not found:
        raise ExportError(
            f"the server at {admin.url} has no invocation {invocation_id}, or keeps it no longer"
        )
    service, key = str(found[0]["target_service_name"]), found[0].get("target_service_key")
    version = found[0].get("pinned_service_protocol_version")
    rows = admin.query(
        f"SELECT index, entry_type, raw FROM sys_journal WHERE id = '{invocation_id}' ORDER BY index",
    )
    if not rows:
        raise ExportError(f"the journal of {invocation_id} is no longer kept; raise the journal retention")
    state: dict[str, bytes] = {}
    if key is not None:
        of = f"service_name = {quoted(service)} AND service_key = {quoted(str(key))}"
        state = {
            str(row["key"]): _bytes(row["value"])
            for row in admin.query(f"SELECT key, value FROM state WHERE {of}")
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
