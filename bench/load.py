"""The load generator: many keep-alive connections, one request at a time on each, in a process of its own.

A plain `asyncio.Protocol` on httptools, because whatever the generator burns is missing from the servers it
measures. It reads the CPU time of the measured processes itself, at the edges of its own window, so that
the count and the cost belong to the same seconds.

    python -m bench.load --port 8080 --path /TsBench/trivial --connections 64 --seconds 3 --pids 12,13

`{n}` in the path is replaced by a number that differs between requests, below `KEYS`.
"""

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import httptools
import uvloop

from .cpu import cpu_us

START_DEADLINE_S = 60.0
KEYS = 10_000
NUMBER = "{n}"
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Measured:
    """One window.

    `errors`: answers other than 200, and connections that broke; `cpu_us`: per measured pid, in the order
    given. Latencies in milliseconds.
    """

    seconds: float
    completed: int
    errors: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    cpu_us: list[int]


class Recorder:
    """What all connections together saw inside the window."""

    def __init__(self) -> None:
        self.latencies_ns: list[int] = []
        self.errors = 0
        self.recording = False
        self.over = False


class Connection(asyncio.Protocol):
    """Sends the next of `requests` as soon as the last one is answered."""

    def __init__(self, requests: Iterator[bytes], recorder: Recorder) -> None:
        self._requests = requests
        self._recorder = recorder
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._sent_at_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._recorder.over:
            self._recorder.errors += 1

    @property
    def status(self) -> int:
        """Of the answer that was read last."""
        return self._parser.get_status_code()

    def on_message_complete(self) -> None:
        recorder = self._recorder
        if recorder.recording:
            if self.status == 200:
                recorder.latencies_ns.append(time.perf_counter_ns() - self._sent_at_ns)
            else:
                recorder.errors += 1
        if not recorder.over:
            # A new parser per answer: this callback runs inside the old one, which cannot be fed again.
            self._parser = httptools.HttpResponseParser(self)
            self._send()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        self._sent_at_ns = time.perf_counter_ns()
        if self._transport is not None:
            self._transport.write(next(self._requests))


def requests_of(port: int, path: str, body: bytes) -> Iterator[bytes]:
    """Requests without end: all the same, or with the path's number going round."""
    tail = (
        f" HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body
    if NUMBER not in path:
        return itertools.repeat(f"POST {path}".encode() + tail)
    before, after = path.split(NUMBER)
    start, end = f"POST {before}".encode(), after.encode() + tail
    return (start + str(n).encode() + end for n in itertools.cycle(range(KEYS)))


async def measure(
    port: int, path: str, body: bytes, connections: int, warmup_s: float, seconds: float, pids: list[int]
) -> Measured:
    """Load the server for `warmup_s`, then count for `seconds`."""
    recorder = Recorder()
    requests = requests_of(port, path, body)
    loop = asyncio.get_running_loop()
    opened = [
        (await loop.create_connection(lambda: Connection(requests, recorder), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(warmup_s)
    before = [cpu_us(pid) for pid in pids]
    started = time.perf_counter()
    recorder.recording = True
    await asyncio.sleep(seconds)
    recorder.recording = False
    elapsed = time.perf_counter() - started
    spent = [cpu_us(pid) - earlier for pid, earlier in zip(pids, before, strict=True)]
    recorder.over = True
    for connection in opened:
        connection.close()
    latencies = sorted(recorder.latencies_ns) or [0]
    return Measured(
        seconds=elapsed,
        completed=len(recorder.latencies_ns),
        errors=recorder.errors,
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
    deadline_s = START_DEADLINE_S + warmup_s + seconds
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
    body = b'"' + b"x" * given.pad_bytes + b'"' if given.pad_bytes else given.body.encode()
    work = measure(given.port, given.path, body, given.connections, given.warmup, given.seconds, pids)
    print(json.dumps(asdict(uvloop.run(work))))


if __name__ == "__main__":
    main()
