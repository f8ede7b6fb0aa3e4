"""Large values, each stored once however many rows hold it.

A value of more than `INLINE_BYTES_MAX` is not in its own column. There stands a **reference**, the only text
among bytes: the digest of the content, and what stands around it in the stored message. The content is in
the table `blob`, under its digest, so an input, the output that repeats it, the result, a caller's command
and its completion, and every copy of a journal share one.

`blob_use` says which rows hold which content. A holder has one row there, written and deleted by key, hence
doing it twice does no harm, as everywhere in this package. Whoever gives up a row says so (`drop`,
`drop_range`), and contents that nobody holds any more go in the same transaction.

The digest is quick and not cryptographic. Equal digests are therefore compared byte by byte before they are
taken for the same content; a different one is stored under the digest with the next seed.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import IntEnum
from typing import cast

import apsw
from xxhash import xxh3_128_digest

from holdfast.storage.content import content_of
from holdfast.storage.database import Database, Value

INLINE_BYTES_MAX = 64 * 1024
"""Larger values become blobs."""
RECENT_BYTES_MAX = 16 * 1024 * 1024
"""Contents kept in memory: what a handler was given it often gives back."""

_DIGEST_CHARS = 32


class Holder(IntEnum):
    """The tables whose values may be blobs, and what their rows go by in `blob_use`."""

    JOURNAL = 0
    """The entry's key."""
    RESULT = 1
    """The invocation's row."""
    STATE = 2
    """`name_of` object and key."""
    PROMISE = 3
    """`name_of` object and key."""
    OUTBOX = 4
    """The destination's number and the message's (`Post`)."""


Name = int | bytes


def name_of(object_: str, key: bytes) -> bytes:
    """What a holder goes by that belongs to an object: different for different pairs."""
    raw = object_.encode()
    return b"%d:%b%b" % (len(raw), raw, key)


class Blobs:
    """Contents and their holders. `put` gives what to write into the column, `whole` what to read it as."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._new: dict[bytes, memoryview] = {}
        """Contents that were put since the last commit, whether the file has them or not."""
        self._uses: dict[tuple[Holder, Name], bytes | None] = {}
        self._dropped: list[tuple[Holder, int, int]] = []
        self._recent: OrderedDict[bytes, memoryview] = OrderedDict()
        self._recent_bytes = 0
        self._held = {
            holder
            for holder in Holder
            if database.first("SELECT 1 FROM blob_use WHERE holder = ? LIMIT 1", (holder.value,)) is not None
        }
        self.inline_bytes_max = INLINE_BYTES_MAX

    def any_of(self, holder: Holder) -> bool:
        """Whether a table may hold references; until then nobody needs to look for them."""
        return holder in self._held

    def put(self, holder: Holder, name: Name, body: bytes, part: tuple[int, int] | None = None) -> str:
        """Keep a value; the reference to write in its place. What the holder held before is given up.

        Args:
            part: start and end of the content in `body`; all of it when not given.
        """
        start, end = (0, len(body)) if part is None else part
        digest = self._place(body, start, end)
        self._held.add(holder)
        self._uses[holder, name] = digest
        return _reference(digest, body[:start], body[end:])

    def put_message(self, holder: Holder, name: Name, body: bytes) -> str:
        """`put` of a wire message's content."""
        return self.put(holder, name, body, content_of(body))

    def drop(self, holder: Holder, name: Name) -> None:
        """A row is deleted, or holds a small value from now on. Callers ask `any_of` first."""
        self._uses[holder, name] = None

    def drop_range(self, holder: Holder, first: int, upto: int) -> None:
        """Rows [first, upto) are deleted, those written since the last commit too."""
        self._dropped.append((holder, first, upto))

    def whole(self, reference: str) -> bytes:
        """The value that a reference stands for.

        Raises:
            apsw.Error: reading failed, or the file has lost it.
        """
        digest, head, tail = _parse(reference)
        data = self._find(digest)
        if data is None:
            raise apsw.CorruptError(f"blob {digest.hex()} is missing")
        return b"".join((head, data, tail))

    def value(self, stored: Value) -> bytes:
        """What a column that is never NULL says: its bytes, or those it refers to."""
        return self.whole(stored) if isinstance(stored, str) else cast(bytes, stored)

    # ------------------------------------------------------------ contents

    def _place(self, body: bytes, start: int, end: int) -> bytes:
        """The digest under which the content is, or will be with the next commit."""
        content = memoryview(body)[start:end]
        seed = 0
        while True:
            digest = xxh3_128_digest(content, seed)
            known = self._find(digest)
            # Views would be compared item by item; this is memcmp.
            if known is None or (len(known) == len(content) and body.startswith(known, start)):
                break
            seed += 1
        self._new[digest] = content
        self._remember(digest, content)
        return digest

    def _find(self, digest: bytes) -> memoryview | None:
        found = self._new.get(digest)
        if found is None:
            found = self._recent.get(digest)
        if found is None:
            row = self._database.first("SELECT data FROM blob WHERE digest = ?", (digest,))
            if row is None or not isinstance(row[0], bytes):
                return None
            found = memoryview(row[0])
            self._remember(digest, found)
        return found

    def _remember(self, digest: bytes, content: memoryview) -> None:
        recent = self._recent
        before = recent.pop(digest, None)
        recent[digest] = content
        self._recent_bytes += len(content) - (0 if before is None else len(before))
        while self._recent_bytes > RECENT_BYTES_MAX and recent:
            _, oldest = recent.popitem(last=False)
            self._recent_bytes -= len(oldest)

    # ------------------------------------------------------------ commit

    def flush(self) -> None:
        """Write contents and holders, and delete what nobody holds any more. After the tables'."""
        if not self._uses and not self._dropped:
            return
        database = self._database
        database.begin()
        given_up: set[bytes] = set()
        for (holder, name), digest in self._uses.items():
            if digest is not None and digest in self._new:
                self._store(digest)
            found = database.first(
                "SELECT digest FROM blob_use WHERE holder = ? AND name = ?", (holder.value, name)
            )
            before = None if found is None else found[0]
            if before == digest:
                continue
            if isinstance(before, bytes):
                given_up.add(before)
            if digest is None:
                database.execute("DELETE FROM blob_use WHERE holder = ? AND name = ?", (holder.value, name))
            else:
                database.execute(
                    "INSERT OR REPLACE INTO blob_use(holder, name, digest) VALUES (?, ?, ?)",
                    (holder.value, name, digest),
                )
        for holder, first, upto in self._dropped:
            values = (holder.value, first, upto)
            rows = database.rows(
                "SELECT digest FROM blob_use WHERE holder = ? AND name >= ? AND name < ?", values
            )
            if rows:
                given_up.update([digest for (digest,) in rows])
                database.execute("DELETE FROM blob_use WHERE holder = ? AND name >= ? AND name < ?", values)
        self._sweep(given_up)

    def _store(self, digest: bytes) -> None:
        database = self._database
        if database.first("SELECT 1 FROM blob WHERE digest = ?", (digest,)) is None:
            database.execute("INSERT INTO blob(digest, data) VALUES (?, ?)", (digest, self._new[digest]))

    def _sweep(self, given_up: set[bytes]) -> None:
        for digest in given_up:
            self._database.execute(
                "DELETE FROM blob WHERE digest = ?1 "
                "AND NOT EXISTS (SELECT 1 FROM blob_use WHERE blob_use.digest = ?1)",
                (digest,),
            )

    def committed(self) -> None:
        if self._uses or self._dropped:
            self._new.clear()
            self._uses.clear()
            self._dropped.clear()


