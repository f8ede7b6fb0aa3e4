"""Identifiers: 24 raw bytes of an invocation, and the texts people and tools see.

    inv_1 + 11 digits of bytes 0..8 + 22 digits of bytes 8..24     base 62, bytes read little-endian
    dp_1  + 22 digits of 16 bytes
    sign_1 + base64url of (24 raw bytes + signal index, u32 big-endian)

The first 8 raw bytes are the partition key, big-endian (only the text reads them the other way round). Keyed
targets hash their key into it, so that everything about one key meets in one partition; a workflow run or an
idempotent request also derives the other 16 bytes from its names, so that asking twice finds the same one.

Encoding is on the hot path, once per invocation: 1.3 us. Splitting the numbers until each part is below 62^6
keeps the arithmetic on machine-sized integers, and two digits at a time come from a table that fits the
cache. Three at a time need half the look-ups and took 2 to 4 us with ids that differ, since their table does
not fit.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from struct import Struct
from typing import NewType

from holdfast.protocol.errors import InvalidId

InvocationId = NewType("InvocationId", bytes)
"""24 raw bytes."""

INVOCATION_ID_BYTES = 24
DEPLOYMENT_ID_BYTES = 16
UNIQUE_BYTES = 16

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_DIGIT = {digit: value for value, digit in enumerate(_ALPHABET)}
_62_2, _62_4, _62_6, _62_12 = 62**2, 62**4, 62**6, 62**12

TEXTS_KEPT_MAX = 2048
_texts: dict[bytes, str] = {}
"""Texts of the ids met last: an invocation's is asked for when its attempt opens and when it is answered."""

BEGINNINGS_KEPT_MAX = 256
_beginnings: dict[int, str] = {}
"""Texts of the partition keys met last, with what precedes them: an object's ids begin with the same one."""

_RESOURCES = frozenset({"inv", "dp", "sub", "sign", "prom"})
_VERSION = "1"

_unpack_invocation_id = Struct("<QQQ").unpack
_unpack_deployment_id = Struct("<QQ").unpack
_SIGNAL_INDEX = Struct(">I")


def encode_invocation_id(raw: bytes) -> str:
    """The text of an invocation id, always 38 characters.

    Raises:
        ValueError: not 24 bytes.
    """
    text = _texts.get(raw)
    if text is None:
        text = _invocation_text(raw)
        if len(_texts) >= TEXTS_KEPT_MAX:
            _texts.clear()
        _texts[raw] = text
    return text


def _invocation_text(raw: bytes) -> str:
    if len(raw) != INVOCATION_ID_BYTES:
        raise ValueError(f"an invocation id is {INVOCATION_ID_BYTES} bytes, got {len(raw)}")
    key, low, high = _unpack_invocation_id(raw)
    beginning = _beginnings.get(key)
    if beginning is None:
        a, b = divmod(key, _62_6)
        pairs = _PAIRS
        beginning = (
            f"inv_1{_ALPHABET[a // _62_4]}{pairs[a // _62_2 % _62_2]}{pairs[a % _62_2]}"
            f"{pairs[b // _62_4]}{pairs[b // _62_2 % _62_2]}{pairs[b % _62_2]}"
        )
        if len(_beginnings) >= BEGINNINGS_KEPT_MAX:
            _beginnings.clear()
        _beginnings[key] = beginning
    return beginning + _digits_22(high << 64 | low)


def decode_invocation_id(text: str) -> InvocationId:
    """The 24 raw bytes of an invocation id.

    Raises:
        InvalidId: the message is the reason alone, for the caller to say which field it was.
    """
    digits = _digits_of(text, "inv", 33)
    return InvocationId(_number(digits[:11], 8) + _number(digits[11:], 16))


def encode_deployment_id(raw: bytes) -> str:
    """The text of a deployment id, always 26 characters.

    Raises:
        ValueError: not 16 bytes.
    """
    if len(raw) != DEPLOYMENT_ID_BYTES:
        raise ValueError(f"a deployment id is {DEPLOYMENT_ID_BYTES} bytes, got {len(raw)}")
    low, high = _unpack_deployment_id(raw)
    return f"dp_1{_digits_22(high << 64 | low)}"


def decode_deployment_id(text: str) -> bytes:
    """The 16 raw bytes of a deployment id.

    Raises:
        InvalidId: as `decode_invocation_id`.
    """
    return _number(_digits_of(text, "dp", 22), 16)


def awakeable_id(raw: bytes, signal_index: int) -> str:
    """The text that completes one signal of one invocation from anywhere, always 44 characters."""
    if len(raw) != INVOCATION_ID_BYTES:
        raise ValueError(f"an invocation id is {INVOCATION_ID_BYTES} bytes, got {len(raw)}")
    return "sign_1" + urlsafe_b64encode(raw + _SIGNAL_INDEX.pack(signal_index)).rstrip(b"=").decode("ascii")


