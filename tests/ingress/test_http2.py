"""HTTP/2 with prior knowledge, spoken by peers we did not write and by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.model import Success
from holdfast.http2 import frames
from holdfast.ingress.exchange import IngressLimits
from ingress.support import Client, Served, get, post, run, served, until

PREFACE = frames.CLIENT_PREFACE + frames.settings_frame(())


class Peer:
    """A client on the `h2` library, which refuses what the protocol forbids us."""

    def __init__(self, client: Client) -> None:
        self.client = client
        config = H2Configuration(validate_outbound_headers=False, header_encoding="utf-8")
        self.h2 = H2Connection(config)
        self.h2.initiate_connection()
        self.events: list[Event] = []

    async def flush(self) -> None:
        await self.client.send(self.h2.data_to_send())

    async def request(
        self, path: str, body: bytes | None = b"", *headers: tuple[str, str], method: str = "POST"
    ) -> int:
        stream_id = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "http"), (":authority", "x"), (":path", path)]
        self.h2.send_headers(stream_id, [*pseudo, *headers], end_stream=body == b"")
        if body:
            self.h2.send_data(stream_id, body, end_stream=True)
        await self.flush()
        return stream_id

    async def see(self, kind: type[Event], stream_id: int | None = None) -> Event:
        """The next event of a kind, of a stream. Fails after five seconds."""
        async with asyncio.timeout(5):
            while True:
                for event in self.events:
                    if isinstance(event, kind) and stream_id in (None, getattr(event, "stream_id", None)):
                        self.events.remove(event)
                        return event
                data = await self.client.reader.read(1 << 16)
                assert data, "the server closed the connection"
                self.events += self.h2.receive_data(data)
                await self.flush()

    async def reply(self, stream_id: int) -> tuple[int, dict[str, str], bytes]:
        response = await self.see(ResponseReceived, stream_id)
        assert isinstance(response, ResponseReceived)
        await self.see(StreamEnded, stream_id)
        body = [
            each for each in self.events if isinstance(each, DataReceived) and each.stream_id == stream_id
        ]
        headers = {str(name): str(value) for name, value in response.headers or []}
        return int(headers[":status"]), headers, b"".join(each.data or b"" for each in body)


@asynccontextmanager
async def peer_of(on: Served) -> AsyncIterator[Peer]:
    async with on.client() as client:
        yield Peer(client)


def test_an_ordinary_client_with_large_bodies() -> None:
    """Goal: flow control both ways, many streams at once, against httpx."""
    body = b"x" * 3_000_000

    async def story() -> None:
        async with served() as on:
            base = f"http://127.0.0.1:{on.port}"
            async with httpx.AsyncClient(http1=False, http2=True, base_url=base, timeout=20) as client:
                replies = await asyncio.gather(
                    *[client.post("/Greeter/echo", content=body) for _ in range(4)]
                )
                assert [(reply.status_code, reply.content == body) for reply in replies] == [(200, True)] * 4
                refused = await client.put("/Greeter/echo", headers={"origin": "http://x.y"})
                assert refused.http_version == "HTTP/2"
                assert (refused.status_code, refused.json()["source"]) == (405, "ingress")
                assert refused.headers["access-control-allow-origin"] == "http://x.y"
            await until(lambda: on.server.connection_count == 0)
            assert (on.server.buffered_bytes, on.server.waiting_count) == (0, 0)

    run(story())


def test_routes_do_not_notice_the_version() -> None:
    async def story() -> None:
        async with served() as on, peer_of(on) as peer:
            fields = (("x-b", "2"), ("cookie", "a=1"), ("content-type", "x/y"), ("cookie", "b=2"))
            status, headers, body = await peer.reply(await peer.request("/Greeter/echo?q", b"hi", *fields))
            assert (status, body, headers["content-type"]) == (200, b"hi", "application/json")
            assert on.engine.made[0].headers == [
                ("x-restate-ingress-path", "/Greeter/echo?q"),
                ("x-b", "2"),
                ("cookie", "a=1; b=2"),
                ("content-type", "x/y"),
            ]

    run(story())


def test_streams_are_answered_as_they_finish() -> None:
    async def story() -> None:
        async with served() as on, peer_of(on) as peer:
            slow = await peer.request("/Greeter/slow")
            assert (await peer.reply(await peer.request("/Greeter/echo", b"2")))[2] == b"2"
            on.engine.finish_all(Success(b"1"))
            assert (await peer.reply(slow))[2] == b"1"

    run(story())


def test_a_reset_stream_cancels_its_watch() -> None:
    async def story() -> None:
        async with served() as on, peer_of(on) as peer:
            stream_id = await peer.request("/Greeter/slow")
            await until(lambda: on.server.waiting_count == 1)
            peer.h2.reset_stream(stream_id)
            await peer.flush()
            await until(lambda: on.engine.watches[0].cancelled)
            assert on.server.waiting_count == 0

    run(story())


def test_a_body_that_is_announced_or_grows_too_large() -> None:
    """Goal: 413 while the client is still sending, and the connection stays usable."""

    async def story() -> None:
        async with served(IngressLimits(request_bytes_max=10_000)) as on, peer_of(on) as peer:
            announced = await peer.request("/Greeter/echo", None, ("content-length", "20000"))
            assert (await peer.reply(announced))[0] == 413
            peer.h2.send_data(announced, b"x" * 16_000)
            peer.h2.send_data(announced, b"x" * 4000, end_stream=True)
            await peer.flush()
            growing = await peer.request("/Greeter/echo", None)
            peer.h2.send_data(growing, b"x" * 6000)
            peer.h2.send_data(growing, b"x" * 6000)
            await peer.flush()
            assert (await peer.reply(growing))[0] == 413
            assert (await peer.reply(await peer.request("/Greeter/echo", b"2")))[2] == b"2"
            assert on.server.buffered_bytes == 0

    run(story())


def test_a_client_that_opens_no_window_gets_the_rest_when_it_does() -> None:
    async def story() -> None:
        async with served() as on, peer_of(on) as peer:
            peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
            stream_id = await peer.request("/Greeter/echo", b"x" * 25)
            first = await peer.see(DataReceived, stream_id)
            assert isinstance(first, DataReceived)
            assert first.data == b"x" * 10
            peer.h2.increment_flow_control_window(100, stream_id)
            await peer.flush()
            assert (await peer.reply(stream_id))[2] == b"x" * 15

    run(story())


def test_streams_over_the_limit_are_refused_and_can_be_retried() -> None:
    async def story() -> None:
        async with served(IngressLimits(streams_max=1)) as on, peer_of(on) as peer:
            first = await peer.request("/Greeter/slow")
            second = await peer.request("/Greeter/echo", b"2")
            reset = await peer.see(StreamReset, second)
            assert isinstance(reset, StreamReset)
            assert reset.error_code == frames.REFUSED_STREAM
            on.engine.finish_all(Success(b"1"))
            assert (await peer.reply(first))[2] == b"1"
            assert (await peer.reply(await peer.request("/Greeter/echo", b"2")))[2] == b"2"

    run(story())


def test_headers_over_the_limit() -> None:
    async def story() -> None:
        async with served(IngressLimits(header_bytes_max=1000)) as on, peer_of(on) as peer:
            large = await peer.request("/Greeter/echo", b"", ("x", "y" * 2000))
            assert (await peer.reply(large))[0] == 431
            assert (await peer.reply(await peer.request("/Greeter/echo", b"2")))[2] == b"2"
            await peer.request("/Greeter/echo", b"", ("x", "y" * 9000))
            assert isinstance(await peer.see(ConnectionTerminated), ConnectionTerminated)

    run(story())


@pytest.mark.parametrize(
    "headers",
    [
        (("X-Upper", "1"),), (("connection", "close"),), ((":path", "/again"),), (("a b", "1"),),
        (("x", "a\nb"),), (("content-length", "5"),), (("content-length", "x"),),
    ],
)  # fmt: skip
def test_a_malformed_request_ends_its_stream_alone(headers: tuple[tuple[str, str], ...]) -> None:
    async def story() -> None:
        async with served() as on, peer_of(on) as peer:
            peer.h2.config.normalize_outbound_headers = False
            stream_id = await peer.request("/Greeter/echo", b"12", *headers)
            reset = await peer.see(StreamReset, stream_id)
            assert isinstance(reset, StreamReset)
            assert reset.error_code == frames.PROTOCOL_ERROR
            assert not on.engine.made
            assert (await peer.reply(await peer.request("/Greeter/echo", b"2")))[2] == b"2"

    run(story())


def test_a_shutdown_finishes_streams_and_takes_no_more() -> None:
    async def story() -> None:
        async with served() as on, peer_of(on) as peer:
            first = await peer.request("/Greeter/slow")
            await until(lambda: on.server.waiting_count == 1)
            closing = asyncio.ensure_future(on.server.close(5))
            await until(lambda: on.server.draining)
            await peer.request("/Greeter/slow")
            await until(lambda: on.server.connection_count == 1)
            on.engine.finish_all(Success(b"1"))
            async with asyncio.timeout(5):
                received = await peer.client.reader.read()
            # By hand, because this library takes nothing any more once it has seen GOAWAY.
            seen = [(kind, stream_id) for kind, _, stream_id, _ in frames.FrameReader().feed(received)]
            answer = [(frames.HEADERS, first), (frames.DATA, first)]
            assert [each for each in seen if each in answer] == answer
            assert (frames.GOAWAY, 0) in seen
            assert len(on.engine.made) == 1
            await asyncio.wait_for(closing, 5)

    run(story())


def data(stream_id: int, size: int) -> bytes:
    return frames.frame(frames.DATA, 0, stream_id, b"x" * size)


VIOLATIONS = [
    frames.frame(frames.PING, 0, 0, b"12345678"),  # before SETTINGS
    PREFACE[24:] + data(1, 1),
    PREFACE[24:] + frames.frame(frames.HEADERS, 4, 2, b""),
    PREFACE[24:] + frames.frame(frames.HEADERS, 0, 1, b"") + frames.frame(frames.PING, 0, 0, b"12345678"),
    PREFACE[24:] + frames.frame(frames.HEADERS, 4, 1, b"\xff\xff\xff\xff\xff\xff"),
    PREFACE[24:] + frames.frame(frames.HEADERS, 0, 1, b"") + frames.frame(frames.CONTINUATION, 0, 1) * 100,
    PREFACE[24:] + frames.frame(frames.CONTINUATION, 4, 1, b""),
    PREFACE[24:] + frames.frame(frames.PUSH_PROMISE, 4, 1, b""),
    PREFACE[24:] + frames.window_update_frame(0, 0x7FFFFFFF),
    PREFACE[24:] + frames.rst_stream_frame(1, 8),
    PREFACE[24:] + frames.settings_frame(((frames.SETTING_MAX_FRAME_SIZE, 1),)),
    PREFACE[24:] + frames.frame_header(1 << 20, frames.DATA, 0, 1),
]


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_broken_protocol_ends_the_connection_with_a_reason(violation: bytes) -> None:
    async def story() -> None:
        async with served() as on, on.client() as client:
            await client.send(frames.CLIENT_PREFACE + violation)
            async with asyncio.timeout(5):
                received = await client.reader.read()
            kinds = [kind for kind, *_ in frames.FrameReader().feed(received)]
            assert frames.GOAWAY in kinds

    run(story())


def test_opening_and_resetting_streams_fast_ends_the_connection() -> None:
    block = bytes.fromhex("828684") + b"\x41\x01x"  # GET http / x

    async def story() -> None:
        async with served() as on, on.client() as client:
            storm = [
                frames.frame(frames.HEADERS, 4, stream_id, block) + frames.rst_stream_frame(stream_id, 8)
                for stream_id in range(1, 4001, 2)
            ]
            await client.send(PREFACE + b"".join(storm))
            async with asyncio.timeout(5):
                received = await client.reader.read()
            assert any(kind == frames.GOAWAY for kind, *_ in frames.FrameReader().feed(received))

    run(story())


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.integers(0, 255), st.integers(0, 5), st.binary(max_size=40)),
        max_size=8,
    )
)
def test_any_frames_harm_nobody_else(sequence: list[tuple[int, int, int, bytes]]) -> None:
    async def story() -> None:
        async with served() as on:
            async with on.client() as client:
                await client.send(PREFACE + b"".join(frames.frame(*each) for each in sequence))
                client.writer.write_eof()
                async with asyncio.timeout(5):
                    await client.reader.read()
            assert (await on.ask(get("/restate/health"))).status == 200
            await until(lambda: on.server.connection_count == 0)
            assert (on.server.buffered_bytes, on.server.waiting_count) == (0, 0)

    run(story())


def test_a_conversation_cut_at_every_byte_leaves_nothing_behind() -> None:
    h2 = H2Connection()
    h2.initiate_connection()
    h2.send_headers(
        1, [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", "/Greeter/slow")]
    )
    h2.send_data(1, b"123", end_stream=True)
    sent = h2.data_to_send()

    async def story() -> None:
        async with served() as on:
            for end in range(len(sent)):
                async with on.client() as client:
                    await client.send(sent[:end])
            await until(lambda: not on.server.connection_count)
            assert (on.server.buffered_bytes, on.server.waiting_count) == (0, 0)
            assert (await on.ask(post("/Greeter/echo", b"1"))).body == b"1"

    run(story())
