"""HTTP/1.1 as clients send it, well and badly."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.model import Success
from holdfast.ingress.exchange import IngressLimits
from ingress.support import get, post, post_json, run, served, until

CHUNKED = (
    b"POST /Greeter/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nx-trailer: 1\r\n\r\n"
)
UPGRADE = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__")
SMALL = IngressLimits(request_bytes_max=1000, header_bytes_max=2000, header_count_max=20)


def test_a_connection_serves_many_requests_of_all_shapes() -> None:
    async def story() -> None:
        async with served() as on, on.client() as client:
            for _ in range(3):
                assert (await client.ask(post_json("/Greeter/greet", b'"x"'))).body == b'"hi x"'
                assert (await client.ask(CHUNKED)).body == b"abcdefg"
                assert (await client.ask(get("/restate/health"))).status == 200
            assert not any(name == "x-trailer" for made in on.engine.made for name, _ in made.headers)

    run(story())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 400), max_size=12))
def test_however_the_bytes_are_cut_the_answers_are_the_same(sizes: list[int]) -> None:
    """Goal: nothing depends on where segments end. Method: cut a pipelined conversation anywhere."""
    data = (
        post("/Greeter/echo", b"1" * 50)
        + CHUNKED
        + get("/restate/health")
        + post("/Greeter/echo", b"9", *UPGRADE)
    )

    async def story() -> None:
        async with served() as on, on.client() as client:
            rest = data
            for size in sizes:
                await client.send(rest[:size])
                await asyncio.sleep(0)
                rest = rest[size:]
            await client.send(rest)
            bodies = [(await client.reply()).body for _ in range(4)]
            assert bodies == [b"1" * 50, b"abcdefg", b'{"services":["Counter","Flow","Greeter"]}', b"9"]

    run(story())


REPEATED = (
    post("/Greeter/echo", b"12"),
    post("/Greeter/echo", b"34"),
    post("/Greeter/echo", b"34", "origin: http://page"),
    post("/Greeter/echo", b"34", "expect: 100-continue"),
    post("/Greeter/echo", b"34", "connection: keep-alive"),
    post("/Greeter/echo", b"3") + post("/Greeter/echo", b"4"),
    post("/Greeter/echo", b"12", *UPGRADE),
    post("/Greeter/echo", b"\r\n\r\n"),
    get("/restate/health"),
    CHUNKED,
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(REPEATED), st.sampled_from([0, 0, 0, 30, 90])), max_size=8))
def test_a_head_met_before_says_what_it_said_the_first_time(asked: list[tuple[bytes, int]]) -> None:
    """Goal: remembering heads changes nothing. Method: the same requests, cut in two or not, to one server
    and each to a server of its own."""

    async def answers(requests: list[tuple[bytes, int]]) -> list[tuple[int, dict[str, str], bytes]]:
        async with served() as on, on.client() as client:
            answers: list[tuple[int, dict[str, str], bytes]] = []
            for data, cut in requests:
                if cut:
                    await client.send(data[:cut])
                    await asyncio.sleep(0.001)
                await client.send(data[cut:])
                for _ in range(data.count(b"HTTP/1.1")):
                    while (reply := await client.reply()).status == 100:
                        pass
                    kept = {k: v for k, v in reply.headers.items() if k not in ("date", "x-restate-id")}
                    answers.append((reply.status, kept, reply.body))
            await until(lambda: on.server.buffered_bytes == 0)
            return [*answers, *((0, dict(made.headers), b"") for made in on.engine.made)]

    async def story() -> None:
        alone = [answer for request in asked for answer in await answers([request])]
        alone.sort(key=lambda answer: answer[0] == 0)  # what was answered, then what the engine was told
        assert await answers(asked) == alone

    run(story())


def test_a_head_met_before_meets_the_same_limits() -> None:
    """Goal: the bound on buffered bodies holds on the short way too."""

    async def story() -> None:
        limits = IngressLimits(buffered_bytes_max=100)
        async with served(limits=limits) as on, on.client() as first, on.client() as second:
            assert (await first.ask(post("/Greeter/echo", b"1" * 60))).status == 200
            await second.send(post("/Greeter/slow", b"1" * 60))
            await until(lambda: len(on.engine.made) == 2)
            assert (await first.ask(post("/Greeter/echo", b"1" * 60))).status == 429

    run(story())


def test_a_request_cut_at_every_byte_leaves_nothing_behind() -> None:
    """Goal: a client that dies mid-request costs nothing. Method: every prefix, then the connection ends."""
    data = post("/Greeter/echo", b"12345678", "x-y: z") + CHUNKED

    async def story() -> None:
        async with served() as on:
            for end in range(len(data)):
                async with on.client() as client:
                    await client.send(data[:end])
                    client.writer.write_eof()
            await until(lambda: not on.server.connection_count)
            assert on.server.buffered_bytes == 0
            assert on.server.waiting_count == 0

    run(story())


def test_pipelined_requests_are_answered_in_order_and_one_at_a_time() -> None:
    async def story() -> None:
        async with served() as on, on.client() as client:
            await client.send(post("/Greeter/slow") + post("/Greeter/echo", b"2") * 900)
            await until(lambda: len(on.engine.made) == 1)
            on.engine.finish_all(Success(b"1"))
            assert (await client.reply()).body == b"1"
            assert [(await client.reply()).body for _ in range(900)] == [b"2"] * 900

    run(story())


def test_too_many_pipelined_requests_end_the_connection() -> None:
    async def story() -> None:
        async with served(IngressLimits(pipelined_requests_max=20)) as on, on.client() as client:
            await client.send(post("/Greeter/slow") + get("/restate/health") * 50)
            await until(lambda: len(on.engine.made) == 1)
            on.engine.finish_all(Success(b"1"))
            statuses = [(await client.reply()).status for _ in range(23)]
            assert statuses == [200] * 22 + [429]
            assert await client.ended()

    run(story())


def test_expect_continue_is_answered_before_the_body() -> None:
    async def story() -> None:
        async with served(SMALL) as on, on.client() as client:
            head = b"POST /Greeter/echo HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
            await client.send(head % 5)
            assert (await client.reply()).status == 100
            assert (await client.ask(b"abcde")).body == b"abcde"
            await client.send(head % 5000)
            assert (await client.reply()).status == 413
            assert await client.ended()

    run(story())


def test_a_pipelined_expect_continue_waits_for_its_turn() -> None:
    async def story() -> None:
        async with served() as on, on.client() as client:
            second = b"POST /Greeter/echo HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n"
            await client.send(post("/Greeter/slow") + second)
            await until(lambda: len(on.engine.made) == 1)
            on.engine.finish_all(Success(b"1"))
            assert (await client.reply()).body == b"1"
            assert (await client.reply()).status == 100
            assert (await client.ask(b"2")).body == b"2"

    run(story())


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (post("/Greeter/echo", b"x" * 1001), 413),
        (b"POST /a/b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + b"190\r\n" + b"x" * 400 + b"\r\n", 0),
        (b"POST /a/b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nFFFF\r\n" + b"x" * 0xFFFF, 413),
        (get("/" + "a" * 3000), 431),
        (get("/a/b", "x: " + "y" * 3000), 431),
        (get("/a/b", *["x: y"] * 30), 431),
        (b"POST /a/b HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", 400),
        (b"POST /a/b HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST /a/b HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /a/b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /a/b HTTP/1.1\r\nx: \xff\r\n\r\n", 400),
        (b"GET /a/b HTTP/1.1\r\n : y\r\n\r\n", 400),
        (b"GET /a/b HTTP/9.9\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 400),
    ],
)
def test_what_cannot_be_served_is_told_and_ends_the_connection(data: bytes, status: int) -> None:
    async def story() -> None:
        async with served(SMALL) as on, on.client() as client:
            await client.send(data)
            if status:
                reply = await client.reply()
                assert reply.status == status
                assert reply.headers["connection"] == "close"
                assert await client.ended()
            assert not on.engine.made

    run(story())


def test_an_endless_header_is_refused_before_it_is_kept() -> None:
    """Goal: a bound on what the parser keeps. Method: one header value that never ends, in pieces."""

    async def story() -> None:
        async with served(SMALL) as on, on.client() as client:
            await client.send(b"GET /a/b HTTP/1.1\r\nx: ")
            for _ in range(40):
                await client.send(b"y" * 100)
                await asyncio.sleep(0.001)
            assert (await client.reply()).status == 431

    run(story())


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.text("GETPOS /ab.HTP1\r\n:0%", max_size=200).map(str.encode))
def test_garbage_harms_nobody_else(data: bytes) -> None:
    async def story() -> None:
        async with served() as on:
            async with on.client() as client:
                await client.send(data)
                client.writer.write_eof()
                async with asyncio.timeout(5):
                    await client.reader.read()
            assert (await on.ask(get("/restate/health"))).status == 200

    run(story())


def test_old_and_odd_clients() -> None:
    """HTTP/1.0 with and without keep-alive, HEAD, an absolute target, and an upgrade we do not offer."""

    async def story() -> None:
        async with served() as on:
            async with on.client() as client:
                kept = await client.ask(b"GET /restate/health HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
                assert kept.headers["connection"] == "keep-alive"
                assert (await client.ask(b"GET /restate/health HTTP/1.0\r\n\r\n")).status == 200
                assert await client.ended()
            async with on.client() as client:
                await client.send(b"HEAD /Greeter/echo HTTP/1.1\r\n\r\n")
                assert (await client.reply(head=True)).status == 405
                assert (await client.ask(get("http://x.y/restate/health"))).status == 200
                assert (await client.ask(get("/restate/health", *UPGRADE))).status == 200
                assert (await client.ask(post("/Greeter/echo", b"up", *UPGRADE))).body == b"up"
                assert (await client.ask(get("/restate/health", "connection: close"))).status == 200
                assert await client.ended()

    run(story())


def test_a_client_that_does_not_read_is_not_buffered_for() -> None:
    """Goal: back-pressure. Method: many large responses asked for, none read; requests stop being handled."""
    body = b"x" * (1 << 20)

    async def story() -> None:
        async with served() as on, on.client() as client:
            on.engine.behaviours["slow"] = lambda made: Success(body)
            await client.send(post("/Greeter/slow") * 100)
            await until(lambda: on.engine.made)
            for _ in range(20):
                await asyncio.sleep(0.005)
            assert len(on.engine.made) < 50
            for _ in range(100):
                assert (await client.reply()).body == body

    run(story())
