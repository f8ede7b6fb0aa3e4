"""Captured frames survive reading and writing to the byte; so does anything else the messages can say."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.protocol import messages
from holdfast.protocol.errors import FrameTooLarge, MalformedMessage, ProtocolError, UnknownMessageType
from holdfast.protocol.framing import FrameDecoder, MessageType, encode_frame
from holdfast.protocol.messages import (
    VOID,
    CallCommandMessage,
    Failure,
    GetEagerStateCommandMessage,
    InputCommandMessage,
    InvocationIdResult,
    Message,
    NotificationTemplate,
    OutputCommandMessage,
    ProposeRunCompletionMessage,
    RunCommandMessage,
    RunCompletionNotificationMessage,
    SignalNotificationMessage,
    SleepCompletionNotificationMessage,
    StartMessage,
    StateKeys,
    Value,
    Void,
)
from holdfast.protocol.state_commands import InputHeaders, encode_input, input_content
from holdfast.protocol.wire import varint
from protocol.strategies import MESSAGE_CLASSES, any_message, message_of
from protocol.vectors import CapturedFrame, captured_frames


@pytest.mark.parametrize("captured", captured_frames(), ids=lambda captured: captured.message)
def test_a_captured_frame_is_read_and_written_to_the_byte(captured: CapturedFrame) -> None:
    ((type_, flags, body),) = FrameDecoder(1 << 20).feed(captured.data)
    message = messages.decode(type_, body, captured.version)
    assert type(message).__name__ == captured.message
    assert messages.frame(message, flags) == captured.data
    if type_ >= 0x8000:
        assert NotificationTemplate.decode(body).encode() == body


def test_the_captures_cover_most_of_the_protocol() -> None:
    """A vector file that went missing must not pass as success."""
    assert len(captured_frames()) > 300
    assert len({captured.message for captured in captured_frames()}) >= 38


@pytest.mark.parametrize("cls", MESSAGE_CLASSES, ids=lambda cls: cls.__name__)
def test_any_message_survives_the_wire(cls: type[Message]) -> None:
    @given(message_of(cls))
    @settings(max_examples=40)
    def law(message: Message) -> None:
        assert cls.decode(message.encode()) == message

    law()


@given(message=any_message, junk=st.binary(min_size=1, max_size=12), at=st.integers(0, 200))
@settings(max_examples=300)
def test_garbage_raises_protocol_errors_only(message: Message, junk: bytes, at: int) -> None:
    body = message.encode()
    for wrong in (body[:at], body[:at] + junk + body[at:], body[:at] + junk + body[at + len(junk) :], junk):
        try:
            again = type(message).decode(wrong)
        except ProtocolError:
            continue
        else:
            assert type(message).decode(again.encode()) == again


@given(body=st.binary(max_size=200))
@settings(max_examples=300)
def test_random_bytes_are_a_message_or_an_error(body: bytes) -> None:
    for cls in MESSAGE_CLASSES:
        try:
            cls.decode(body)
        except ProtocolError:
            continue


@given(message=any_message, value=st.binary(max_size=5))
def test_fields_of_a_newer_peer_are_skipped(message: Message, value: bytes) -> None:
    """Goal: the next version may add fields. Method: append one of each wire type at an unused number."""
    newer = b"".join(
        (
            b"\xf0\x01\x96\x01",  # 30: varint 150
            b"\xfa\x01" + bytes((len(value),)) + value,  # 31: bytes
            b"\x85\x02\1\2\3\4",  # 32: fixed32
            b"\x89\x02" + bytes(8),  # 33: fixed64
        )
    )
    assert type(message).decode(message.encode() + newer) == message


def test_empty_void_and_missing_are_three_things() -> None:
    assert SignalNotificationMessage(1, None, VOID).encode() == b"\x10\x01\x22\x00"
    assert SignalNotificationMessage(1, None, Value(b"")).encode() == b"\x10\x01\x2a\x00"
    assert SignalNotificationMessage(1, None, None).encode() == b"\x10\x01"
    assert OutputCommandMessage(result=Value(b"")).encode() == b"\x72\x00"
    assert SignalNotificationMessage(0, None, VOID) == SignalNotificationMessage.decode(b"\x10\x00\x22\x00")
    call = CallCommandMessage(idempotency_key="")
    assert CallCommandMessage.decode(call.encode()).idempotency_key == ""
    assert CallCommandMessage.decode(b"").idempotency_key is None


def test_a_notification_is_read_without_knowing_its_type() -> None:
    decode = NotificationTemplate.decode
    assert decode(SleepCompletionNotificationMessage(3).encode()) == NotificationTemplate(3, None, None, VOID)
    call = messages.CallInvocationIdCompletionNotificationMessage(1, "inv_1")
    assert decode(call.encode()).result == InvocationIdResult("inv_1")
    keys = messages.GetLazyStateKeysCompletionNotificationMessage(2, StateKeys((b"a", b"")))
    assert decode(keys.encode()).result == StateKeys((b"a", b""))
    named = SignalNotificationMessage(None, "go", Failure(500, "no", (("k", "v"),)))
    assert decode(named.encode()) == NotificationTemplate(None, None, "go", named.result)


def test_the_body_of_a_suspension_depends_on_the_version() -> None:
    body = b"\x0a\x01\x05\x12\x01\x01"
    assert messages.decode(MessageType.SUSPENSION, body, 6) == messages.SuspensionMessageV6((5,), (1,))
    assert messages.decode(MessageType.SUSPENSION, body, 7) == messages.SuspensionMessage(None)


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(UnknownMessageType, match="0x040f"):
        messages.decode(0x040F, b"")


def test_unpacked_numbers_are_read_too() -> None:
    assert messages.SuspensionMessageV6.decode(b"\x08\x01\x0a\x02\x02\x03\x08\x04").waiting_completions == (
        1,
        2,
        3,
        4,
    )


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"\x0a\x05ab", "announces 5 bytes, but only 2 are left"),
        (b"\x0a", "cut inside a number"),
        (b"\x58" + b"\xff" * 11, "does not end within ten bytes"),
        (b"\x00\x01", "names no valid field"),
        (b"\x62\x02\xff\xfe", "not UTF-8"),
        (b"\x0b\x0c", "wire type 3"),
        (b"\x0d\x01", "is cut"),
    ],
)
def test_what_is_wrong_is_said(body: bytes, problem: str) -> None:
    with pytest.raises(MalformedMessage, match=problem) as refusal:
        RunCommandMessage.decode(body)
    assert refusal.value.code == "RT0012"


def test_many_tiny_fields_are_refused_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.protocol.wire.FIELDS_MAX", 100)
    assert len(InputCommandMessage.decode(b"\x0a\x00" * 100).headers) == 100
    with pytest.raises(FrameTooLarge, match="more than 100 fields"):
        InputCommandMessage.decode(b"\x0a\x00" * 101)
    with pytest.raises(FrameTooLarge, match="more than 100 numbers"):
        messages.SuspensionMessageV6.decode(b"\x0a\x65" + bytes(101))


def test_what_we_cannot_write_is_our_own_error() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        RunCommandMessage(-1).encode()
    with pytest.raises(ValueError, match="does not fit"):
        StartMessage(random_seed=2**64).encode()
    wrong = GetEagerStateCommandMessage(result=Failure(500, ""))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot carry a Failure"):
        wrong.encode()


def test_error_texts_with_broken_characters_are_still_reported() -> None:
    assert Failure.decode(Failure(500, "file \udcff").encode()).message == "file ?"


@given(
    st.integers(0, 2**21),
    st.sampled_from([0, 1, 120, 126, 127, 128, 200, 16380, 16384, 70000]).map(bytes),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
)
def test_short_ways_agree_with_the_general_reader(number: int, content: bytes, name: str) -> None:
    """Goal: the quick paths of hot messages change nothing. Method: an unknown field last forces the general
    path.
    """
    unknown = b"\xf0\x01\x01"
    for message in (
        RunCommandMessage(number, name),
        ProposeRunCompletionMessage(number, Value(content)),
        ProposeRunCompletionMessage(number, Failure(500, name)),
        OutputCommandMessage("", Value(content)),
        OutputCommandMessage(name, Value(content)),
        RunCompletionNotificationMessage(number, Value(content)),
        NotificationTemplate(number, None, None, Value(content)),
        NotificationTemplate(number, None, None, Void()),
        NotificationTemplate(None, number, None, Value(content)),
        InputCommandMessage((), "", Value(content)),
        messages.SuspensionMessage(messages.Future((number,), (1,))),
        messages.AwaitingOnMessage(messages.Future((number,), (1,)), True),
        messages.ProposeRunCompletionAckMessage(number),
    ):
        body = message.encode()
        assert type(message).decode(body) == type(message).decode(body + unknown) == message


@pytest.mark.parametrize("size", range(140))
def test_short_ways_are_not_fooled_by_long_numbers(size: int) -> None:
    """Goal: a two-byte id or length whose second byte looks like a tag. Method: all sizes at which it could
    fit.
    """
    content = bytes(size)
    for low in (0, 24, 127):
        for message in (
            RunCommandMessage(0x62 << 7 | low, "b" * size),
            ProposeRunCompletionMessage(0x72 << 7 | low, Value(content)),
            NotificationTemplate(0x2A << 7 | low, None, None, Value(content)),
            NotificationTemplate(None, 0x22 << 7 | low, None, Value(content)),
            OutputCommandMessage("", Value(bytes(0x72) + content)),
            InputCommandMessage(((("\x12" * (126 + low)), "v" * size), ("\x12", "\x12" * (100 + low)))),
        ):
            assert type(message).decode(message.encode()) == message


def test_a_length_that_only_seems_to_fill_the_body_is_refused() -> None:
    for size in range(128, 256, 2):
        body = bytes((0x72, size)) + b"\x0a\x00" * (size // 2)
        with pytest.raises(MalformedMessage):
            OutputCommandMessage.decode(body)


def test_numbers_above_32_bits_lose_what_does_not_fit() -> None:
    """As protobuf has it, so that both sides of a stream see the same id."""
    number = varint(2**32 + 5)
    assert RunCommandMessage.decode(b"\x58" + number).result_completion_id == 5
    assert NotificationTemplate.decode(b"\x10" + number).signal_id == 5
    assert messages.ErrorMessage.decode(b"\x20" + number).related_command_index == 5
    packed = b"\x0a" + bytes((len(number),)) + number
    for body in (packed, b"\x08" + number):
        assert messages.Future.decode(body).waiting_completions == (5,)
        assert messages.SuspensionMessageV6.decode(body).waiting_completions == (5,)
    assert messages.Future.decode(b"\x28" + varint(2**32 + 1)).combinator_type == 1


def test_messages_have_no_dict() -> None:
    """One object per journal entry: a slot forgotten is a hundred bytes each."""
    for cls in MESSAGE_CLASSES:
        assert dataclasses.is_dataclass(cls)
        assert not hasattr(cls(), "__dict__")


def test_frame_takes_its_type_from_the_class() -> None:
    assert messages.frame(RunCommandMessage(1, "step")) == encode_frame(0x0411, b"\x58\x01\x62\x04step")


@given(
    st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5) | st.just("v" * 300)), max_size=4),
    st.binary(),
)
def test_the_short_way_to_write_an_input_agrees_with_the_message(
    headers: list[tuple[str, str]], content: bytes
) -> None:
    for _ in range(2):  # from nothing, and from what is remembered
        message = InputCommandMessage(tuple(headers), value=Value(content))
        assert encode_input(headers, content) == message.encode()
        assert encode_input(InputHeaders(headers), content) == message.encode()


@given(
    headers=st.lists(st.tuples(st.text(max_size=200), st.text(max_size=200)), max_size=5),
    content=st.none() | st.binary(max_size=300),
    name=st.text(max_size=5),
)
def test_the_inputs_content_is_found_without_reading_its_headers(
    headers: list[tuple[str, str]], content: bytes | None, name: str
) -> None:
    """Goal: the short way sees what the long one does. Method: any input, both ways."""
    value = None if content is None else Value(content)
    body = InputCommandMessage(tuple(headers), name, value).encode()
    assert input_content(body) == (content or b"")
