"""The load generator: many keep-alive connections, one request at a time on each, in a process of its own.

A bare epoll loop, because whatever the generator burns is missing from the servers it shares the machine
with; on asyncio it took more CPU than the server it measured. It reads the CPU time of the measured processes
itself, at the edges of its own window, so that the count and the cost belong to the same seconds.

    python -m bench.load --port 8080 --path /TsBench/trivial --connections 64 --seconds 3 --pids 12,13

`{n}` in the path is replaced by a number that differs between requests, below `KEYS`. Padded bodies are
random text that differs between requests too: a server that finds equal values, or compresses them, must not
look better than it is.
"""

import argparse
import base64
import itertools
import json
import random
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .cpu import cpu_us

START_DEADLINE_S = 60.0
DRAIN_DEADLINE_S = 10.0
POLL_S = 0.01
READ_BYTES = 1 << 18
KEYS = 10_000
NUMBER_CHARS = 12
NUMBER = "{n}"
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Measured:
    """One window.

    `errors`: answers other than 2xx, and connections that broke; `cpu_us`: per measured pid, in the order
    given. Latencies in milliseconds.
    """

    seconds: float
    completed: int
    errors: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    cpu_us: list[int]


@dataclass
class Seen:
    """What all connections together saw: the latency of every 2xx answer, and how much else there was."""

    latencies_ns: list[int] = field(default_factory=list[int])
    errors: int = 0


class Connection:
    """One keep-alive connection and the answer it waits for."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.sent_at_ns = 0
        self.unsent = memoryview(b"")
        self.head = b""
        """Of an answer that came in pieces: what was read before its head was whole."""
        self.missing = 0
        """Bytes of the body still to come, once the head was read."""
        self.status = 0

    def read(self, data: bytes) -> bool:
        """Take in what arrived; whether the answer is whole now.

        Raises:
            RuntimeError: an answer without a length.
        """
        if self.missing:
            self.missing -= len(data)
            return self.missing == 0
        if self.head:
            data = self.head + data
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0:
            self.head = data
            return False
        self.head = b""
        self.status = int(data[9:12])
        at = data.find(b"content-length: ", 0, head_end)
        if at < 0:
            raise RuntimeError(f"an answer without content-length: {data[:head_end]!r}")
        self.missing = head_end + 4 + int(data[at + 16 : data.find(b"\r", at)]) - len(data)
        return self.missing == 0


class Driver:
    """`connections` clients, each of which sends the next of `requests` when its last one is answered."""

    def __init__(self, port: int, requests: Iterator[bytes], connections: int) -> None:
        self._requests = requests
        self._epoll = select.epoll()
        self._open: dict[int, Connection] = {}
        for _ in range(connections):
            connection = Connection(port)
            self._open[connection.socket.fileno()] = connection
            self._epoll.register(connection.socket.fileno(), select.EPOLLIN)
        self._idle = list(self._open.values())

    def drive(self, seconds: float, count: int | None = None) -> Seen:
        """Send and receive for `seconds`, or until `count` answers came; what was answered in that time.

        Requests under way at the end stay so: the next call reads their answers.

        Raises:
            RuntimeError: the server closed every connection, or answered without a length.
        """
        seen, idle, self._idle = Seen(), self._idle, []
        for connection in idle:
            self._send(connection)
        until = time.perf_counter() + seconds
        most = float("inf") if count is None else count
        while time.perf_counter() < until and len(seen.latencies_ns) + seen.errors < most:
            for connection in self._poll(seen):
                self._send(connection)
        return seen

    def drain(self) -> Seen:
        """Send nothing more, read what is still to come (for 10 s at most), and close."""
        seen, left = Seen(), len(self._open) - len(self._idle)
        until = time.perf_counter() + DRAIN_DEADLINE_S
        while left > 0 and self._open and time.perf_counter() < until:
            left -= len(self._poll(seen))
        for connection in self._open.values():
            connection.socket.close()
        self._open.clear()
        self._epoll.close()
        return seen

    def _poll(self, seen: Seen) -> list[Connection]:
        """The connections whose answer is whole."""
        done: list[Connection] = []
        latencies_ns = seen.latencies_ns
        for number, events in self._epoll.poll(POLL_S):
            connection = self._open[number]
            if events & select.EPOLLOUT:
                self._flush(connection)
            if not events & ~select.EPOLLOUT:
                continue
            try:
                data = connection.socket.recv(READ_BYTES)
            except ConnectionError:
                data = b""
            if not data:
                seen.errors += 1
                self._lost(number)
            elif connection.read(data):
                if 200 <= connection.status < 300:
                    latencies_ns.append(time.perf_counter_ns() - connection.sent_at_ns)
                else:
                    seen.errors += 1
                done.append(connection)
        return done

    def _send(self, connection: Connection) -> None:
        request = next(self._requests)
        connection.sent_at_ns = time.perf_counter_ns()
        sent = connection.socket.send(request)
        if sent < len(request):
            connection.unsent = memoryview(request)[sent:]
            self._epoll.modify(connection.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _flush(self, connection: Connection) -> None:
        connection.unsent = connection.unsent[connection.socket.send(connection.unsent) :]
        if not connection.unsent:
            self._epoll.modify(connection.socket.fileno(), select.EPOLLIN)

    def _lost(self, number: int) -> None:
        self._open.pop(number).socket.close()
        if not self._open:
            raise RuntimeError("the server closed every connection")


def padded_bodies(pad_bytes: int) -> Iterator[bytes]:
    """JSON strings of this length without end, each of them new."""
    chance = random.Random(pad_bytes + time.time_ns())
    text = base64.b64encode(chance.randbytes(pad_bytes))[: pad_bytes - NUMBER_CHARS] + b'"'
    for n in itertools.count(chance.randrange(10**NUMBER_CHARS)):
        yield b'"%012d' % (n % 10**NUMBER_CHARS) + text


def requests_of(port: int, path: str, body: bytes, pad_bytes: int = 0) -> Iterator[bytes]:
    """Requests without end: all the same, or with the path's number going round; or with padded bodies."""
    if pad_bytes:
        head = _head(port, pad_bytes + 2)
        return (f"POST {path}".encode() + head + padded for padded in padded_bodies(pad_bytes))
    tail = _head(port, len(body)) + body
    if NUMBER not in path:
        return itertools.repeat(f"POST {path}".encode() + tail)
    before, after = path.split(NUMBER)
    start, end = f"POST {before}".encode(), after.encode() + tail
    return (start + str(n).encode() + end for n in itertools.cycle(range(KEYS)))