# ---------------------------------------------------------------- references


def _reference(digest: bytes, head: bytes, tail: bytes) -> str:
    """`<digest><head>:<tail>`, each in hexadecimal, so that SQL reads it too."""
    return f"{digest.hex()}{head.hex()}:{tail.hex()}"


def head_of(reference: str) -> bytes:
    """What stands before the content."""
    return _parse(reference)[1]


def _parse(reference: str) -> tuple[bytes, bytes, bytes]:
    head, _, tail = reference[_DIGEST_CHARS:].partition(":")
    return bytes.fromhex(reference[:_DIGEST_CHARS]), bytes.fromhex(head), bytes.fromhex(tail)


def whole_sql(column: str, schema: str) -> str:
    """An SQL expression for a column's value, whether it is there or referred to.

    Args:
        column: as the query names it.
        schema: of the attached file.
    """
    return f"CASE typeof({column}) WHEN 'text' THEN ({_joined(column, schema)}) ELSE {column} END"


def length_sql(column: str, schema: str) -> str:
    """An SQL expression for the length in bytes of a column's value; reads no content."""
    around = f"(length({column}) - {_DIGEST_CHARS + 1}) / 2"
    return (
        f"CASE typeof({column}) WHEN 'text' THEN (SELECT {around} + length(b.data) FROM {schema}.blob b "
        f"WHERE b.digest = {_digest(column)}) ELSE length({column}) END"
    )


def _digest(column: str) -> str:
    return f"unhex(substr({column}, 1, {_DIGEST_CHARS}))"


def _joined(column: str, schema: str) -> str:
    first = _DIGEST_CHARS + 1
    head = f"unhex(substr({column}, {first}, instr({column}, ':') - {first}))"
    tail = f"unhex(substr({column}, instr({column}, ':') + 1))"
    return (
        f"SELECT CAST({head} || b.data || {tail} AS BLOB) FROM {schema}.blob b "
        f"WHERE b.digest = {_digest(column)}"
    )
