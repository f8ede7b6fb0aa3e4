"""Attempts over HTTP/1.1: whole or in chunks, one after the other, and what clients get wrong."""

from __future__ import annotations

import json

import pytest
from http_server.wire import Wire
from hypothesis import given, settings
from hypothesis import strategies as st

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
from serving.peers import MANIFEST, V7, Worker, cancelled, opening, said, worker

HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"


def post(handler: str, body: bytes | None = None, *more: str, version: str = "1.1") -> bytes:
    """A request; without a body it is to follow in chunks."""
    framing = "transfer-encoding: chunked" if body is None else f"content-length: {len(body)}"
    lines = [
        f"POST /invoke/Served/{handler} HTTP/{version}",
        "host: x",
        f"content-type: {V7}",
        framing,
        *more,
    ]
    return "\r\n".join((*lines, "", "")).encode() + (body or b"")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def head_and_rest(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, rest = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), rest


def whole(answer: bytes) -> tuple[int, dict[str, str], bytes, bytes]:
    """Status, headers and body of the first response, and what follows it."""
    status, headers, rest = head_and_rest(answer)
    if "content-length" in headers:
        size = int(headers["content-length"])
        return status, headers, rest[:size], rest[size:]
    body = b""
    while headers.get("transfer-encoding") == "chunked":
        size_text, _, rest = rest.partition(b"\r\n")
        size = int(size_text, 16)
        body, rest = body + rest[:size], rest[size + 2 :]
        if not size:
            return status, headers, body, rest
    return status, headers, rest, b""


def greeted(body: bytes) -> bool:
    output, end = said(body)
    return (
        isinstance(output, OutputCommandMessage)
        and output.result == Value(b'"hi Ada"')
        and isinstance(end, EndMessage)
    )


@settings(deadline=None, max_examples=30)
@given(cut=st.integers(1, 400))
def test_requests_in_a_row_on_one_connection_wherever_they_are_cut(cut: int) -> None:
    with worker() as at:
        wire = at.connect()
        for request in (post("greet", opening()), HEALTH, post("greet") + chunk(opening()) + b"0\r\n\r\n"):
            out = b"".join(
                at.send(wire, request[start : start + cut]) for start in range(0, len(request), cut)
            )
            status, headers, body, rest = whole(out)
            assert (status, rest) == (200, b"")
            assert "date" in headers
            assert body == b'{"status":"ok"}' or greeted(body)
        assert not wire.closed


def test_full_duplex_in_chunks() -> None:
    with worker() as at:
        wire = at.connect()
        status, headers, rest = head_and_rest(at.send(wire, post("steps") + chunk(opening(b"1"))))
        assert (status, headers["transfer-encoding"]) == (200, "chunked")
        size, _, data = rest.partition(b"\r\n")
        run, proposal = said(data[: int(size, 16)])
        assert isinstance(run, RunCommandMessage)
        assert isinstance(proposal, ProposeRunCompletionMessage)
        more = at.send(wire, chunk(frame(ProposeRunCompletionAckMessage(1))))
        assert more.endswith(b"0\r\n\r\n")
        assert not wire.closed
        at.send(wire, b"0\r\n\r\n")
        assert whole(at.send(wire, HEALTH))[0] == 200


def test_a_whole_request_suspends_where_it_waits() -> None:
    with worker() as at:
        _, headers, body, _ = whole(at.send(at.connect(), post("park", opening())))
        assert isinstance(said(body)[-1], SuspensionMessage)
        assert "content-length" in headers or "transfer-encoding" in headers


def test_discovery_says_request_and_response() -> None:
    request = f"GET /discover HTTP/1.1\r\nhost: x\r\naccept: {MANIFEST}\r\n\r\n".encode()
    with worker() as at:
        status, _, body, _ = whole(at.send(at.connect(), request))
        assert (status, json.loads(body)["protocolMode"]) == (200, "REQUEST_RESPONSE")


def test_older_clients_get_a_closed_connection() -> None:
    with worker() as at:
        wire = at.connect()
        status, headers, body, _ = whole(at.send(wire, post("greet", opening(), version="1.0")))
        assert (status, headers["connection"]) == (200, "close")
        assert greeted(body)
        assert wire.closed
        parked = at.connect()
        _, headers, rest = head_and_rest(at.send(parked, post("park", opening(), version="1.0")))
        assert isinstance(said(rest)[-1], SuspensionMessage)
        assert parked.closed


def test_a_second_request_before_the_first_answer_ends_the_connection_behind_that() -> None:
    with worker() as at:
        wire = at.connect()
        sent = post("hang") + chunk(opening(b'"x"'))
        at.send(wire, sent + b"0\r\n\r\n" + HEALTH)
        assert at.site.attempts == 1
        pipelined = at.connect()
        status, headers, body, rest = whole(at.send(pipelined, post("greet", opening()) + HEALTH))
        assert (status, rest) == (200, b"")
        assert headers["connection"] == "close"
        assert greeted(body)
        assert pipelined.closed


