"""Stories of one HTTP/2 connection, told against the `h2` library as the server."""

from __future__ import annotations

import h2.errors
import h2.events
import h2.settings
import pytest

from holdfast.http2 import frames
from holdfast.http2.output import OUTPUT_BYTES_MAX
from holdfast.invoker.http.h2_connection import H2Connection
from holdfast.invoker.http.h2_streams import STREAM_WINDOW_BYTES
from holdfast.invoker.http.header_blocks import ResponseCache
from tests.invoker.http.peers import ENCODER, MemoryPair, Owner, Recorder

CUTS = (None, 1, 7)


@pytest.mark.parametrize("cut", CUTS)
def test_both_directions_run_at_once(cut: int | None) -> None:
    """Goal: full duplex.

    Method: the response starts while the request is open; both go on; each ends alone.
    """
    pair, heard = MemoryPair(cut=cut), Recorder()
    stream = pair.open(heard, b"start")
    pair.exchange()
    (request,) = pair.seen(h2.events.RequestReceived)
    assert isinstance(request, h2.events.RequestReceived)
    assert dict(request.headers)[b":path"] == b"/base/invoke/S/h"
    pair.respond(1, b"first", end=False)
    pair.exchange()
    assert (heard.status, heard.headers, heard.body) == (200, {"content-type": "x"}, b"first")
    stream.write(b" and more")
    pair.exchange()
    assert pair.received(1) == b"start and more"
    pair.server.send_data(1, b" second")
    stream.end()
    pair.exchange()
    assert pair.seen(h2.events.StreamEnded)
    assert not heard.ended
    pair.server.end_stream(1)
    pair.exchange()
    assert heard.ended
    assert heard.body == b"first second"
    assert pair.client.open_streams == 0
    assert pair.owner.closed_streams == 1


def test_what_many_streams_wrote_leaves_as_one_piece() -> None:
    pair = MemoryPair()
    announced = pair.owner.announced
    for _ in range(20):
        pair.open(Recorder(), b"body").write(b"more")
    assert pair.owner.announced == announced + 1
    pair.exchange()
    assert all(pair.received(stream_id) == b"bodymore" for stream_id in range(1, 40, 2))


@pytest.mark.parametrize("end_with_body", [True, False])
def test_a_large_request_body_flows_as_the_peer_grants(end_with_body: bool) -> None:
    """Goal: nothing beyond the windows, nothing lost. Method: h2 checks its windows and starts at 64 KiB."""
    body = bytes(range(256)) * 12_000
    pair, heard = MemoryPair(), Recorder()
    stream = pair.open(heard, body, end=end_with_body)
    assert stream.buffered_bytes > len(body) - 70_000
    if not end_with_body:
        stream.end()
    pair.exchange()
    assert pair.received(1) == body
    assert pair.seen(h2.events.StreamEnded)
    assert stream.buffered_bytes == 0


def test_large_bodies_take_turns() -> None:
    """Goal: one upload does not starve another.

    Method: wide windows, then look at one tick's output at a time.
    """
    pair = MemoryPair()
    wide = frames.settings_frame(((frames.SETTING_INITIAL_WINDOW_SIZE, 2**24),))
    pair.client.receive(wide + frames.window_update_frame(0, 2**24))
    pair.client.take_output()
    streams = [pair.open(Recorder(), b"x" * 2**20) for _ in range(3)]
    left = [stream.buffered_bytes for stream in streams]
    for _ in range(6):
        assert len(pair.client.take_output()) < OUTPUT_BYTES_MAX + 8_192
        left = [stream.buffered_bytes for stream in streams]
    assert max(left) - min(left) <= OUTPUT_BYTES_MAX


def test_a_full_socket_holds_bodies_back_but_not_control_frames() -> None:
    pair = MemoryPair()
    stream = pair.open(Recorder())
    pair.exchange()
    pair.client.output.pause()
    stream.write(b"x" * 100)
    assert stream.buffered_bytes == 100
    pair.server.ping(b"12345678")
    pair.exchange()
    assert pair.seen(h2.events.PingAckReceived)
    assert pair.received(1) == b""
    pair.client.output.resume()
    pair.exchange()
    assert pair.received(1) == b"x" * 100


