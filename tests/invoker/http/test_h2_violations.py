"""What a broken or hostile peer may not do, and the code it is told; then noise of every kind."""

from __future__ import annotations

from struct import unpack

import h2.events
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.http2 import frames
from holdfast.http2.either_side import BLOCK_FRAMES_MAX, CONTROL_REPLIES_MAX
from holdfast.invoker.http.h2_connection import RESETS_OF_CLOSED_MAX, H2Connection
from holdfast.invoker.http.h2_streams import STREAM_WINDOW_BYTES
from holdfast.invoker.http.header_blocks import ResponseCache
from tests.invoker.http.peers import ENCODER, MemoryPair, Owner, Recorder

OK_BLOCK = b"\x88"


def conversation(
    first: bytes = frames.settings_frame(()) + frames.SETTINGS_ACK,
) -> tuple[H2Connection, Recorder]:
    """A connection with one open stream, id 1, whose request has been sent."""
    connection, heard = H2Connection(Owner(), "peer:1", ResponseCache()), Recorder()
    connection.receive(first)
    connection.open(ENCODER.encode("POST", "/x", (), None), heard, b"body")
    connection.take_output()
    return connection, heard


def goaway_code(output: bytes) -> int | None:
    """The error code of the GOAWAY among what a connection sent."""
    for kind, _, _, payload in frames.FrameReader(2**24).feed(output.removeprefix(frames.CLIENT_PREFACE)):
        if kind == frames.GOAWAY:
            return int(unpack(">I", payload[4:8])[0])
    return None


