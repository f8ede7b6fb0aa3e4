"""Frames: what is written is what is read, wherever it is cut, and `hyperframe` agrees."""

from __future__ import annotations

import hyperframe.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.http2 import frames
from holdfast.http2.frames import FrameReader, ProtocolViolation

frame_parts = st.tuples(
    st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**31 - 1), st.binary(max_size=300)
)


@given(parts=st.lists(frame_parts, max_size=8), cut=st.integers(1, 400))
def test_frames_survive_any_cut(parts: list[tuple[int, int, int, bytes]], cut: int) -> None:
    wire = b"".join(frames.frame(*part) for part in parts)
    reader = FrameReader()
    read = [found for start in range(0, len(wire), cut) for found in reader.feed(wire[start : start + cut])]
    assert read == parts
    assert reader.oversized is None


def test_frames_before_an_oversized_one_still_count() -> None:
    reader = FrameReader(100)
    assert len(reader.feed(frames.frame(0, 0, 1, b"x" * 100) + frames.frame(0, 0, 1, b"x" * 101))) == 1
    assert reader.oversized == frames.frame_header(101, 0, 0, 1)


@given(block=st.binary(min_size=1, max_size=500), size=st.integers(1, 100), end=st.booleans())
def test_header_blocks_are_split_and_only_the_last_part_says_so(block: bytes, size: int, end: bool) -> None:
    read = FrameReader().feed(frames.headers_frames(5, block, end, size))
    assert b"".join(payload for *_, payload in read) == block
    assert [kind for kind, *_ in read] == [frames.HEADERS] + [frames.CONTINUATION] * (len(read) - 1)
    assert all(len(payload) <= size for *_, payload in read)
    assert [bool(flags & frames.FLAG_END_HEADERS) for _, flags, *_ in read] == [False] * (len(read) - 1) + [
        True
    ]
    assert bool(read[0][1] & frames.FLAG_END_STREAM) == end


def test_an_independent_codec_reads_them() -> None:
    def parse(wire: bytes) -> hyperframe.frame.Frame:
        found, size = hyperframe.frame.Frame.parse_frame_header(memoryview(wire[:9]))
        assert size == len(wire) - 9
        found.parse_body(memoryview(wire[9:]))
        return found

    goaway = parse(frames.goaway_frame(7, 2, b"why"))
    assert isinstance(goaway, hyperframe.frame.GoAwayFrame)
    assert (goaway.last_stream_id, goaway.error_code, goaway.additional_data) == (7, 2, b"why")
    update = parse(frames.window_update_frame(3, 70_000))
    assert isinstance(update, hyperframe.frame.WindowUpdateFrame)
    assert (update.stream_id, update.window_increment) == (3, 70_000)
    reset = parse(frames.rst_stream_frame(9, 8))
    assert isinstance(reset, hyperframe.frame.RstStreamFrame)
    assert (reset.stream_id, reset.error_code) == (9, 8)
    announced = parse(frames.settings_frame(((4, 1), (5, 20_000))))
    assert isinstance(announced, hyperframe.frame.SettingsFrame)
    assert announced.settings == {4: 1, 5: 20_000}
    long = parse(frames.frame(frames.DATA, 0, 1, b"x" * 70_000))
    assert isinstance(long, hyperframe.frame.DataFrame)
    assert len(long.data) == 70_000


def test_padding_is_cut_off_and_checked() -> None:
    assert frames.strip_padding(b"\x02abcXX") == b"abc"
    assert frames.strip_padding(b"\x00") == b""
    for bad in (b"", b"\x01", b"\xffabc"):
        with pytest.raises(ProtocolViolation):
            frames.strip_padding(bad)