def parse_awakeable_id(text: str) -> tuple[InvocationId, int]:
    """The invocation's raw id and the signal index; base64 padding is tolerated.

    Raises:
        InvalidId: as `decode_invocation_id`. What is not a well-formed signal id is "not the expected type",
        as
            clients of other servers know it; the older `prom_1` ids are refused with "bad length".
    """
    resource, payload = _resource_of(text)
    if resource == "prom":
        raise InvalidId("bad length")
    if resource != "sign":
        raise InvalidId("id doesn't match the expected type")
    payload = payload.rstrip("=")
    try:
        raw = urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    except (binascii.Error, ValueError):
        raise InvalidId("id doesn't match the expected type") from None
    # Decoders skip characters outside the alphabet; writing it back tells whether the text was exactly that.
    if len(raw) != INVOCATION_ID_BYTES + 4 or urlsafe_b64encode(raw).rstrip(b"=") != payload.encode():
        raise InvalidId("id doesn't match the expected type")
    return InvocationId(raw[:INVOCATION_ID_BYTES]), int.from_bytes(raw[INVOCATION_ID_BYTES:], "big")


def partition_key_of(raw: bytes) -> int:
    """The u64 partition key inside an invocation id."""
    return int.from_bytes(raw[:8], "big")


def make_invocation_id(partition_key: int, unique: bytes) -> InvocationId:
    """An invocation id from its u64 partition key and its 16 unique bytes.

    Raises:
        ValueError: `unique` is not 16 bytes.
    """
    if len(unique) != UNIQUE_BYTES:
        raise ValueError(f"the unique part of an invocation id is {UNIQUE_BYTES} bytes, got {len(unique)}")
    return InvocationId(partition_key.to_bytes(8, "big") + unique)


def workflow_unique(service: str, key: str, scope: str | None = None) -> bytes:
    """The 16 unique bytes of a workflow run: one run per key, whoever asks."""
    return _unique("wf", scope, service, key)


def idempotent_unique(
    service: str, key: str | None, handler: str, idempotency_key: str, scope: str | None = None
) -> bytes:
    """The 16 unique bytes of an idempotent request: the same key finds the same invocation again."""
    if key is None:
        return _unique("ik", scope, service, handler, idempotency_key)
    return _unique("ik", scope, service, key, handler, idempotency_key)


def keyed_partition_key(key: str) -> int:
    """The u64 partition key of everything with this object, workflow or idempotency key."""
    # Imported here because only a server places keys: the SDK shares this module and has no other use for it.
    from xxhash import xxh3_64_intdigest

    return xxh3_64_intdigest(key.encode() + b"\xff")


def _digits_22(number: int) -> str:
    upper, lower = divmod(number, _62_12)
    a, b = divmod(upper, _62_6)
    c, d = divmod(lower, _62_6)
    pairs = _PAIRS
    return (
        f"{pairs[a // _62_2]}{pairs[a % _62_2]}"
        f"{pairs[b // _62_4]}{pairs[b // _62_2 % _62_2]}{pairs[b % _62_2]}"
        f"{pairs[c // _62_4]}{pairs[c // _62_2 % _62_2]}{pairs[c % _62_2]}"
        f"{pairs[d // _62_4]}{pairs[d // _62_2 % _62_2]}{pairs[d % _62_2]}"
    )


def _unique(kind: str, scope: str | None, *parts: str) -> bytes:
    names = (kind, *parts) if scope is None else (kind, scope, *parts)
    return sha256(",".join(names).encode()).digest()[:UNIQUE_BYTES]


def _resource_of(text: str) -> tuple[str, str]:
    """Kind of thing and the text after the version character, both checked."""
    resource, separator, rest = text.partition("_")
    if not separator:
        raise InvalidId("bad format")
    if resource not in _RESOURCES:
        raise InvalidId(f"unrecognized resource type: {resource}")
    if not rest:
        raise InvalidId("bad length")
    if rest[0] != _VERSION:
        raise InvalidId("unrecognized codec version")
    return resource, rest[1:]


def _digits_of(text: str, expected: str, count: int) -> str:
    resource, digits = _resource_of(text)
    if resource != expected:
        raise InvalidId("id doesn't match the expected type")
    if len(digits) != count:
        raise InvalidId("bad length")
    return digits


def _number(digits: str, size: int) -> bytes:
    number = 0
    try:
        for digit in digits:
            number = number * 62 + _DIGIT[digit]
        return number.to_bytes(size, "little")
    except (KeyError, OverflowError):
        raise InvalidId("base62 decode error") from None