HEADERS_OK = frames.headers_frames(1, OK_BLOCK, False, 16_384)
VIOLATIONS = {
    "push": (frames.frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\2" + OK_BLOCK), frames.PROTOCOL_ERROR),
    "oversized frame": (frames.frame_header(16_385, frames.DATA, 0, 1), frames.FRAME_SIZE_ERROR),
    "data on an idle stream": (frames.frame(frames.DATA, 0, 99, b"x"), frames.PROTOCOL_ERROR),
    "data on the connection": (frames.frame(frames.DATA, 0, 0, b"x"), frames.PROTOCOL_ERROR),
    "headers on an idle stream": (frames.headers_frames(99, OK_BLOCK, True, 16_384), frames.PROTOCOL_ERROR),
    "headers on a stream of the server": (
        frames.headers_frames(2, OK_BLOCK, True, 99),
        frames.PROTOCOL_ERROR,
    ),
    "reset of an idle stream": (frames.rst_stream_frame(99, 0), frames.PROTOCOL_ERROR),
    "short reset": (frames.frame(frames.RST_STREAM, 0, 1, b"xx"), frames.FRAME_SIZE_ERROR),
    "window update of zero": (frames.window_update_frame(0, 0), frames.PROTOCOL_ERROR),
    "window overflow": (frames.window_update_frame(0, 2**31 - 1), frames.FLOW_CONTROL_ERROR),
    "stream window overflow": (frames.window_update_frame(1, 2**31 - 1), frames.FLOW_CONTROL_ERROR),
    "window update of an idle stream": (frames.window_update_frame(99, 5), frames.PROTOCOL_ERROR),
    "short window update": (frames.frame(frames.WINDOW_UPDATE, 0, 0, b"x"), frames.FRAME_SIZE_ERROR),
    "initial window overflow": (frames.settings_frame(((4, 2**31),)), frames.FLOW_CONTROL_ERROR),
    "frame size too small": (frames.settings_frame(((5, 16_383),)), frames.PROTOCOL_ERROR),
    "frame size too large": (frames.settings_frame(((5, 2**24),)), frames.PROTOCOL_ERROR),
    "push enabled by a server": (frames.settings_frame(((2, 1),)), frames.PROTOCOL_ERROR),
    "settings on a stream": (frames.frame(frames.SETTINGS, 0, 1), frames.PROTOCOL_ERROR),
    "half a setting": (frames.frame(frames.SETTINGS, 0, 0, b"\0\1\0"), frames.FRAME_SIZE_ERROR),
    "acknowledgement with a payload": (
        frames.frame(frames.SETTINGS, 1, 0, b"\0" * 6),
        frames.FRAME_SIZE_ERROR,
    ),
    "short ping": (frames.frame(frames.PING, 0, 0, b"x"), frames.FRAME_SIZE_ERROR),
    "ping on a stream": (frames.frame(frames.PING, 0, 1, b"x" * 8), frames.PROTOCOL_ERROR),
    "short goaway": (frames.frame(frames.GOAWAY, 0, 0, b"x" * 7), frames.FRAME_SIZE_ERROR),
    "goaway on a stream": (frames.frame(frames.GOAWAY, 0, 1, b"x" * 8), frames.PROTOCOL_ERROR),
    "short priority": (frames.frame(frames.PRIORITY, 0, 1, b"x"), frames.FRAME_SIZE_ERROR),
    "too much padding": (HEADERS_OK + frames.frame(frames.DATA, 8, 1, b"\x05abc"), frames.PROTOCOL_ERROR),
    "padding without its length": (HEADERS_OK + frames.frame(frames.DATA, 8, 1), frames.FRAME_SIZE_ERROR),
    "headers too short for a priority": (
        frames.frame(frames.HEADERS, 0x24, 1, b"x"),
        frames.FRAME_SIZE_ERROR,
    ),
    "continuation of nothing": (frames.frame(frames.CONTINUATION, 4, 1, b"x"), frames.PROTOCOL_ERROR),
    "continuation of another stream": (
        frames.frame(frames.HEADERS, 0, 1, OK_BLOCK) + frames.frame(frames.CONTINUATION, 4, 3),
        frames.PROTOCOL_ERROR,
    ),
    "interrupted header block": (
        frames.frame(frames.HEADERS, 0, 1, OK_BLOCK) + frames.frame(frames.PING, 0, 0, b"x" * 8),
        frames.PROTOCOL_ERROR,
    ),
    "header block from an unknown table": (
        frames.headers_frames(1, b"\xff\xff", True, 99),
        frames.COMPRESSION_ERROR,
    ),
    "header block bomb": (
        frames.headers_frames(
            1, b"\x00\x01a\x7f\xe1\xfe\x02" + b"v" * 49_000 + b"\x88" * 9_000, True, 16_384
        ),
        frames.COMPRESSION_ERROR,
    ),
    "endless continuations": (
        frames.frame(frames.HEADERS, 0, 1) + frames.frame(frames.CONTINUATION, 0, 1) * BLOCK_FRAMES_MAX,
        frames.ENHANCE_YOUR_CALM,
    ),
    "endless header block": (
        frames.frame(frames.HEADERS, 0, 1) + frames.frame(frames.CONTINUATION, 0, 1, b"x" * 16_000) * 5,
        frames.ENHANCE_YOUR_CALM,
    ),
    "ping flood": (
        frames.frame(frames.PING, 0, 0, b"x" * 8) * (CONTROL_REPLIES_MAX + 1),
        frames.ENHANCE_YOUR_CALM,
    ),
    "settings flood": (frames.settings_frame(()) * (CONTROL_REPLIES_MAX + 1), frames.ENHANCE_YOUR_CALM),
    "reset flood": (
        frames.rst_stream_frame(1, 8) * (RESETS_OF_CLOSED_MAX + 2),
        frames.ENHANCE_YOUR_CALM,
    ),
    "more data than granted": (
        HEADERS_OK + frames.frame(frames.DATA, 0, 1, b"x" * 16_384) * (STREAM_WINDOW_BYTES // 16_384 + 1),
        frames.FLOW_CONTROL_ERROR,
    ),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_ends_the_connection_with_its_code(name: str) -> None:
    """Goal: each has its own verdict, and the open stream hears of it.

    A paused reader makes windows count.
    """
    bad, code = VIOLATIONS[name]
    connection, heard = H2Connection(Owner(), "peer:1", ResponseCache()), Recorder()
    connection.receive(frames.settings_frame(()) + frames.SETTINGS_ACK)
    connection.open(ENCODER.encode("POST", "/x", (), None), heard, b"body").pause_reading()
    connection.take_output()
    connection.receive(bad)
    assert connection.closed
    assert heard.failure is not None
    assert connection.open_streams == 0
    assert goaway_code(connection.take_output()) == code


MALFORMED = {
    "data before headers": frames.frame(frames.DATA, 0, 1, b"x"),
    "no status": frames.headers_frames(1, b"\x00\x01a\x01b", False, 99),
    "two statuses": frames.headers_frames(1, b"\x88\x88", False, 99),
    "status of letters": frames.headers_frames(1, b"\x08\x03abc", False, 99),
    "status 99": frames.headers_frames(1, b"\x08\x03099", False, 99),
    "switching protocols": frames.headers_frames(1, b"\x08\x03101", False, 99),
    "a request's pseudo header": frames.headers_frames(1, b"\x88\x82", False, 99),
    "an upper-case name": frames.headers_frames(1, b"\x88\x00\x01A\x01b", False, 99),
    "an informational end": frames.headers_frames(1, b"\x08\x03103", True, 99),
    "trailers that do not end": HEADERS_OK + frames.headers_frames(1, b"\x00\x01a\x01b", False, 99),
    "a second response": HEADERS_OK + HEADERS_OK,
    "stream window update of zero": frames.window_update_frame(1, 0),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_response_costs_one_stream_only(name: str) -> None:
    connection, heard = conversation()
    connection.receive(MALFORMED[name])
    assert heard.failure is not None
    assert heard.failure.retry_at_once is False
    assert not connection.closed
    assert connection.open_streams == 0
    reset = frames.FrameReader().feed(connection.take_output())[-1]
    assert (reset[0], reset[2]) == (frames.RST_STREAM, 1)
    connection.receive(frames.frame(frames.DATA, 1, 1, b"late"))
    assert not connection.closed


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"HTTP/1.0 505 No\r\n",
        b"<!DOCTYPE HTML>",
        b"\x15\x03\x01\0\2\2\x46??",
    ],
)
def test_an_answer_that_is_not_http2_is_called_that(answer: bytes) -> None:
    connection = H2Connection(Owner(), "peer:1", ResponseCache())
    for piece in answer:
        connection.receive(bytes((piece,)))
    assert connection.closed
    assert not connection.ready


@pytest.mark.parametrize(
    "first",
    [frames.SETTINGS_ACK, frames.frame(frames.PING, 0, 0, b"x" * 8), frames.window_update_frame(0, 1)],
)
def test_the_first_frame_must_be_settings(first: bytes) -> None:
    connection = H2Connection(Owner(), "peer:1", ResponseCache())
    connection.receive(first)
    assert connection.closed
    assert goaway_code(connection.take_output()) == frames.PROTOCOL_ERROR


def test_unknown_frames_flags_and_settings_are_ignored() -> None:
    connection, heard = conversation(frames.settings_frame(((0x99, 7), (8, 1))) + frames.SETTINGS_ACK)
    connection.receive(
        frames.frame(0xB, 0xFF, 1, b"origin") + HEADERS_OK + frames.frame(frames.DATA, 0x41, 1, b"x")
    )
    assert heard.ended


# Noise. Whatever arrives: no exception, no call out of order (the recorder checks), bounded output.

any_frame = st.builds(
    frames.frame,
    st.integers(0, 11),
    st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 4, 5])),
    st.sampled_from([0, 1, 3, 5, 2, 99]),
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([OK_BLOCK, b"\0\0\0\1", b"\0\0\0\0\0\0\0\0", b"\x88\x40\x01x\x01y"]),
    ),
)
noise = st.one_of(
    st.lists(any_frame, max_size=30).map(b"".join),
    st.binary(max_size=200),
    st.lists(st.one_of(any_frame, st.binary(max_size=12)), max_size=20).map(b"".join),
)