def test_a_window_that_shrinks_below_zero_recovers() -> None:
    pair = MemoryPair()
    stream = pair.open(Recorder(), b"x" * 60_000)
    pair.acknowledge = False
    pair.exchange()
    pair.server.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1_000})
    pair.exchange()
    stream.write(b"y" * 5_000)
    pair.exchange()
    assert stream.buffered_bytes == 5_000
    pair.server.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 200_000})
    pair.exchange()
    assert stream.buffered_bytes == 0
    assert len(pair.received(1)) == 65_000


def test_the_peers_frame_size_is_used_once_it_allows_more() -> None:
    pair = MemoryPair()
    pair.server.update_settings({h2.settings.SettingCodes.MAX_FRAME_SIZE: 60_000})
    pair.exchange()
    pair.open(Recorder(), b"x" * 50_000)
    pair.exchange()
    assert [len(event.data) for event in pair.seen(h2.events.DataReceived)] == [50_000]  # type: ignore[attr-defined]


def test_a_large_response_gets_the_room_it_needs() -> None:
    """Goal: windows are returned, lazily. Method: 24 MiB through 2 and 16 MiB windows; count the updates."""
    pair, heard = MemoryPair(), Recorder()
    pair.open(heard, end=True)
    pair.exchange()
    pair.respond(1, end=False, body=b"!")
    sent = 1
    while sent < 24 * 2**20:
        room = min(pair.server.local_flow_control_window(1), 16_384)
        assert room > 0
        for _ in range(min(16, pair.server.local_flow_control_window(1) // room)):
            pair.server.send_data(1, b"x" * room)
            sent += room
        pair.exchange()
    assert len(heard.body) == sent
    updates = pair.seen(h2.events.WindowUpdated)
    assert 24 <= len(updates) <= 32


def test_a_paused_response_stops_at_its_window_and_goes_on_when_resumed() -> None:
    pair, heard = MemoryPair(), Recorder()
    stream = pair.open(heard, end=True)
    pair.exchange()
    stream.pause_reading()
    pair.respond(1, b"!", end=False)
    while room := min(pair.server.local_flow_control_window(1), 16_384):
        pair.server.send_data(1, b"x" * room)
        pair.exchange()
    assert len(heard.body) == STREAM_WINDOW_BYTES
    stream.resume_reading()
    pair.exchange()
    assert pair.server.local_flow_control_window(1) == STREAM_WINDOW_BYTES


def test_a_response_that_ends_first_half_closes_the_request() -> None:
    pair, heard = MemoryPair(), Recorder()
    stream = pair.open(heard, b"x")
    pair.exchange()
    pair.respond(1, b"early")
    pair.exchange()
    assert heard.ended
    assert pair.seen(h2.events.StreamEnded)
    assert pair.client.open_streams == 0
    stream.write(b"ignored")
    stream.end()
    stream.reset()
    pair.exchange()
    assert pair.received(1) == b"x"


def test_a_response_that_ends_while_the_body_is_stuck_resets_the_request() -> None:
    pair, heard = MemoryPair(), Recorder()
    pair.acknowledge = False
    stream = pair.open(heard, b"x" * 100_000)
    pair.exchange()
    pair.respond(1, b"enough")
    pair.exchange()
    assert heard.ended
    assert stream.buffered_bytes == 0
    (reset,) = pair.seen(h2.events.StreamReset)
    assert isinstance(reset, h2.events.StreamReset)
    assert reset.error_code == frames.CANCEL


def test_reset_ends_all_calls_even_from_inside_one() -> None:
    pair, heard = MemoryPair(), Recorder()
    stream = pair.open(heard)
    heard.on_chunk = lambda _: stream.reset()
    pair.exchange()
    pair.respond(1, b"a", end=False)
    pair.server.send_data(1, b"b", end_stream=True)
    pair.exchange()
    assert heard.chunks == [b"a"]
    assert not heard.over
    assert pair.client.open_streams == 0


@pytest.mark.parametrize(
    ("code", "retry"), [(frames.REFUSED_STREAM, True), (frames.CANCEL, False), (frames.INTERNAL_ERROR, False)]
)
def test_a_reset_says_whether_the_peer_processed_the_stream(code: int, retry: bool) -> None:
    pair, heard = MemoryPair(), Recorder()
    pair.open(heard)
    pair.exchange()
    pair.server.reset_stream(1, code)
    pair.exchange()
    assert heard.failure is not None
    assert (heard.failure.reset_code, heard.failure.retry_at_once) == (code, retry)
    assert "peer:1" in heard.failure.reason
    assert frames.ERROR_NAMES[code] in heard.failure.reason


def test_a_reset_after_the_whole_response_changes_nothing() -> None:
    pair, heard = MemoryPair(), Recorder()
    pair.open(heard)
    pair.exchange()
    pair.respond(1, b"done")
    pair.client.receive(pair.server.data_to_send() + frames.rst_stream_frame(1, frames.NO_ERROR))
    assert heard.ended
    assert not pair.client.closed


def test_goaway_fails_only_what_the_peer_will_not_process() -> None:
    pair, kept, excluded = MemoryPair(), Recorder(), Recorder()
    pair.open(kept)
    pair.exchange()
    pair.open(excluded)
    pair.client.receive(frames.goaway_frame(1, frames.NO_ERROR))
    assert excluded.failure is not None
    assert excluded.failure.retry_at_once
    assert pair.owner.gone
    assert not pair.client.room(100)
    assert not kept.over
    pair.respond(1, b"still here")
    pair.exchange()
    assert kept.ended


def test_a_lost_connection_tells_sent_streams_from_unsent_ones() -> None:
    pair, sent, unsent = MemoryPair(), Recorder(), Recorder()
    pair.open(sent)
    pair.exchange()
    pair.open(unsent)
    pair.client.fail("peer:1 closed the connection")
    assert sent.failure is not None
    assert unsent.failure is not None
    assert (sent.failure.retry_at_once, unsent.failure.retry_at_once) == (False, True)
    farewell = frames.FrameReader().feed(pair.client.take_output())
    assert [kind for kind, *_ in farewell] == [frames.GOAWAY], "what was called unsent must not be sent now"


def test_max_concurrent_streams_bounds_the_room() -> None:
    pair = MemoryPair(settings={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 2})
    assert pair.client.room(100)
    streams = [pair.open(Recorder()) for _ in range(2)]
    assert not pair.client.room(100)
    streams[0].reset()
    assert pair.client.room(100)
    assert not pair.client.room(1)


def test_no_stream_before_the_peers_settings() -> None:
    connection = H2Connection(Owner(), "peer:1", ResponseCache())
    assert not connection.room(100)
    connection.receive(frames.settings_frame(()))
    assert connection.room(100)


@pytest.mark.parametrize("setup", [{"first_stream_id": frames.STREAM_ID_LIMIT}, {"streams_total_max": 1}])
def test_the_last_stream_id_drains_the_connection(setup: dict[str, int]) -> None:
    pair, heard = MemoryPair(**setup), Recorder()  # type: ignore[arg-type]
    stream = pair.open(heard)
    assert pair.client.draining
    assert not pair.client.room(100)
    pair.exchange()
    pair.respond(stream.stream_id, b"last")
    pair.exchange()
    assert heard.ended


def test_informational_answers_trailers_padding_and_priority_are_understood() -> None:
    pair, heard = MemoryPair(), Recorder()
    pair.open(heard)
    pair.exchange()
    pair.server.send_headers(1, [(":status", "103"), ("link", "x")])
    pair.server.send_headers(1, [(":status", "200")])
    pair.server.send_data(1, b"padded", pad_length=200)
    pair.server.send_headers(1, [("grpc-status", "0")], end_stream=True)
    down = pair.server.data_to_send()
    pair.client.receive(down[: len(down)] + frames.frame(frames.PRIORITY, 0, 7, b"\x00\x00\x00\x01\x10"))
    assert (heard.status, heard.headers, heard.body, heard.ended) == (200, {}, b"padded", True)
    assert not pair.client.closed


@pytest.mark.parametrize("cut", CUTS)
def test_headers_longer_than_a_frame_arrive_whole(cut: int | None) -> None:
    pair, heard = MemoryPair(cut=cut), Recorder()
    pair.open(heard, end=True)
    pair.exchange()
    value = "".join(chr(33 + i % 90) for i in range(30_000))
    pair.server.send_headers(1, [(":status", "200"), ("x-long", value)], end_stream=True)
    pair.exchange()
    assert heard.headers == {"x-long": value}
    assert heard.ended


def test_requests_longer_than_a_frame_arrive_whole() -> None:
    pair = MemoryPair(settings={h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 2**20})
    value = "v" * 40_000
    pair.client.open(ENCODER.encode("POST", "/p", (("a", value),), None), Recorder(), end=True)
    pair.exchange()
    (request,) = pair.seen(h2.events.RequestReceived)
    assert isinstance(request, h2.events.RequestReceived)
    assert dict(request.headers)[b"a"] == value.encode()


def test_equal_blocks_are_looked_up_and_their_headers_are_not_shared() -> None:
    cache = ResponseCache()
    pair, first, second = MemoryPair(cache=cache), Recorder(), Recorder()
    for heard in (first, second):
        stream = pair.open(heard, end=True)
        pair.exchange()
        pair.respond(stream.stream_id)
        pair.exchange()
    assert len(cache.heads) <= 2  # the first block says "table size 0" in front
    first.headers["content-type"] = "changed"
    assert second.headers == {"content-type": "x"}


def test_a_table_in_use_before_our_settings_are_acknowledged_is_followed() -> None:
    """Goal: nothing is cached while blocks depend on a table.

    Method: h2 answers before it reads our SETTINGS.
    """
    cache, owner, heards = ResponseCache(), Owner(), (Recorder(), Recorder())
    client = H2Connection(owner, "peer:1", cache)
    client.receive(frames.settings_frame(()))
    for heard in heards:
        client.open(b"\x82", heard, end=True)
    # Both say "x: y"; the first as a literal to be indexed, the second as index 62.
    client.receive(frames.headers_frames(1, b"\x88\x40\x01x\x01y", True, 16_384))
    client.receive(frames.headers_frames(3, b"\x88\xbe", True, 16_384))
    assert [heard.headers for heard in heards] == [{"x": "y"}, {"x": "y"}]
    assert cache.heads == {}
    late = Recorder()
    client.open(b"\x82", late, end=True)
    client.receive(frames.SETTINGS_ACK + frames.headers_frames(5, b"\x88\xbe", True, 16_384))
    assert client.closed
    assert late.failure is not None
    assert "header block" in late.failure.reason


def test_a_listener_that_raises_harms_nobody_else() -> None:
    pair, good, bad = MemoryPair(), Recorder(), Recorder()

    def explode(_: bytes) -> None:
        raise RuntimeError("a bug")

    bad.on_chunk = explode
    pair.open(bad)
    pair.open(good)
    pair.exchange()
    pair.respond(1, b"x")
    pair.respond(3, b"y")
    pair.exchange()
    assert good.ended
    assert not bad.over
    assert [str(error) for error in pair.owner.errors] == ["a bug"]
    assert pair.client.open_streams == 0


def test_writing_after_the_end_is_the_callers_mistake() -> None:
    pair = MemoryPair()
    stream = pair.open(Recorder())
    stream.end()
    with pytest.raises(RuntimeError, match="after end"):
        stream.write(b"x")


def test_pings_are_answered_and_answers_are_counted() -> None:
    pair = MemoryPair()
    pair.client.ping()
    pair.server.ping(b"abcdefgh")
    pair.exchange()
    assert pair.client.pongs == 1
    (answer,) = pair.seen(h2.events.PingAckReceived)
    assert answer.ping_data == b"abcdefgh"  # type: ignore[attr-defined]


def test_empty_data_frames_are_tolerated() -> None:
    pair, heard = MemoryPair(), Recorder()
    pair.open(heard, end=True)
    pair.exchange()
    pair.respond(1, b"a", end=False)
    pair.exchange()
    pair.client.receive(frames.frame(frames.DATA, 0, 1) * 5_000)
    pair.server.send_data(1, b"b", end_stream=True)
    pair.exchange()
    assert heard.body == b"ab"
    assert heard.ended
