"""Stories of the client over HTTP/1.1, with a scripted socket as the deployment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from holdfast.invoker.http import Endpoint, HttpClient, PreparedHeaders, RequestFailed
from tests.invoker.http.conftest import Run
from tests.invoker.http.peers import Recorder, eventually

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: x\r\nContent-Length: 2\r\n\r\nok"


class Site:
    """A listening socket, a client, and what was seen."""

    def __init__(self, port: int, http: HttpClient) -> None:
        self.endpoint = Endpoint.parse(f"http://127.0.0.1:{port}/base/", http11=True)
        self.http = http
        self.connections = 0

    def open(self, heard: Recorder, body: bytes = b"", end: bool = False) -> Any:
        return self.http.open(self.endpoint, "POST", "/x", (("a", "b"),), heard, body=body, end=end)

    async def request(self, body: bytes = b"") -> Any:
        return await self.http.request(self.endpoint, "GET", "/x", (), body, timeout_s=5, max_body_bytes=100)


@asynccontextmanager
async def site(serve: Serve, **options: Any) -> AsyncIterator[Site]:
    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(counted, "127.0.0.1", 0)
    http = HttpClient(asyncio.get_running_loop(), **options)
    made = Site(server.sockets[0].getsockname()[1], http)
    try:
        yield made
    finally:
        await http.close()
        server.close()
        await asyncio.sleep(0.01)


def always(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)

    return serve


def test_a_request_as_it_is_on_the_wire(run: Run) -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for ending in (b"\r\n\r\nwhole", b"0\r\n\r\n", b"\r\n\r\n"):
            seen.append(await reader.readuntil(ending))
            writer.write(OK)

    async def scenario() -> None:
        async with site(serve) as it:
            heard = [Recorder() for _ in range(3)]
            prepared = PreparedHeaders((("content-type", "x/y"),))
            it.http.open(
                it.endpoint, "POST", "/x", (("a", "b"),), heard[0], body=b"whole", end=True, prepared=prepared
            )
            await eventually(lambda: heard[0].ended, "the first")
            stream = it.open(heard[1], b"some")
            stream.write(b" more")
            stream.end()
            await eventually(lambda: heard[1].ended, "the second")
            it.http.open(it.endpoint, "GET", "/discover", (), heard[2], end=True)
            await eventually(lambda: heard[2].ended, "the third")
            host = f"host: 127.0.0.1:{it.endpoint.port}\r\n".encode()
            assert seen == [
                b"POST /base/x HTTP/1.1\r\n"
                + host
                + b"content-type: x/y\r\na: b\r\ncontent-length: 5\r\n\r\nwhole",
                b"POST /base/x HTTP/1.1\r\n"
                + host
                + b"a: b\r\ntransfer-encoding: chunked\r\n\r\n4\r\nsome\r\n5\r\n more\r\n0\r\n\r\n",
                b"GET /base/discover HTTP/1.1\r\n" + host + b"\r\n",
            ]
            assert it.connections == 1
            assert [(r.status, r.headers["content-type"], r.body) for r in heard] == [(200, "x", b"ok")] * 3

    run(scenario)


def test_the_response_may_begin_before_the_request_ended(run: Run) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n")
        while (line := await reader.readuntil(b"\r\n")) != b"0\r\n":
            data = await reader.readexactly(int(line, 16) + 2)
            writer.write(b"%x\r\n%s" % (len(data) - 2, data))
        await reader.readexactly(2)
        writer.write(b"0\r\nx-trailer: 1\r\n\r\n")
        await reader.read()

    async def scenario() -> None:
        async with site(serve) as it:
            heard = Recorder()
            stream = it.open(heard, b"0")
            for turn in range(1, 10):
                await eventually(lambda: len(heard.body) == turn, f"echo {turn}")  # noqa: B023
                stream.write(b"%d" % turn)
            stream.end()
            await eventually(lambda: heard.ended, "the end")
            assert (heard.body, heard.headers) == (b"0123456789", {"transfer-encoding": "chunked"})

    run(scenario)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\nuntil close",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 11\r\n\r\nuntil close",
        b"HTTP/1.0 200 OK\r\ncontent-length: 11\r\n\r\nuntil close",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 11\r\n\r\nuntil close",
    ],
)
def test_every_way_a_response_may_end(run: Run, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for byte in answer:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)

    async def scenario() -> None:
        async with site(serve) as it:
            for _ in range(2):
                response = await it.request()
                assert (response.status, response.body) == (200, b"until close")
            assert it.connections == 2

    run(scenario)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\n\r\n"])
def test_answers_without_a_body_keep_the_connection(run: Run, answer: bytes) -> None:
    async def scenario() -> None:
        async with site(always(answer)) as it:
            for _ in range(3):
                assert (await it.request()).body == b""
            assert it.connections == 1

    run(scenario)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "not HTTP/1.1"),
        (b"\0\0\x12\4\0\0\0\0\0", "not HTTP/1.1"),
        (b"", "closed the connection"),
        (b"HTTP/1.1 120 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "interim response"),
        (b"HTTP/1.1 022 OK\r\n\r\nhello", "interim response"),
        (b"HTTP/1.1 200 OK\r\n" + b"x-long: " + b"v" * 70_000 + b"\r\n\r\n", "headers exceed"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: 1\r\n" * 70_000 + b"\r\n", "headers exceed"),
        (b"HTTP/1.1 200 OK\r\n" + b"n" * 90_000, "headers exceed"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: " + b"v" * 500_000, "between"),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
            "switched protocols",
        ),
    ],
)
def test_what_is_not_a_whole_answer_fails_and_says_why(run: Run, answer: bytes, why: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async def scenario() -> None:
        async with site(serve) as it:
            with pytest.raises(RequestFailed, match=why) as caught:
                await it.request()
            assert f"127.0.0.1:{it.endpoint.port}" in str(caught.value)
            assert not caught.value.failure.retry_at_once

    run(scenario)


def test_a_response_before_the_end_of_the_request_is_not_followed_by_another(run: Run) -> None:
    """Goal: bytes of an abandoned request never mix with the next.

    Method: answer at once, then look who calls.
    """

    async def scenario() -> None:
        async with site(always(OK)) as it:
            heard = Recorder()
            stream = it.open(heard, b"body")
            await eventually(lambda: heard.ended, "answered early")
            stream.write(b"late")
            stream.end()
            await it.request()
            assert it.connections == 2

    run(scenario)


def test_reset_closes_the_connection_and_ends_all_calls(run: Run) -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n")
        try:
            await reader.read()
        finally:
            closed.set()

    async def scenario() -> None:
        async with site(serve) as it:
            heard = Recorder()
            stream = it.open(heard)
            heard.on_chunk = lambda _: stream.reset()
            await eventually(closed.is_set, "closed")
            assert heard.chunks == [b"one"]
            assert not heard.over

    run(scenario)


def test_unasked_bytes_cost_the_connection(run: Run) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + OK)
        await reader.read()

    async def scenario() -> None:
        async with site(serve) as it:
            for _ in range(2):
                assert (await it.request()).body == b"ok"
            assert it.connections == 2

    run(scenario)


def test_requests_wait_for_one_of_a_few_connections(run: Run) -> None:
    async def scenario() -> None:
        async with site(always(OK), http1_connections_per_endpoint_max=2) as it:
            answers = await asyncio.gather(*(it.request() for _ in range(20)))
            assert [answer.body for answer in answers] == [b"ok"] * 20
            assert it.connections == 2

    run(scenario)


def test_a_large_body_is_held_back_while_the_peer_does_not_read(run: Run) -> None:
    go = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go.wait()
        await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.write(OK)

    async def scenario() -> None:
        async with site(serve) as it:
            heard = Recorder()
            stream = it.open(heard)
            written = 0
            while stream.buffered_bytes < 2**20:
                stream.write(b"x" * 65_536)
                written += 65_536
                await asyncio.sleep(0)
                assert written < 2**26
            stream.reset()
            go.set()

    run(scenario)


def test_a_paused_response_waits(run: Run) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % 2**23 + b"x" * 2**23)
        await reader.read()

    async def scenario() -> None:
        async with site(serve) as it:
            heard = Recorder()
            stream = it.open(heard, end=True)
            await eventually(lambda: heard.status is not None, "began")
            stream.pause_reading()
            before = len(heard.body)
            await asyncio.sleep(0.02)
            assert len(heard.body) - before <= 2**20
            stream.resume_reading()
            await eventually(lambda: heard.ended, "ended")
            assert len(heard.body) == 2**23

    run(scenario)


def test_idle_connections_are_closed(run: Run) -> None:
    async def scenario() -> None:
        async with site(always(OK), idle_timeout_s=0.05, sweep_interval_s=0.02) as it:
            await it.request()
            await asyncio.sleep(0.2)
            await it.request()
            assert it.connections == 2

    run(scenario)


def test_a_listener_that_raises_harms_nobody_else(run: Run) -> None:
    def explode(_: bytes) -> None:
        raise RuntimeError("a bug")

    async def scenario() -> None:
        async with site(always(OK)) as it:
            it.open(Recorder(on_chunk=explode), end=True)
            assert (await it.request()).body == b"ok"

    run(scenario)
