"""Replacement of an object's whole state by an operator, in its turn behind the object's lock."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from holdfast.core.tables import Mutation, StateTable


def state_version(state: Mapping[bytes, bytes]) -> str:
    """The hash that guards a replacement (admin interface, "State mutation"): base64url without padding of
    SHA-256 over, for each key in byte order, its number as u64, 01, key, 02, value, 03."""
    digest = hashlib.sha256()
    for number, key in enumerate(sorted(state)):
        digest.update(number.to_bytes(8, "big") + b"\x01" + key + b"\x02" + state[key] + b"\x03")
    return urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()


def replace_state(table: StateTable, object_: str, mutation: Mutation) -> bool:
    """Make `mutation.state` the whole state; false when its version guard no longer holds."""
    if mutation.version is not None and mutation.version != state_version(table.all(object_)):
        return False
    table.clear_all(object_)
    for key, value in mutation.state:
        table.set(object_, key, value)
    return True