@settings(max_examples=150, deadline=None)
@given(noise=noise, early=st.booleans(), data=st.data())
def test_noise_never_raises_and_always_settles_the_streams(
    noise: bytes, early: bool, data: st.DataObject
) -> None:
    """Goal: only connection errors.

    Method: random frames and bytes, cut at random places, with three streams open.
    """
    owner = Owner()
    connection = H2Connection(owner, "peer:1", ResponseCache())
    if not early:
        connection.receive(frames.settings_frame(()) + frames.SETTINGS_ACK)
    heard = [Recorder() for _ in range(3)]
    for recorder in heard:
        connection.open(ENCODER.encode("POST", "/x", (), None), recorder, b"body")
    while noise:
        size = data.draw(st.integers(1, len(noise)))
        connection.receive(noise[:size])
        noise = noise[size:]
    assert owner.errors == []
    assert len(connection.take_output()) < 100_000
    assert connection.open_streams == sum(not recorder.over for recorder in heard)
    connection.fail("the end")
    assert all(recorder.over for recorder in heard)
    assert connection.take_output().count(b"holdfast") == 0


step = st.sampled_from(["data", "big", "padded", "ping", "settings", "window", "write", "pause", "resume"])


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(step, max_size=15), cut=st.integers(1, 40), trailers=st.booleans())
def test_where_the_bytes_are_cut_makes_no_difference(steps: list[str], cut: int, trailers: bool) -> None:
    """Goal: reads may end anywhere.

    Method: one script twice, whole and in pieces; both sides heard the same.
    """

    def play(size: int | None) -> tuple[bytes, bytes, bool, int]:
        pair, heard = MemoryPair(cut=size), Recorder()
        stream = pair.open(heard, b"start")
        pair.exchange()
        pair.server.send_headers(1, [(":status", "200"), ("x", "y" * 100)])
        for name in steps:
            if name == "data":
                pair.server.send_data(1, b"some")
            elif name == "big":
                pair.server.send_data(1, b"b" * 16_000)
            elif name == "padded":
                pair.server.send_data(1, b"pad", pad_length=17)
            elif name == "ping":
                pair.server.ping(b"12345678")
            elif name == "settings":
                pair.server.update_settings({4: 70_000})
            elif name == "window":
                pair.server.increment_flow_control_window(1_000)
            elif name == "write":
                stream.write(b"w" * 9_000)
            elif name == "pause":
                stream.pause_reading()
            else:
                stream.resume_reading()
            pair.exchange()
        if trailers:
            pair.server.send_headers(1, [("t", "1")], end_stream=True)
        else:
            pair.server.end_stream(1)
        pair.exchange()
        answered = len(pair.seen(h2.events.PingAckReceived))
        return heard.body, pair.received(1), heard.ended, answered

    assert play(None) == play(cut)
