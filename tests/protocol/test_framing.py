"""Frames come out whole and in order however the transport cuts them, and too large ones never get in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol.errors import FrameTooLarge
from holdfast.protocol.framing import (
    ACK_REQUESTED,
    HEADER_BYTES,
    FrameDecoder,
    MessageType,
    encode_frame,
    is_command,
    is_notification,
    whole_frames,
)
from holdfast.protocol.messages import MESSAGE_TYPES
from protocol.vectors import captured_frames

frames = st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=40))


@given(st.lists(frames, max_size=8), st.data())
def test_cuts_do_not_matter(sent: list[tuple[int, int, bytes]], data: st.DataObject) -> None:
    """Goal: a transport's chunks have no meaning. Method: cut one stream at random places."""
    stream = b"".join(encode_frame(type_, body, flags) for type_, flags, body in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    decoder = FrameDecoder(1000)
    received = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += decoder.feed(stream[start:stop])
    assert received == sent
    assert decoder.pending_bytes == 0


@given(st.lists(st.integers(0, 9000), max_size=6), st.lists(st.integers(0, 20_000), max_size=40))
def test_large_bodies_come_together_from_chunks_of_any_size(sizes: list[int], cuts: list[int]) -> None:
    """Goal: a body is what was sent, whether its parts are kept as they come or gathered."""
    sent = [(n, 0, bytes((n + i) % 251 for i in range(size))) for n, size in enumerate(sizes)]
    stream = b"".join(encode_frame(type_, body) for type_, _, body in sent)
    decoder, received, fed = FrameDecoder(10_000), [], 0
    places = sorted({min(cut, len(stream)) for cut in cuts} | {len(stream)})
    for place in places:
        received += decoder.feed(stream[fed:place])
        fed = place
        whole = sum(8 + len(body) for _, _, body in received)
        assert decoder.pending_bytes == fed - whole
    assert received == sent


@given(st.lists(frames, max_size=8), st.integers(0, 60))
def test_a_chunk_of_whole_frames_needs_no_decoder(sent: list[tuple[int, int, bytes]], cut: int) -> None:
    """Goal: the short way says what the decoder says, and leaves everything unfinished or large to it."""
    stream = b"".join(encode_frame(type_, body, flags) for type_, flags, body in sent)
    assert whole_frames(stream, 40) == sent
    large = [body for _, _, body in sent if len(body) > 20]
    assert whole_frames(stream, 20) == (None if large else sent)
    decoder = FrameDecoder()
    decoded = decoder.feed(stream[:-cut])
    assert whole_frames(stream[:-cut], 40) == (None if decoder.pending_bytes else decoded)


def test_a_captured_stream_cut_at_every_byte_and_fed_byte_by_byte() -> None:
    captured = [frame.data for frame in captured_frames()[:12]]
    stream = b"".join(captured)
    expected = FrameDecoder(1 << 20).feed(stream)
    assert [encode_frame(type_, body, flags) for type_, flags, body in expected] == captured
    for cut in range(len(stream) + 1):
        decoder = FrameDecoder(1 << 20)
        assert decoder.feed(stream[:cut]) + decoder.feed(stream[cut:]) == expected
    decoder = FrameDecoder(1 << 20)
    assert [frame for byte in stream for frame in decoder.feed(bytes((byte,)))] == expected


def test_a_stream_that_ends_inside_a_frame_shows_it() -> None:
    decoder = FrameDecoder(100)
    assert decoder.feed(encode_frame(MessageType.END, b"") + b"\x04\x01") == [(MessageType.END, 0, b"")]
    assert decoder.pending_bytes == 2


def test_a_frame_above_the_limit_is_refused_from_its_header_alone() -> None:
    limit = 64
    assert FrameDecoder(limit).feed(encode_frame(1, bytes(limit))) == [(1, 0, bytes(limit))]
    decoder = FrameDecoder(limit)
    header = encode_frame(MessageType.OUTPUT_COMMAND, bytes(limit + 1))[:HEADER_BYTES]
    assert decoder.feed(header[:7]) == []
    with pytest.raises(FrameTooLarge, match=r"0x0401 announces 65 bytes, the limit is 64") as refusal:
        decoder.feed(header[7:])
    assert refusal.value.code == "RT0003"
    assert decoder.pending_bytes == 0


def test_the_ack_flag_travels_in_the_header() -> None:
    assert encode_frame(5, b"\x08\x01", ACK_REQUESTED) == bytes.fromhex("0005800000000002") + b"\x08\x01"


def test_every_type_has_a_message_and_a_namespace() -> None:
    assert set(MESSAGE_TYPES) == set(MessageType)
    for type_ in MessageType:
        kind = type_.name.rpartition("_")[2]
        assert is_command(type_) == (kind == "COMMAND" or type_.name.endswith("_COMMAND"))
        assert is_notification(type_) == (0x8000 <= type_ < 0xFC00)
    answers = {
        command.name.replace("_COMMAND", "_COMPLETION"): 0x8000 + (command - 0x0400)
        for command in MessageType
        if is_command(command)
    }
    for notification in MessageType:
        if is_notification(notification) and notification.name in answers:
            assert notification == answers[notification.name]
