"""HTTP/2 of a server, whatever it serves: our own client against it, and what a stranger may cost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.http2 import frames
from holdfast.http2.server_side import DISCARD_BYTES_MAX, RESETS_PER_SWEEP_MAX
from holdfast.invoker.http.h2_connection import H2Connection
from holdfast.invoker.http.header_blocks import ResponseCache
from http_server.support import Server, server
from http_server.wire import Wire
from tests.invoker.http.peers import ENCODER, Owner, Recorder

PREFACE = frames.CLIENT_PREFACE + frames.settings_frame(())


def head(stream_id: int, path: bytes, *, ends: bool = False) -> bytes:
    block = b"\x20\x83\x86\x04" + bytes((len(path),)) + path
    return frames.headers_frames(stream_id, block, ends, 16_384)


def data(stream_id: int, body: bytes, *, ends: bool = False) -> bytes:
    return frames.frame(frames.DATA, int(ends), stream_id, body)


def seen(written: bytes) -> list[tuple[int, int, bytes]]:
    """Kind, stream and payload of what came."""
    return [(kind, stream_id, payload) for kind, _, stream_id, payload in frames.FrameReader().feed(written)]


def resets(written: bytes) -> dict[int, int]:
    return {
        stream_id: frames.read_u32(payload, "RST_STREAM")
        for kind, stream_id, payload in seen(written)
        if kind == frames.RST_STREAM
    }


def goaway(written: bytes) -> int | None:
    codes = [frames.read_goaway(payload)[1] for kind, _, payload in seen(written) if kind == frames.GOAWAY]
    return codes[-1] if codes else None


def connected(at: Server, *settings_: tuple[int, int]) -> Wire:
    wire = at.connect()
    at.send(wire, frames.CLIENT_PREFACE + frames.settings_frame(settings_))
    return wire


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 200_000), min_size=1, max_size=4),
    cut=st.integers(100, 100_000),
    window=st.integers(1_000, 100_000),
)
def test_both_of_our_ends_understand_each_other(sizes: list[int], cut: int, window: int) -> None:
    """Bodies come back whole, in any cut, through windows smaller than they are."""
    with server(window_bytes=70_000, stream_window_bytes=window) as at:
        wire, heard = at.connect(), [Recorder() for _ in sizes]
        client = H2Connection(Owner(), "peer:1", ResponseCache())
        bodies = [bytes((number,)) * size for number, size in enumerate(sizes)]
        waiting = list(zip(heard, bodies, strict=True))
        for _ in range(10_000):
            if client.ready and waiting:
                recorder, body = waiting.pop()
                client.open(ENCODER.encode("POST", "/echo", (), None), recorder, body, end=True)
            up = client.take_output()
            down = b"".join(at.send(wire, up[start : start + cut]) for start in range(0, len(up), cut))
            down = down or at.turn(wire)
            for start in range(0, len(down), cut):
                client.receive(down[start : start + cut])
            if not up and not down and not waiting:
                break
        assert not client.closed, client.end_reason
        assert [(one.status, one.body, one.ended) for one in heard] == [(200, body, True) for body in bodies]
        assert client.open_streams == 0


def test_what_a_client_sends_behind_its_response_is_dropped_and_then_refused() -> None:
    """Goal: a client that reads the answer only when it has sent everything gets it, within a bound."""
    with server() as at:
        wire = connected(at)
        assert [kind for kind, *_ in seen(at.send(wire, head(1, b"/early")))] == [frames.HEADERS]
        sent, piece = 0, b"x" * 16_384
        while sent <= DISCARD_BYTES_MAX - len(piece):
            assert not resets(at.send(wire, data(1, piece)))
            sent += len(piece)
        assert resets(at.send(wire, data(1, piece))) == {1: frames.NO_ERROR}
        assert not wire.closed


def test_deadlines_of_what_comes_late_and_of_what_nobody_takes() -> None:
    with server() as at:
        wire = connected(at, (frames.SETTING_INITIAL_WINDOW_SIZE, 10))
        at.send(wire, head(1, b"/early") + head(3, b"/echo") + data(3, b"x" * 100, ends=True))
        at.later(at.site.limits.discard_s)
        assert not resets(at.turn(wire))
        at.later(1)
        assert resets(at.turn(wire)) == {1: frames.NO_ERROR}
        at.send(wire, frames.window_update_frame(3, 10))
        at.later(at.site.limits.write_deadline_s)
        assert not resets(at.turn(wire)), "something was taken meanwhile"
        at.later(2)
        assert resets(at.turn(wire)) == {3: frames.CANCEL}


@pytest.mark.parametrize(
    "broken",
    [
        head(1, b"/echo") + frames.rst_stream_frame(1, 8),  # by the client
        head(1, b"/short", ends=True),  # by us
        frames.headers_frames(1, b"\x83", True, 16_384),  # no request at all
        head(1, b"/never", ends=True) + data(1, b"x"),
    ],
)
def test_streams_that_are_broken_by_the_thousand_end_the_connection(broken: bytes) -> None:
    with server() as at:
        wire = connected(at)

        def storm(count: int, first: int) -> bytes:
            out = b""
            for stream_id in range(first, first + 2 * count, 2):
                for kind, flags, _, payload in frames.FrameReader().feed(broken):
                    out += frames.frame(kind, flags, stream_id, payload)
            return out

        assert goaway(at.send(wire, storm(RESETS_PER_SWEEP_MAX, 1))) is None
        at.later(1)
        assert goaway(at.send(wire, storm(RESETS_PER_SWEEP_MAX, 3_001))) is None, "a tick has passed"
        assert goaway(at.send(wire, storm(1, 9_001))) == frames.ENHANCE_YOUR_CALM
        assert wire.closed


def test_bytes_that_make_no_frame_do_not_keep_a_connection_open() -> None:
    with server() as at:
        wire = connected(at)
        ping = frames.frame(frames.PING, 0, 0, bytes(8))
        at.later(60)
        at.send(wire, ping)
        at.later(60)
        assert not wire.closed, "a frame has come since"
        at.send(wire, ping[:9])
        at.later(41)
        assert goaway(at.turn(wire)) == frames.NO_ERROR
        assert wire.closed


def test_a_header_block_that_stops_in_the_middle() -> None:
    with server() as at:
        wire = connected(at)
        at.send(wire, frames.frame(frames.HEADERS, 0, 1, b"\x83"))
        at.later(at.site.limits.header_deadline_s)
        assert not wire.closed
        at.later(1)
        assert goaway(at.turn(wire)) == frames.ENHANCE_YOUR_CALM


def test_a_goodbye_that_nobody_takes() -> None:
    """Goal: what is left to send has time to go out. Method: a socket that does not close."""
    with server() as at:
        wire = connected(at)
        closing: list[str] = []
        wire.close = lambda: closing.append("close")  # type: ignore[method-assign]
        wire.abort = lambda: closing.append("abort")
        at.later(90)
        at.send(wire, frames.frame(frames.PING, 0, 1, bytes(8)))
        assert closing == ["close"]
        at.later(at.site.limits.write_deadline_s)
        assert closing == ["close"]
        at.later(1)
        assert closing == ["close", "abort"]