@pytest.mark.parametrize("connection", ["upgrade, http2-settings", "upgrade"])
def test_another_protocol_is_declined(connection: str) -> None:
    """Goal: Java's clients and `curl --http2` are served. Method: they ask for h2c, and get HTTP/1.1."""
    asks = (f"connection: {connection}", "upgrade: h2c", "http2-settings: AAMAAABk")
    with worker() as at:
        wire = at.connect()
        assert greeted(whole(at.send(wire, post("greet", opening(), *asks)))[2])
        get = f"GET /health HTTP/1.1\r\nhost: x\r\nconnection: {connection}\r\nupgrade: h2c\r\n\r\n".encode()
        assert whole(at.send(wire, get))[0] == 200
        assert whole(at.send(wire, HEALTH))[0] == 200


def test_continue_is_said_to_who_waits_for_it() -> None:
    with worker() as at:
        wire = at.connect()
        head = post("greet", opening(), "expect: 100-continue")[: -len(opening())]
        assert at.send(wire, head) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert greeted(whole(at.send(wire, opening()))[2])


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\n" + b"x: y\r\n" * 300 + b"\r\n", 431),
        (b"GET /health HTTP/1.1\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /health HTTP/1.1\r\nx: " + b"y" * 70_000, 431),
        (b"GET /" + b"y" * 70_000, 431),
    ],
)
def test_what_cannot_be_read_is_refused_and_ends_the_connection(sent: bytes, status: int) -> None:
    with worker() as at:
        wire = at.connect()
        got, headers, body, _ = whole(at.send(wire, sent[:1000]) + at.send(wire, sent[1000:]))
        assert (got, headers["connection"]) == (status, "close")
        assert json.loads(body)["message"]
        assert wire.closed


def test_an_endless_trailer_is_not_kept() -> None:
    with worker() as at:
        wire = at.connect()
        at.send(wire, post("park") + chunk(opening()) + b"0\r\nx: ")
        for _ in range(10):
            at.send(wire, b"y" * 10_000)
        assert wire.closed


def test_a_broken_body_cuts_the_attempt() -> None:
    cancelled.clear()
    with worker() as at:
        wire = at.connect()
        at.send(wire, post("hang") + chunk(opening(b'"broken"')))
        assert at.site.attempts == 1
        at.send(wire, b"zz\r\n")
        assert wire.closed
        assert (at.site.attempts, cancelled) == (0, ["broken"])


def test_more_attempts_than_allowed_are_told_to_come_again() -> None:
    with worker(ServingLimits(attempts_max=1)) as at:
        at.send(at.connect(), post("hang", opening(b'"x"')))
        assert whole(at.send(at.connect(), post("greet", opening())))[0] == 503


def test_a_worker_that_ends_closes_behind_the_answer() -> None:
    with worker() as at:
        idle, busy, unknown = at.connect(), at.connect(), at.connect()
        at.send(idle, HEALTH)
        at.send(busy, post("steps") + chunk(opening(b"1")))
        at.site.drain()
        at.turn(idle)
        at.turn(unknown)
        assert (idle.closed, busy.closed, unknown.closed) == (True, False, True)
        at.send(busy, chunk(frame(ProposeRunCompletionAckMessage(1))) + b"0\r\n\r\n")
        assert busy.closed
        assert at.site.empty.is_set()


def test_deadlines() -> None:
    limits = ServingLimits(header_deadline_s=5, replay_deadline_s=10, keep_alive_s=20, discard_s=3)

    def ends_after(at: Worker, wire: Wire, sent: bytes) -> tuple[int, bytes]:
        out = at.send(wire, sent)
        for second in range(1, 60):
            at.later(1)
            out += at.turn(wire)
            if wire.closed:
                return second, out
        raise AssertionError("it never ended")

    with worker(limits) as at:
        assert ends_after(at, at.connect(), b"GET")[0] == 6
        second, out = ends_after(at, at.connect(), b"GET / HTTP/1.1\r\nx:")
        assert (second, whole(out)[0]) == (6, 408)
        second, out = ends_after(at, at.connect(), post("greet") + chunk(opening()[:5]))
        assert (second, whole(out)[0]) == (11, 408)
        assert ends_after(at, at.connect(), HEALTH)[0] == 21
        assert ends_after(at, at.connect(), post("greet") + chunk(opening()))[0] == 4
        waiting = at.connect()
        at.send(waiting, post("park") + chunk(opening()))
        at.later(1000)
        assert not waiting.closed, "an attempt may wait"


def test_an_answer_waits_for_a_client_that_reads() -> None:
    with worker() as at:
        wire = at.connect()
        assert wire.protocol is not None
        at.send(wire, b"")
        at.send(wire, post("repeat") + chunk(opening(b"100000")[:-1]))
        wire.protocol.pause_writing()
        assert at.send(wire, chunk(opening(b"100000")[-1:])) == b""
        wire.protocol.resume_writing()
        assert len(at.turn(wire)) > 100_000