def _head(port: int, body_bytes: int) -> bytes:
    return (
        f" HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"content-length: {body_bytes}\r\n\r\n"
    ).encode()


def measure(
    port: int, requests: Iterator[bytes], connections: int, warmup_s: float, seconds: float, pids: list[int]
) -> Measured:
    """Load the server for `warmup_s`, then count for `seconds`."""
    driver = Driver(port, requests, connections)
    driver.drive(warmup_s)
    before = [cpu_us(pid) for pid in pids]
    started = time.perf_counter()
    seen = driver.drive(seconds)
    elapsed = time.perf_counter() - started
    spent = [cpu_us(pid) - earlier for pid, earlier in zip(pids, before, strict=True)]
    driver.drain()
    latencies = sorted(seen.latencies_ns) or [0]
    return Measured(
        seconds=elapsed,
        completed=len(seen.latencies_ns),
        errors=seen.errors,
        p50_ms=latencies[len(latencies) // 2] / 1e6,
        p99_ms=latencies[int(len(latencies) * 0.99)] / 1e6,
        p999_ms=latencies[int(len(latencies) * 0.999)] / 1e6,
        cpu_us=spent,
    )


def run(
    port: int,
    path: str,
    connections: int,
    seconds: float,
    pids: list[int],
    body: str = '"bob"',
    pad_bytes: int = 0,
    warmup_s: float = 1.0,
) -> Measured:
    """Measure in a fresh process and give its answer.

    Raises:
        RuntimeError: the generator failed; carries what it said.
    """
    command = [sys.executable, "-m", "bench.load", "--port", str(port), "--path", path]
    command += ["--connections", str(connections), "--seconds", str(seconds), "--warmup", str(warmup_s)]
    command += ["--pids", ",".join(map(str, pids)), "--body", body, "--pad-bytes", str(pad_bytes)]
    deadline_s = START_DEADLINE_S + DRAIN_DEADLINE_S + warmup_s + seconds
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=deadline_s, check=False)
    if ran.returncode != 0:
        raise RuntimeError(f"the load generator failed on {path}: {ran.stderr}")
    return Measured(**json.loads(ran.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--body", default='"bob"')
    parser.add_argument("--pad-bytes", type=int, default=0, help="send a string of this length instead")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--warmup", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--pids", default="", help="processes whose CPU time to report, comma separated")
    given = parser.parse_args()
    pids = [int(pid) for pid in given.pids.split(",") if pid]
    requests = requests_of(given.port, given.path, given.body.encode(), given.pad_bytes)
    work = measure(given.port, requests, given.connections, given.warmup, given.seconds, pids)
    print(json.dumps(asdict(work)))


if __name__ == "__main__":
    main()
