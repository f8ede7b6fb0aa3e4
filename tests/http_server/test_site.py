"""Connections come, are swept and go; their first bytes say what they speak."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.http2 import frames
from http_server.support import Echoing, EchoLimits, Lines, server

PREFACE = frames.CLIENT_PREFACE


@given(cuts=st.lists(st.integers(1, 30)), http2=st.booleans())
def test_what_a_connection_speaks_shows_however_its_first_bytes_are_cut(cuts: list[int], http2: bool) -> None:
    sent = PREFACE + frames.settings_frame(()) if http2 else b"POST /a/b HTTP/1.1\r\nhost: x\r\n\r\n"
    with server() as at:
        wire, start = at.connect(), 0
        for cut in [*cuts, len(sent)]:
            at.send(wire, sent[start : start + cut])
            start += cut
        (connection,) = at.site.connections
        assert connection is wire.protocol
        if http2:
            assert isinstance(connection, Echoing)
            assert connection.ready
        else:
            assert isinstance(connection, Lines)
            assert connection.data == sent


@pytest.mark.parametrize("sent", [b"", b"P", PREFACE[:-1]])
def test_first_bytes_that_do_not_come_end_the_connection(sent: bytes) -> None:
    with server(EchoLimits(header_deadline_s=10)) as at:
        wire = at.connect()
        at.send(wire, sent) if sent else None
        at.later(10)
        assert not wire.closed
        at.later(1)
        assert wire.closed


def test_more_connections_than_allowed_are_closed_at_once() -> None:
    with server(EchoLimits(connections_max=2)) as at:
        assert [at.connect().closed for _ in range(3)] == [False, False, True]
        assert len(at.site.connections) == 2


def test_an_ending_server_lets_go_of_who_says_nothing_and_takes_nobody() -> None:
    with server() as at:
        silent, busy = at.connect(), at.connect()
        at.send(busy, PREFACE + frames.settings_frame(()) + frames.headers_frames(1, NEVER, True, 16_384))
        at.site.drain()
        at.turn(silent)
        assert (silent.closed, busy.closed) == (True, False)
        assert at.connect().closed
        assert not at.loop.run_until_complete(at.site.emptied(0.01))
        at.site.abort()
        at.turn(busy)
        assert at.loop.run_until_complete(at.site.emptied(5))


def test_a_second_signal_cuts_the_wait_for_the_last_connection_short() -> None:
    async def story() -> bool:
        sooner = asyncio.Event()
        asyncio.get_running_loop().call_soon(sooner.set)
        async with asyncio.timeout(5):
            return await at.site.emptied(60, sooner)

    with server() as at:
        at.connect()
        assert not at.loop.run_until_complete(story())


def test_the_clock_ticks_until_it_is_stopped() -> None:
    with server() as at:
        at.site.now_s = 0
        at.site.start()
        assert at.site.now_s > 0
        assert at.site.date.endswith("GMT")
        at.site.stop()
        at.site.stop()


NEVER = b"\x20\x83\x86\x04\x06/never"
