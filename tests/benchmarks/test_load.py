"""The load generator counts what it should, whatever pieces answers come in."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator

import pytest

from bench.load import Driver, requests_of

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
DEADLINE_S = 10.0


class Answering:
    """A server for one client: each request gets the next of `answers`, in these pieces; then it hangs up."""

    def __init__(self, *answers: list[bytes]) -> None:
        self._answers = answers
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(DEADLINE_S)
        self.port: int = self._listening.getsockname()[1]
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._listening.accept()
        client.settimeout(DEADLINE_S)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client, self._listening:
            for answer in self._answers:
                self.requests.append(client.recv(65536))
                for piece in answer:
                    client.sendall(piece)

    def end(self) -> None:
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()


def one(port: int) -> Iterator[bytes]:
    return requests_of(port, "/Greeter/greet", b'"Ada"')


def test_answers_are_counted_in_one_piece_and_in_many() -> None:
    pieces = [WHOLE[at : at + 7] for at in range(0, len(WHOLE), 7)]
    server = Answering([WHOLE], pieces, [WHOLE[:-1], WHOLE[-1:]], [WHOLE])
    driver = Driver(server.port, one(server.port), 1)
    seen = driver.drive(DEADLINE_S, count=3)
    assert (len(seen.latencies_ns), seen.errors) == (3, 0)
    assert len(driver.drain().latencies_ns) == 1, "the next request was already under way"
    server.end()
    assert len(server.requests) == 4
    assert server.requests[0].startswith(b"POST /Greeter/greet HTTP/1.1\r\n")
    assert server.requests[0].endswith(b'\r\n\r\n"Ada"')


def test_what_is_not_a_success_is_an_error() -> None:
    server = Answering([REFUSED], [WHOLE], [WHOLE])
    driver = Driver(server.port, one(server.port), 1)
    seen = driver.drive(DEADLINE_S, count=2)
    assert (len(seen.latencies_ns), seen.errors) == (1, 1)
    driver.drain()
    server.end()


def test_the_answer_under_way_at_the_end_belongs_to_the_drain() -> None:
    server = Answering([WHOLE])
    driver = Driver(server.port, one(server.port), 1)
    assert driver.drive(0.0).latencies_ns == []
    assert len(driver.drain().latencies_ns) == 1
    server.end()


def test_a_server_that_is_gone_ends_the_run() -> None:
    server = Answering()
    driver = Driver(server.port, one(server.port), 1)
    with pytest.raises(RuntimeError, match="closed every connection"):
        driver.drive(DEADLINE_S)
    server.end()


def test_numbers_in_the_path_go_round() -> None:
    requests = list(itertools.islice(requests_of(80, "/C/{n}/add", b"1"), 10_001))
    assert requests[0].startswith(b"POST /C/0/add ")
    assert requests[9_999].startswith(b"POST /C/9999/add ")
    assert requests[10_000] == requests[0]
