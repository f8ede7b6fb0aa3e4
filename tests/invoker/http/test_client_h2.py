"""Stories of the client over real sockets, with the `h2` library as the deployment."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import h2.events
import h2.settings
import pytest

from holdfast.http2 import frames
from holdfast.invoker.http import Endpoint, HeaderError, HttpClient, RequestFailed
from tests.invoker.http.conftest import Run
from tests.invoker.http.peers import PeerConnection, Recorder, SocketPeer, eventually

CONCURRENT = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS


def at(port: int) -> Endpoint:
    return Endpoint.parse(f"http://127.0.0.1:{port}", http11=False)


@asynccontextmanager
async def client(**options: Any) -> AsyncIterator[HttpClient]:
    made = HttpClient(asyncio.get_running_loop(), **options)
    try:
        yield made
    finally:
        await made.close()


def answer_when_ended(_: SocketPeer, connection: PeerConnection, event: h2.events.Event) -> None:
    if isinstance(event, h2.events.StreamEnded):
        assert event.stream_id is not None
        connection.respond(event.stream_id)


def answer_never(_: SocketPeer, __: PeerConnection, ___: h2.events.Event) -> None: ...


def test_a_whole_exchange(run: Run) -> None:
    async def scenario() -> None:
        async with SocketPeer(answer_when_ended) as peer, client() as http:
            for _ in range(3):
                answer = await http.request(
                    at(peer.port), "GET", "/discover", (), timeout_s=5, max_body_bytes=10
                )
                assert (answer.status, answer.body) == (200, b"ok")
            assert len(peer.connections) == 1

    run(scenario)


def test_a_long_conversation_in_both_directions(run: Run) -> None:
    """Goal: every chunk arrives in order while both sides keep talking.

    Method: the peer echoes chunk by chunk.
    """

    def echo(_: SocketPeer, connection: PeerConnection, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            connection.h2.send_headers(event.stream_id, [(":status", "200")])
        elif isinstance(event, h2.events.DataReceived) and event.data:
            connection.h2.send_data(event.stream_id, event.data)
        elif isinstance(event, h2.events.StreamEnded):
            connection.h2.end_stream(event.stream_id)

    async def scenario() -> None:
        async with SocketPeer(echo) as peer, client() as http:
            heard = [Recorder() for _ in range(30)]
            streams = [http.open(at(peer.port), "POST", "/x", (), recorder, body=b"0,") for recorder in heard]
            for turn in range(1, 20):
                await eventually(lambda: all(r.body.count(b",") >= turn for r in heard), f"turn {turn}")  # noqa: B023
                for stream in streams:
                    stream.write(b"%d," % turn)
            for stream in streams:
                stream.end()
            await eventually(lambda: all(recorder.ended for recorder in heard), "all ended")
            expected = b"".join(b"%d," % turn for turn in range(20))
            assert all(recorder.body == expected for recorder in heard)

    run(scenario)


def test_streams_over_the_peers_limit_use_further_connections_then_wait_their_turn(run: Run) -> None:
    async def scenario() -> None:
        async with (
            SocketPeer(answer_never, {CONCURRENT: 2}) as peer,
            client(connections_per_endpoint_max=2) as http,
        ):
            heard = [Recorder() for _ in range(7)]
            streams = [
                http.open(at(peer.port), "POST", "/x", (), recorder, body=b"%d" % index)
                for index, recorder in enumerate(heard)
            ]
            streams[6].write(b" and more")
            assert streams[6].buffered_bytes == len(b"6 and more")
            await eventually(lambda: sum(len(c.requests) for c in peer.connections) == 4, "four started")
            await asyncio.sleep(0.05)
            assert [len(c.requests) for c in peer.connections] == [2, 2]
            streams[5].reset()
            for connection in peer.connections:
                for stream_id in list(connection.requests):
                    connection.respond(stream_id)
                connection.flush()
            await eventually(lambda: sum(len(c.requests) for c in peer.connections) == 6, "the rest started")
            assert sum(recorder.ended for recorder in heard) == 4
            assert streams[6].buffered_bytes == 0
            assert not heard[5].over

    run(scenario)


def test_a_full_queue_fails_at_once_and_later(run: Run) -> None:
    async def scenario() -> None:
        async with (
            SocketPeer(answer_never, {CONCURRENT: 1}) as peer,
            client(connections_per_endpoint_max=1, waiting_streams_max=2) as http,
        ):
            heard = [Recorder() for _ in range(4)]
            for recorder in heard[:2]:
                http.open(at(peer.port), "POST", "/x", (), recorder)
            http.open(at(peer.port), "POST", "/x", (), heard[2])
            assert heard[2].failure is None, "never from inside open()"
            await eventually(lambda: heard[2].failure is not None, "refused")
            assert heard[2].failure is not None
            assert "waiting_streams_max" in heard[2].failure.reason
            assert not heard[0].over

    run(scenario)


def test_bad_headers_are_refused_in_every_state(run: Run) -> None:
    async def scenario() -> None:
        async with SocketPeer(answer_when_ended) as peer, client() as http:
            for _ in range(2):
                with pytest.raises(HeaderError):
                    http.open(at(peer.port), "POST", "/x", (("bad name", "x"),), Recorder())
                await http.request(at(peer.port), "GET", "/x", (), timeout_s=5, max_body_bytes=10)

    run(scenario)


def test_goaway_moves_new_streams_to_a_fresh_connection_and_lets_open_ones_finish(run: Run) -> None:
    async def scenario() -> None:
        async with SocketPeer(answer_never) as peer, client() as http:
            first, second = Recorder(), Recorder()
            http.open(at(peer.port), "POST", "/x", (), first)
            await eventually(
                lambda: bool(peer.connections and peer.connections[0].requests), "the first arrived"
            )
            old = peer.connections[0]
            old.transport.write(frames.goaway_frame(1, frames.NO_ERROR))
            await asyncio.sleep(0.05)
            http.open(at(peer.port), "POST", "/x", (), second)
            await eventually(lambda: len(peer.connections) == 2, "a second connection")
            assert not first.over
            old.respond(1)
            old.flush()
            await eventually(lambda: first.ended, "the first ended")
            await eventually(lambda: old.closed, "the drained connection closed")
            assert not second.over

    run(scenario)


def test_an_endpoints_request_limit_is_learnt_from_the_first_loss(run: Run) -> None:
    """Goal: like Hypercorn, the peer stops answering at request 151; only the first time costs streams."""
    limit = 150

    def limited(_: SocketPeer, connection: PeerConnection, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.StreamEnded):
            assert event.stream_id is not None
            if len(connection.requests) <= limit:
                connection.respond(event.stream_id)
            elif len(connection.requests) == limit + 1:
                connection.flush()
                connection.transport.write(frames.goaway_frame(event.stream_id, frames.NO_ERROR))
        elif isinstance(event, h2.events.PingReceived):
            connection.transport.close()

    async def scenario() -> None:
        async with SocketPeer(limited) as peer, client() as http:
            lost = 0
            for _ in range(8 * limit):
                try:
                    await http.request(at(peer.port), "GET", "/x", (), timeout_s=5, max_body_bytes=10)
                except RequestFailed:
                    lost += 1
            assert lost == 1
            assert len(peer.connections) >= 8

    run(scenario)


def test_a_lost_connection_is_replaced(run: Run) -> None:
    async def scenario() -> None:
        async with SocketPeer(answer_never) as peer, client() as http:
            heard = Recorder()
            http.open(at(peer.port), "POST", "/x", (), heard)
            await eventually(lambda: bool(peer.connections and peer.connections[0].requests), "it arrived")
            peer.connections[0].transport.abort()
            await eventually(lambda: heard.failure is not None, "it failed")
            assert heard.failure is not None
            assert f"127.0.0.1:{peer.port}" in heard.failure.reason
            assert not heard.failure.retry_at_once
            peer.on_event = answer_when_ended
            await http.request(at(peer.port), "GET", "/x", (), timeout_s=5, max_body_bytes=10)

    run(scenario)


def test_a_silent_peer_is_pinged_and_given_up(run: Run) -> None:
    async def scenario() -> None:
        options = {"ping_interval_s": 0.05, "ping_timeout_s": 0.6, "sweep_interval_s": 0.03}
        async with SocketPeer(answer_never) as peer, client(**options) as http:
            heard = Recorder()
            http.open(at(peer.port), "POST", "/x", (), heard)
            await eventually(lambda: bool(peer.connections and peer.connections[0].requests), "it arrived")
            await asyncio.sleep(0.4)
            assert not heard.over, "a peer that answers PINGs may take its time"
            peer.connections[0].deaf = True
            await eventually(lambda: heard.failure is not None, "given up")
            assert heard.failure is not None
            assert "PING" in heard.failure.reason

    run(scenario)


def test_idle_connections_are_closed_and_forgotten(run: Run) -> None:
    async def scenario() -> None:
        async with (
            SocketPeer(answer_when_ended) as peer,
            client(idle_timeout_s=0.1, sweep_interval_s=0.03) as http,
        ):
            await http.request(at(peer.port), "GET", "/x", (), timeout_s=5, max_body_bytes=10)
            await eventually(lambda: peer.connections[0].closed, "closed")
            await http.request(at(peer.port), "GET", "/x", (), timeout_s=5, max_body_bytes=10)
            assert len(peer.connections) == 2

    run(scenario)


def test_a_port_nobody_listens_on_fails_all_waiting_streams(run: Run) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        async with client() as http:
            heard = [Recorder() for _ in range(3)]
            for recorder in heard:
                http.open(at(port), "POST", "/x", (), recorder)
            await eventually(lambda: all(recorder.failure for recorder in heard), "all failed")
            failure = heard[0].failure
            assert failure is not None
            assert f"127.0.0.1:{port}" in failure.reason
            assert "META0003" in failure.reason
            assert not failure.retry_at_once

    run(scenario)


@pytest.mark.parametrize("host", ["a" * 70 + ".test", "no-such-host.invalid", "a..b"])
def test_a_host_that_cannot_be_resolved_fails_plainly(run: Run, host: str) -> None:
    async def scenario() -> None:
        async with client() as http:
            endpoint = Endpoint.parse(f"http://{host}:1", http11=False)
            with pytest.raises(RequestFailed, match="META0003"):
                await http.request(endpoint, "GET", "/x", (), timeout_s=15, max_body_bytes=10)

    run(scenario)


def test_a_connection_whose_peer_does_not_read_the_goodbye_is_cut(run: Run) -> None:
    """Goal: no socket lingers. Method: fill the socket of a peer that stopped reading, and wait."""

    async def scenario() -> None:
        settings = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**30}
        options = {"ping_interval_s": 0.3, "ping_timeout_s": 0.5, "sweep_interval_s": 0.03}
        async with SocketPeer(answer_never, settings) as peer, client(**options) as http:
            heard = Recorder()
            stream = http.open(at(peer.port), "POST", "/x", (), heard)
            await eventually(lambda: bool(peer.connections and peer.connections[0].requests), "it arrived")
            connection = peer.connections[0]
            connection.h2.increment_flow_control_window(2**30)
            connection.flush()
            await asyncio.sleep(0.05)
            connection.transport.pause_reading()
            stream.write(b"x" * 2**25)
            await eventually(lambda: heard.failure is not None, "given up")
            await eventually(lambda: http.connections(at(peer.port)) == 0, "the socket was cut")

    run(scenario)


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", b"<!DOCTYPE HTML><html>", b"\x15\x03\x01"],
)
def test_a_server_without_http2_is_called_that(run: Run, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server, client() as http:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(RequestFailed, match="META0014") as caught:
                await http.request(at(port), "GET", "/discover", (), timeout_s=5, max_body_bytes=10)
            assert f"127.0.0.1:{port}" in str(caught.value)

    run(scenario)


def test_a_peer_that_never_shakes_hands_is_given_up(run: Run) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server, client(connect_timeout_s=0.2) as http:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(RequestFailed, match="not reached within"):
                await http.request(at(port), "GET", "/x", (), timeout_s=5, max_body_bytes=10)

    run(scenario)


def test_requests_keep_their_deadline_and_their_size(run: Run) -> None:
    async def scenario() -> None:
        async with SocketPeer(answer_never) as peer, client() as http:
            with pytest.raises(RequestFailed, match="no complete answer"):
                await http.request(at(peer.port), "GET", "/x", (), timeout_s=0.1, max_body_bytes=10)
            await eventually(
                lambda: not peer.connections[0].h2.open_inbound_streams, "the late stream is reset"
            )
            peer.on_event = answer_when_ended
            with pytest.raises(RequestFailed, match="exceeds 1 bytes"):
                await http.request(at(peer.port), "GET", "/x", (), timeout_s=5, max_body_bytes=1)

    run(scenario)


def test_closing_the_client_tells_every_stream(run: Run) -> None:
    async def scenario() -> None:
        async with SocketPeer(answer_never, {CONCURRENT: 1}) as peer:
            http = HttpClient(asyncio.get_running_loop(), connections_per_endpoint_max=1)
            heard = [Recorder(), Recorder()]
            for recorder in heard:
                http.open(at(peer.port), "POST", "/x", (), recorder)
            await eventually(lambda: bool(peer.connections and peer.connections[0].requests), "one arrived")
            late = [Recorder(), Recorder()]
            heard[0].on_last = lambda: http.open(at(peer.port), "POST", "/x", (), late[0]) and None
            await http.close()
            assert all(recorder.failure for recorder in heard)
            http.open(at(1), "POST", "/x", (), late[1])
            await eventually(lambda: all(recorder.failure for recorder in late), "later ones fail, too")
            await eventually(lambda: peer.connections[0].closed, "hung up")

    run(scenario)


def test_a_slow_reader_bounds_what_is_buffered(run: Run) -> None:
    """Goal: `buffered_bytes` tells the caller to stop.

    Method: a peer with wide windows that does not read.
    """

    async def scenario() -> None:
        async with (
            SocketPeer(answer_never, {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**30}) as peer,
            client() as http,
        ):
            heard = Recorder()
            stream = http.open(at(peer.port), "POST", "/x", (), heard)
            await eventually(lambda: bool(peer.connections and peer.connections[0].requests), "it arrived")
            connection = peer.connections[0]
            connection.h2.increment_flow_control_window(2**30)
            connection.flush()
            connection.transport.pause_reading()
            await asyncio.sleep(0.05)
            written = 0
            while stream.buffered_bytes < 2**20:
                stream.write(b"x" * 65_536)
                written += 65_536
                await asyncio.sleep(0)
                assert written < 2**26
            connection.transport.resume_reading()
            await eventually(lambda: stream.buffered_bytes == 0, "drained")

    run(scenario)
