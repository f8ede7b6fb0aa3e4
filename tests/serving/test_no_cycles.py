"""An attempt that is over is freed at once: left to the garbage collector, thousands of them would stop the
process for tens of milliseconds at a time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.protocol.messages import ProposeRunCompletionAckMessage, frame
from holdfast.sdk.attempt import Attempt
from serving.peers import V7, Http2Peer, opening, worker


def attempts_alive() -> int:
    return sum(isinstance(thing, Attempt) for thing in gc.get_objects())


@contextmanager
def without_the_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_over_http2_nothing_is_left_of_an_attempt() -> None:
    with worker() as at, without_the_collector():
        peer, before = Http2Peer(at), attempts_alive()
        greeting = peer.begin("greet", opening())
        peer.exchange()
        peer.h2.end_stream(greeting)
        peer.exchange()
        assert attempts_alive() == before
        stepping = peer.begin("steps", opening(b"2"))
        peer.exchange()
        for number in (1, 2):
            assert attempts_alive() == before + 1, "it waits for its acknowledgement"
            peer.h2.send_data(stepping, frame(ProposeRunCompletionAckMessage(number)))
            peer.exchange()
        peer.h2.end_stream(stepping)
        peer.exchange()
        assert attempts_alive() == before
        parked = peer.begin("park", opening())
        peer.exchange()
        peer.h2.end_stream(parked)
        peer.exchange()
        cut = peer.begin("park", opening())
        peer.exchange()
        peer.h2.reset_stream(cut)
        peer.exchange()
        assert attempts_alive() == before


def test_over_http1_nothing_is_left_of_an_attempt() -> None:
    request = (
        f"POST /invoke/Served/greet HTTP/1.1\r\nhost: x\r\ncontent-type: {V7}\r\n"
        f"content-length: {len(opening())}\r\n\r\n"
    ).encode() + opening()
    with worker() as at, without_the_collector():
        before, wire = attempts_alive(), at.connect()
        assert b"200 OK" in at.send(wire, request)
        at.send(wire, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert attempts_alive() == before
