"""What must hold of a partition's file: its blobs are those that rows refer to, each of them unharmed."""

from __future__ import annotations

import apsw
from xxhash import xxh3_128_digest

from holdfast.storage.blobs import Holder, name_of
from holdfast.storage.post import SEQUENCES

SEEDS_MAX = 100
_DIGEST_CHARS = 32

_COLUMNS: dict[Holder, str] = {
    Holder.JOURNAL: "SELECT body, key FROM journal",
    Holder.RESULT: "SELECT result_value, row FROM invocation",
    Holder.STATE: "SELECT value, object, key FROM state",
    Holder.PROMISE: "SELECT value, object, key FROM promise",
    Holder.OUTBOX: "SELECT message, destination, sequence FROM outbox",
}


def references(connection: apsw.Connection) -> dict[tuple[int, int | bytes], bytes]:
    """Every reference in the file: who holds it, and the digest it names."""
    found: dict[tuple[int, int | bytes], bytes] = {}
    for holder, sql in _COLUMNS.items():
        for stored, *key in connection.execute(sql):
            if isinstance(stored, str):
                found[holder.value, _name(holder, key)] = bytes.fromhex(stored[:_DIGEST_CHARS])
    return found


def _name(holder: Holder, key: list[object]) -> int | bytes:
    match key:
        case [int(number)]:
            return number
        case [int(destination), int(sequence)]:
            return destination * SEQUENCES + sequence
        case [str(object_), str() | bytes() as own]:
            return name_of(object_, own.encode() if isinstance(own, str) else own)
        case _:
            raise AssertionError(f"no name of {holder!r}: {key}")


def complaint(connection: apsw.Connection) -> str | None:
    """What is wrong with the blobs of a file; None when they are exactly what its rows refer to."""
    referred = references(connection)
    rows = connection.execute("SELECT holder, name, digest FROM blob_use").fetchall()
    uses = {(int(holder), name): digest for holder, name, digest in rows}
    if uses != referred:
        odd = sorted(map(repr, uses.items() - referred.items()))[:3]
        lost = sorted(map(repr, referred.items() - uses.items()))[:3]
        return f"written down as holders are {odd}, and not {lost}"
    blobs = dict(connection.execute("SELECT digest, data FROM blob").fetchall())
    if blobs.keys() != set(referred.values()):
        odd, lost = blobs.keys() - set(referred.values()), set(referred.values()) - blobs.keys()
        return f"blobs {sorted(odd)[:3]} are kept for nobody, blobs {sorted(lost)[:3]} are missing"
    for digest, data in blobs.items():
        if all(xxh3_128_digest(data, seed) != digest for seed in range(SEEDS_MAX)):
            return f"blob {digest.hex()} is not what was stored under its name"
    return None
