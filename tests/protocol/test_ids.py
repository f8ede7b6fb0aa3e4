"""Identifiers: the texts other tools know, to the character, and the reasons other tools give."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.protocol import ids
from holdfast.protocol.errors import InvalidId, ProtocolError
from protocol.vectors import captured_frames, load

VECTORS = load("ids")["vectors"]
ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
CAPTURED = [(vector["text"], bytes.fromhex(vector["raw_hex"])) for vector in VECTORS if "text" in vector]


def items(beginning: str) -> dict[str, str]:
    return next(vector["items"] for vector in VECTORS if vector["description"].startswith(beginning))


@pytest.mark.parametrize(("text", "raw"), CAPTURED)
def test_captured_invocation_ids(text: str, raw: bytes) -> None:
    assert ids.encode_invocation_id(raw) == text
    assert ids.decode_invocation_id(text) == raw


def test_every_captured_start_names_its_invocation_the_same_way_twice() -> None:
    """The raw id and the printable id of a real Start agree under our rule."""
    from holdfast.protocol.messages import StartMessage

    starts = [StartMessage.decode(f.data[8:]) for f in captured_frames() if f.message == "StartMessage"]
    real = [start for start in starts if len(start.debug_id) == 38]
    assert len(real) > 20
    for start in real:
        assert ids.encode_invocation_id(start.id) == start.debug_id


@given(st.binary(min_size=24, max_size=24))
@example(bytes(24))
@example(b"\xff" * 24)
def test_any_invocation_id_is_read_back(raw: bytes) -> None:
    """Also against the rule written plainly: base 62 of the little-endian numbers, padded."""
    text = ids.encode_invocation_id(raw)
    assert text == "inv_1" + plain_base62(raw[:8], 11) + plain_base62(raw[8:], 22)
    assert ids.decode_invocation_id(text) == raw
    assert ids.make_invocation_id(ids.partition_key_of(raw), raw[8:]) == raw


def plain_base62(raw: bytes, width: int) -> str:
    number, digits = int.from_bytes(raw, "little"), ""
    while number:
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return digits.rjust(width, "0")


def test_deployment_ids() -> None:
    for text, raw_hex in items("deployment ids").items():
        assert ids.encode_deployment_id(bytes.fromhex(raw_hex)) == text
        assert ids.decode_deployment_id(text) == bytes.fromhex(raw_hex)


def test_awakeable_ids() -> None:
    vector = next(vector for vector in VECTORS if "awakeables" in vector)
    raw = bytes.fromhex(vector["raw_hex"])
    assert ids.encode_invocation_id(raw) == vector["invocation_id"]
    for index, text in vector["awakeables"].items():
        assert ids.awakeable_id(raw, int(index)) == text
        assert ids.parse_awakeable_id(text) == (raw, int(index))
        assert ids.parse_awakeable_id(text + "==") == (raw, int(index))


def test_captured_awakeable_commands_name_awakeables() -> None:
    from holdfast.protocol.messages import CompleteAwakeableCommandMessage

    captured = [f for f in captured_frames() if f.message == "CompleteAwakeableCommandMessage"]
    texts = [CompleteAwakeableCommandMessage.decode(f.data[8:]).awakeable_id for f in captured]
    assert texts
    for text in texts:
        raw, index = ids.parse_awakeable_id(text)
        assert index >= 17
        assert ids.awakeable_id(raw, index) == text


@given(st.binary(min_size=24, max_size=24), st.integers(0, 2**32 - 1))
def test_any_awakeable_id_is_read_back(raw: bytes, index: int) -> None:
    text = ids.awakeable_id(raw, index)
    assert len(text) == 44
    assert ids.parse_awakeable_id(text) == (raw, index)


def test_keys_hash_to_the_partition_other_servers_use() -> None:
    for key, partition_key in items("first 8 bytes").items():
        assert ids.keyed_partition_key(key) == int(partition_key, 16)
        raw = ids.make_invocation_id(ids.keyed_partition_key(key), bytes(16))
        assert raw[:8].hex() == partition_key


def test_deterministic_unique_parts() -> None:
    unique = {text: bytes.fromhex(value) for text, value in items("last 16 bytes").items()}
    assert ids.workflow_unique("Flow", "w2") == unique["wf,Flow,w2"]
    assert ids.idempotent_unique("Greeter", None, "greet", "k1") == unique["ik,Greeter,greet,k1"]
    parts = {
        ids.idempotent_unique("S", "k", "h", "i"),
        ids.idempotent_unique("S", "k", "h", "i", "scope"),
        ids.idempotent_unique("S", None, "h", "i", "scope"),
        ids.idempotent_unique("S", "", "h", "i"),
        ids.workflow_unique("S", "k"),
        ids.workflow_unique("S", "k", "scope"),
    }
    assert len(parts) == 6


def test_a_captured_workflow_id_is_what_we_would_have_chosen() -> None:
    captured = next(raw for text, raw in CAPTURED if text == "inv_1fJLVQMsfS6l3E32KC8QHWeJOg7UGZl6Ji")
    chosen = ids.make_invocation_id(ids.keyed_partition_key("w2"), ids.workflow_unique("Flow", "w2"))
    assert chosen == captured


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "bad format"),
        ("inv", "bad format"),
        ("ivn_1abc", "unrecognized resource type: ivn"),
        ("inv_", "bad length"),
        ("inv_xxx", "unrecognized codec version"),
        ("inv_1abc", "bad length"),
        ("inv_1" + "0" * 34, "bad length"),
        ("dp_1" + "0" * 22, "id doesn't match the expected type"),
        ("inv_1" + "0" * 32 + "-", "base62 decode error"),
        ("inv_1" + "Z" * 11 + "0" * 22, "base62 decode error"),
        ("inv_1" + "0" * 11 + "Z" * 22, "base62 decode error"),
        ("inv_1" + "\u0660" * 33, "base62 decode error"),
    ],
)
def test_the_reasons_for_refusing_an_invocation_id(text: str, reason: str) -> None:
    with pytest.raises(InvalidId, match=f"^{re.escape(reason)}$"):
        ids.decode_invocation_id(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sign_1AAAA", "id doesn't match the expected type"),
        ("prom_1AAAA", "bad length"),
        ("inv_1" + "0" * 33, "id doesn't match the expected type"),
        ("sign_2" + "A" * 38, "unrecognized codec version"),
        ("sign_1" + "A" * 37 + "!", "id doesn't match the expected type"),
        ("sign_1" + "A" * 37 + "é", "id doesn't match the expected type"),
        ("sign_1" + "A" * 37 + "B", "id doesn't match the expected type"),
        ("what", "bad format"),
    ],
)
def test_the_reasons_for_refusing_an_awakeable_id(text: str, reason: str) -> None:
    with pytest.raises(InvalidId, match=f"^{re.escape(reason)}$"):
        ids.parse_awakeable_id(text)


def test_the_reasons_for_refusing_a_deployment_id() -> None:
    with pytest.raises(InvalidId, match=r"^unrecognized codec version$"):
        ids.decode_deployment_id("dp_xxx")


@given(st.text(max_size=50) | st.text("inv_dpsigro1Z0=-", max_size=50))
def test_any_text_is_an_id_or_an_error(text: str) -> None:
    for parse in (ids.decode_invocation_id, ids.decode_deployment_id, ids.parse_awakeable_id):
        try:
            parse(text)
        except ProtocolError:
            continue


@pytest.mark.parametrize("size", [0, 23, 25])
def test_raw_ids_of_the_wrong_size_are_our_own_error(size: int) -> None:
    for write in (ids.encode_invocation_id, ids.encode_deployment_id, lambda raw: ids.awakeable_id(raw, 17)):
        with pytest.raises(ValueError, match="bytes, got"):
            write(bytes(size))
    with pytest.raises(ValueError, match="16 bytes"):
        ids.make_invocation_id(1, bytes(size))
