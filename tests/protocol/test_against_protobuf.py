"""A second implementation to disagree with: Google's, on message classes compiled from docs/protocol.proto.

What we write, it reads without unknown fields and writes back to the same bytes. What it makes of a damaged
body, we make of it too, except where we are stricter on purpose: groups, which this protocol never had.
"""

import importlib.util
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from grpc_tools import protoc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.protocol.errors import ProtocolError
from holdfast.protocol.messages import Message
from protocol.strategies import MESSAGE_CLASSES, any_message, message_of

PROTO = Path(__file__).parents[2] / "docs" / "protocol.proto"


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The compiled definitions, in a folder of their own."""
    folder = tmp_path_factory.mktemp("protobuf")
    assert protoc.main(["protoc", f"-I{PROTO.parent}", f"--python_out={folder}", str(PROTO)]) == 0
    spec = importlib.util.spec_from_file_location("holdfast_reference_pb2", folder / "protocol_pb2.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def nodes(message: Any) -> Iterator[Any]:
    """A reference message and every message inside it."""
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inner in value if field.is_repeated else [value]:
                yield from nodes(inner)


def forget_what_we_do_not_keep(message: Any) -> None:
    """Unknown fields, and enum numbers from the future, which we read as the default."""
    message.DiscardUnknownFields()
    for node in nodes(message):
        for field in node.DESCRIPTOR.fields:
            known = field.enum_type.values_by_number if field.enum_type else None
            if known is not None and getattr(node, field.name) not in known:
                node.ClearField(field.name)


@pytest.mark.parametrize("cls", MESSAGE_CLASSES, ids=lambda cls: cls.__name__)
def test_what_we_write_it_reads_and_writes_back(cls: type[Message], reference: Any) -> None:
    @given(message_of(cls))
    @settings(max_examples=40)
    def law(message: Message) -> None:
        body = message.encode()
        theirs = getattr(reference, cls.__name__)()
        theirs.ParseFromString(body)
        assert all(len(UnknownFieldSet(node)) == 0 for node in nodes(theirs))
        assert theirs.SerializeToString(deterministic=True) == body

    law()


@given(message=any_message, other=st.binary(max_size=30), at=st.integers(0, 60), drop=st.integers(0, 3))
@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_bodies_mean_the_same_to_both(
    message: Message, other: bytes, at: int, drop: int, reference: Any
) -> None:
    """Method: overwrite, insert and cut; then either both refuse, or both keep the same content."""
    body = message.encode()
    compare(type(message), body[:at] + other + body[at + drop :], reference)


@given(first=any_message, data=st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_message_after_another_merges_as_protobuf_says(
    first: Message, data: st.DataObject, reference: Any
) -> None:
    """Goal: last scalar wins, oneof members displace each other, sub-messages merge, lists append."""
    second = data.draw(message_of(type(first)))
    compare(type(first), first.encode() + second.encode(), reference)


@given(message=any_message)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_body_cut_anywhere_is_judged_the_same(message: Message, reference: Any) -> None:
    body = message.encode()
    for cut in range(min(len(body), 80)):
        ours, theirs = read_both(type(message), body[:cut], reference)
        assert ours == theirs


def compare(cls: type[Message], body: bytes, reference: Any) -> None:
    ours, theirs = read_both(cls, body, reference)
    if ours is not None and theirs is not None:
        assert ours == theirs
    elif ours is None and theirs is not None:
        with pytest.raises(ProtocolError, match="wire type"):
            cls.decode(body)


def read_both(cls: type[Message], body: bytes, reference: Any) -> tuple[bytes | None, bytes | None]:
    """What each makes of a body, written back; None when refused."""
    theirs = getattr(reference, cls.__name__)()
    their_body = None
    with suppress(DecodeError):
        theirs.ParseFromString(body)
        forget_what_we_do_not_keep(theirs)
        their_body = theirs.SerializeToString(deterministic=True)
    our_body = None
    with suppress(ProtocolError):
        our_body = cls.decode(body).encode()
    return our_body, their_body
