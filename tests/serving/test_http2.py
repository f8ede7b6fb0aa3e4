"""Attempts over HTTP/2: full duplex, flow control both ways, and every way an attempt ends."""

from __future__ import annotations

import asyncio
import json

import pytest
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.settings import SettingCodes

from holdfast.http2 import frames
from holdfast.http2.server_side import ConnectionLimits
from holdfast.protocol.messages import (
    EndMessage,
    OutputCommandMessage,
    ProposeRunCompletionAckMessage,
    ProposeRunCompletionMessage,
    RunCommandMessage,
    SuspensionMessage,
    Value,
    frame,
)
from holdfast.serving.site import ServingLimits
from serving.peers import V7, Http2Peer, cancelled, opening, said, worker


def body_of(events: list[Event], stream_id: int) -> bytes:
    return b"".join(e.data for e in events if isinstance(e, DataReceived) and e.stream_id == stream_id)


def kinds(events: list[Event], kind: type[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def test_an_attempt_without_waits_is_one_response() -> None:
    with worker() as at:
        peer = Http2Peer(at)
        stream = peer.begin("greet", opening())
        events = peer.exchange()
        (response,) = kinds(events, ResponseReceived)
        assert isinstance(response, ResponseReceived)
        assert dict(response.headers)[":status"] == "200"
        output, end = said(body_of(events, stream))
        assert isinstance(output, OutputCommandMessage)
        assert output.result == Value(b'"hi Ada"')
        assert isinstance(end, EndMessage)
        assert kinds(events, StreamEnded), "the response ended although the request is open"
        assert at.site.attempts == 0
        peer.h2.end_stream(stream)
        peer.exchange()


def test_each_step_is_a_proposal_and_goes_on_with_its_acknowledgement() -> None:
    with worker() as at:
        peer = Http2Peer(at)
        stream = peer.begin("steps", opening(b"3"))
        for number in (1, 2, 3):
            run, proposal = said(body_of(peer.exchange(), stream))
            assert isinstance(run, RunCommandMessage)
            assert isinstance(proposal, ProposeRunCompletionMessage)
            assert proposal.result_completion_id == number
            peer.h2.send_data(stream, frame(ProposeRunCompletionAckMessage(number)))
        output, _ = said(body_of(peer.exchange(), stream))
        assert isinstance(output, OutputCommandMessage)
        assert output.result == Value(b"3")


def test_what_all_streams_say_in_one_turn_is_one_write() -> None:
    with worker() as at:
        peer = Http2Peer(at)
        for _ in range(20):
            peer.begin("steps", opening(b"1"))
        assert peer.wire.protocol is not None
        peer.wire.protocol.data_received(peer.h2.data_to_send())
        assert peer.wire.written == [], "the first results are waited for"
        at.loop.run_until_complete(asyncio.sleep(0))
        (written,) = peer.wire.written
        events = peer.h2.receive_data(written)
        assert len(kinds(events, ResponseReceived)) == len(kinds(events, DataReceived)) == 20


def test_a_request_that_ended_suspends_where_it_waits() -> None:
    with worker() as at:
        peer = Http2Peer(at)
        stream = peer.begin("park", opening(), end=True)
        *_, suspension = said(body_of(peer.exchange(), stream))
        assert isinstance(suspension, SuspensionMessage)


def test_a_request_cut_into_single_bytes() -> None:
    with worker() as at:
        peer = Http2Peer(at)
        peer.begin("greet", opening(), end=True)
        out = b""
        for byte in peer.h2.data_to_send():
            out += at.send(peer.wire, bytes((byte,)))
        assert kinds(peer.h2.receive_data(out), StreamEnded)


@pytest.mark.parametrize("window", [1, 100, 65_535])
def test_a_large_answer_fits_any_window(window: int) -> None:
    size = 200 * window if window < 1000 else 1_000_000
    with worker() as at:
        peer = Http2Peer(at)
        peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        peer.exchange()
        stream = peer.begin("repeat", opening(str(size).encode()), end=True)
        events = peer.exchange()
        while not kinds(events, StreamEnded):
            got = kinds(events, DataReceived)[-1]
            assert isinstance(got, DataReceived)
            missing = sum(
                e.flow_controlled_length
                for e in events
                if isinstance(e, DataReceived) and e.stream_id == stream
            ) - getattr(peer, "granted", 0)
            peer.granted = getattr(peer, "granted", 0) + missing  # type: ignore[attr-defined]
            peer.h2.acknowledge_received_data(missing, stream)
            peer.h2.increment_flow_control_window(window, stream)
            events += peer.exchange()
        output, _ = said(body_of(events, stream))
        assert isinstance(output, OutputCommandMessage)
        assert output.result == Value(b'"' + b"x" * size + b'"')


def test_an_input_larger_than_every_window() -> None:
    text = json.dumps("y" * 300_000).encode()
    with worker(window_bytes=70_000, stream_window_bytes=1_000) as at:
        peer = Http2Peer(at)
        stream = peer.begin("measure", b"")
        left, events = opening(text), list[Event]()
        while left:
            room = min(peer.h2.local_flow_control_window(stream), peer.h2.max_outbound_frame_size, len(left))
            assert room, "the window did not open again"
            peer.h2.send_data(stream, left[:room])
            left = left[room:]
            events += peer.exchange()
        assert kinds(events, StreamEnded)


def test_a_step_is_cancelled_when_its_stream_is_reset_and_when_the_client_is_gone() -> None:
    cancelled.clear()
    with worker() as at:
        peer = Http2Peer(at)
        stream = peer.begin("hang", opening(b'"reset"'))
        peer.begin("hang", opening(b'"gone"'))
        peer.exchange()
        assert at.site.attempts == 2
        peer.h2.reset_stream(stream, frames.CANCEL)
        peer.exchange()
        assert (at.site.attempts, cancelled) == (1, ["reset"])
        at.drop(peer.wire)
        assert (at.site.attempts, cancelled) == (0, ["reset", "gone"])


def test_what_is_no_attempt_is_answered() -> None:
    with worker() as at:
        peer = Http2Peer(at)
        asked = {
            peer.begin("", b"", method="GET", path="/discover", end=True): "200",
            peer.begin("", b"", method="GET", path="/health?x=1", end=True): "200",
            peer.begin("", b"", method="GET", path="/nowhere", end=True): "404",
            peer.begin("nothing", opening()): "404",
            peer.begin("greet", b"", method="GET", end=True): "405",
        }
        events = peer.exchange()
        got = {
            event.stream_id: dict(event.headers)[":status"]
            for event in events
            if isinstance(event, ResponseReceived)
        }
        assert got == asked
        discovered = json.loads(body_of(events, min(asked)))
        assert discovered["protocolMode"] == "BIDI_STREAM"


def test_more_attempts_than_allowed_are_refused_unprocessed() -> None:
    with worker(ServingLimits(attempts_max=2)) as at:
        peer = Http2Peer(at)
        for _ in range(3):
            peer.begin("park", opening())
        (reset,) = kinds(peer.exchange(), StreamReset)
        assert isinstance(reset, StreamReset)
        assert (reset.error_code, at.site.attempts) == (frames.REFUSED_STREAM, 2)


def test_a_worker_that_ends_takes_no_streams_and_lets_the_open_ones_finish() -> None:
    with worker() as at:
        peer = Http2Peer(at)
        stream = peer.begin("steps", opening(b"1"))
        peer.exchange()
        at.site.drain()
        (goaway,) = kinds(peer.exchange(), ConnectionTerminated)
        assert isinstance(goaway, ConnectionTerminated)
        assert (goaway.error_code, goaway.last_stream_id) == (0, stream)
        ack = frame(ProposeRunCompletionAckMessage(1))
        at.send(peer.wire, frames.frame(frames.DATA, 0, stream, ack))
        assert not peer.wire.closed, "the client has not ended its side"
        at.send(peer.wire, frames.frame(frames.DATA, frames.FLAG_END_STREAM, stream))
        assert peer.wire.closed
        assert at.site.empty.is_set()


def test_an_idle_connection_closes_when_the_worker_ends_and_after_a_while() -> None:
    with worker() as at:
        peer, other = Http2Peer(at), Http2Peer(at)
        at.later(at.site.limits.keep_alive_s / 2)
        other.begin("greet", opening(), end=True)
        other.exchange()
        at.later(at.site.limits.keep_alive_s / 2 + 1)
        assert kinds(peer.exchange(), ConnectionTerminated)
        assert (peer.wire.closed, other.wire.closed) == (True, False)
        at.site.drain()
        other.exchange()
        assert other.wire.closed


def test_deadlines() -> None:
    """A replay that stops coming, a request behind its response, an answer that nobody takes."""
    limits = ServingLimits(replay_deadline_s=10, discard_s=20, write_deadline_s=30)
    with worker(limits) as at:
        peer = Http2Peer(at)
        peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
        stalled = peer.begin("greet", opening()[:-1])
        unread = peer.begin("repeat", opening(b"1000"), end=True)
        waiting = peer.begin("park", opening())
        peer.exchange()
        peer.h2.increment_flow_control_window(1000)
        peer.h2.increment_flow_control_window(1000, waiting)
        seen: dict[int, float] = {}
        for second in range(1, 60):
            at.later(1)
            for event in peer.exchange():
                if isinstance(event, StreamReset):
                    seen[event.stream_id] = second
        assert seen.keys() == {stalled, unread}
        assert 10 < seen[stalled] < 15
        assert 30 < seen[unread] < 35
        late = peer.begin("greet", opening())
        peer.h2.increment_flow_control_window(1000, late)
        peer.exchange()
        assert peer.h2.streams[late].closed is False
        for _ in range(25):
            at.later(1)
        assert [e for e in kinds(peer.exchange(), StreamReset) if getattr(e, "stream_id", 0) == late]


def test_a_client_that_reads_nothing_is_not_read_from_and_then_dropped() -> None:
    with worker() as at:
        peer = Http2Peer(at)
        assert peer.wire.protocol is not None
        peer.wire.protocol.pause_writing()
        assert not peer.wire.reading
        peer.begin("repeat", opening(b"60000"), end=True)
        out = peer.h2.data_to_send()
        assert len(at.send(peer.wire, out)) < 1000, "the body waits"
        peer.wire.protocol.resume_writing()
        assert peer.wire.reading
        assert len(at.turn(peer.wire)) > 60_000
        peer.wire.protocol.pause_writing()
        at.later(at.site.limits.write_deadline_s + 1)
        assert peer.wire.closed


PREFACE = frames.CLIENT_PREFACE + frames.settings_frame(())
HEADERS = frames.headers_frames(1, b"\x83\x86\x84", False, 16_384)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frames.CLIENT_PREFACE + frames.frame(frames.PING, 0, 0, bytes(8)), frames.PROTOCOL_ERROR),
        (PREFACE + frames.frame(frames.DATA, 0, 1, b"x"), frames.PROTOCOL_ERROR),
        (PREFACE + frames.frame(frames.DATA, 0, 0, b"x"), frames.PROTOCOL_ERROR),
        (PREFACE + frames.headers_frames(2, b"\x83", True, 16_384), frames.PROTOCOL_ERROR),
        (PREFACE + frames.frame(frames.CONTINUATION, 4, 1, b"\x83"), frames.PROTOCOL_ERROR),
        (
            PREFACE + frames.frame(frames.HEADERS, 0, 1, b"\x83") + frames.frame(frames.PING, 0, 0, bytes(8)),
            frames.PROTOCOL_ERROR,
        ),
        (PREFACE + frames.headers_frames(1, b"\xff\xff\xff\xff\xff", True, 16_384), frames.COMPRESSION_ERROR),
        (PREFACE + b"\x01\x00\x00\x00\x00\x00\x00\x00\x01", frames.FRAME_SIZE_ERROR),
        (PREFACE + frames.frame(frames.PING, 0, 0, b"short"), frames.FRAME_SIZE_ERROR),
        (PREFACE + frames.frame(frames.PUSH_PROMISE, 4, 1, bytes(5)), frames.PROTOCOL_ERROR),
        (PREFACE + frames.window_update_frame(0, 0), frames.PROTOCOL_ERROR),
        (PREFACE + frames.window_update_frame(0, 2**31 - 1), frames.FLOW_CONTROL_ERROR),
        (PREFACE + frames.window_update_frame(9, 5), frames.PROTOCOL_ERROR),
        (PREFACE + frames.rst_stream_frame(9, 8), frames.PROTOCOL_ERROR),
        (PREFACE + frames.settings_frame([(4, 2**31)]), frames.FLOW_CONTROL_ERROR),
        (PREFACE + frames.settings_frame([(5, 5)]), frames.PROTOCOL_ERROR),
        (PREFACE + frames.frame(frames.SETTINGS, 0, 0, b"12345"), frames.FRAME_SIZE_ERROR),
        (PREFACE + frames.frame(frames.PING, 0, 0, bytes(8)) * 2000, frames.ENHANCE_YOUR_CALM),
        (
            PREFACE + frames.frame(frames.HEADERS, 0, 1, b"") + frames.frame(9, 0, 1, b"") * 100,
            frames.ENHANCE_YOUR_CALM,
        ),
        (
            PREFACE
            + b"".join(
                frames.headers_frames(n, b"\x83\x86\x84", False, 16_384) + frames.rst_stream_frame(n, 8)
                for n in range(1, 3001, 2)
            ),
            frames.ENHANCE_YOUR_CALM,
        ),
    ],
)
def test_a_client_that_breaks_the_protocol_is_told_and_left(sent: bytes, code: int) -> None:
    with worker() as at:
        wire = at.connect()
        answer = at.send(wire, sent)
        read = frames.FrameReader().feed(answer)
        kind, _, _, payload = read[-1]
        assert kind == frames.GOAWAY
        assert frames.read_goaway(payload)[1] == code
        assert wire.closed


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (HEADERS + frames.frame(frames.DATA, 1, 1, b"") + frames.frame(frames.DATA, 0, 1, b"x"), None),
        (frames.headers_frames(1, b"\x83", True, 16_384), frames.PROTOCOL_ERROR),
        (HEADERS + HEADERS, frames.PROTOCOL_ERROR),
        (HEADERS + frames.window_update_frame(1, 0), frames.PROTOCOL_ERROR),
        (HEADERS + frames.window_update_frame(1, 2**31 - 1), frames.FLOW_CONTROL_ERROR),
    ],
)
def test_what_breaks_one_exchange_resets_that_stream(sent: bytes, code: int | None) -> None:
    with worker() as at:
        wire = at.connect()
        answer = at.send(wire, PREFACE + sent)
        resets = [
            payload for kind, _, _, payload in frames.FrameReader().feed(answer) if kind == frames.RST_STREAM
        ]
        assert [frames.read_u32(payload, "RST_STREAM") for payload in resets] == (
            [] if code is None else [code]
        )
        assert not wire.closed


def test_streams_beyond_the_limit_are_refused() -> None:
    with worker(ServingLimits(ConnectionLimits(2))) as at:
        wire = at.connect()
        parked = b"".join(
            frames.headers_frames(
                n,
                b"\x83\x86\x04\x13/invoke/Served/park\x0f\x10" + bytes((len(V7),)) + V7.encode(),
                False,
                16_384,
            )
            for n in (1, 3, 5)
        )
        read = frames.FrameReader().feed(at.send(wire, PREFACE + parked))
        refused = [stream_id for kind, _, stream_id, _ in read if kind == frames.RST_STREAM]
        assert refused == [5]


def test_headers_that_are_too_large_are_answered() -> None:
    with worker(header_bytes_max=1000) as at:
        peer = Http2Peer(at)
        stream = peer.h2.get_next_available_stream_id()
        pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/health")]
        peer.h2.send_headers(stream, [*pseudo, ("x", "y" * 2000)], end_stream=True)
        (response,) = kinds(peer.exchange(), ResponseReceived)
        assert isinstance(response, ResponseReceived)
        assert dict(response.headers)[":status"] == "431"
