"""The cheapest endpoint we can write: the protocol by hand, an ASGI callable on Granian over HTTP/2.

It exists so that a benchmark of a server is not a benchmark of somebody's SDK. Each handler is a short
script of commands; replayed entries are counted, not compared. Two rules of the wire decide its shape:
the response may only end after the request was read to its end, and when the request ends while
something is still awaited, the attempt suspends (protocol, sections 2.2 and 2.3).

    PORT=9080 python -m bench.lean_endpoint
"""

import json
import os
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypedDict

START, SUSPENSION, END, PROPOSE_RUN, RUN_ACK = 0x0000, 0x0001, 0x0003, 0x0005, 0x0007
INPUT, OUTPUT, SLEEP, RUN = 0x0400, 0x0401, 0x040C, 0x0411
SLEEP_COMPLETION, RUN_COMPLETION, SIGNAL = 0x800C, 0x8011, 0xFBFF
ACK_REQUESTED = 0x8000
FIRST_AWAKEABLE = 17
HEADER = struct.Struct(">HHI")
HOUR_MS = 3_600_000

TEN_STEPS = 10


class Message(TypedDict, total=False):
    """What Granian hands over and takes, as far as this endpoint looks."""

    type: str
    body: bytes
    more_body: bool
    status: int
    headers: list[tuple[bytes, bytes]]


class Scope(TypedDict):
    type: str
    method: str
    path: str
    headers: list[tuple[bytes, bytes]]


Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def frame(kind: int, body: bytes, flags: int = 0) -> bytes:
    return HEADER.pack(kind, flags, len(body)) + body


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_varint(body: bytes, at: int) -> tuple[int, int]:
    """The number at `at` and the offset after it."""
    number = shift = 0
    while True:
        byte = body[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def fields(body: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field number and value, for the two wire types the protocol uses."""
    at = 0
    while at < len(body):
        tag, at = read_varint(body, at)
        value, at = read_varint(body, at)
        if tag & 7 == 2:
            yield tag >> 3, body[at : at + value]
            at += value
        else:
            yield tag >> 3, value


def output_frames(text: str) -> bytes:
    value = json.dumps(text).encode()
    inner = b"\x0a" + varint(len(value)) + value
    return frame(OUTPUT, b"\x72" + varint(len(inner)) + inner) + frame(END, b"")


class Attempt:
    """One invocation stream: reads frames, writes frames, suspends when the request has ended."""

    def __init__(self, receive: Receive, send: Send, version: int) -> None:
        self._receive = receive
        self._send = send
        self._version = version
        self._buffer = b""
        self._ended = False
        self._unsent = b""
        self.entries_left = -1
        self.input = b""
        self.commands = {SLEEP: 0, RUN: 0, OUTPUT: 0}
        self.completed: set[int] = set()
        self.signalled = False

    async def replay(self) -> None:
        """Read Start and the entries it announces."""
        while self.entries_left != 0:
            await self._read()

    async def await_completion(self, completion_id: int) -> bool:
        """True once it is there; False when the request ended first, and the attempt has suspended."""
        while completion_id not in self.completed:
            if self._ended:
                self._suspend(b"\x0a" + varint(len(varint(completion_id))) + varint(completion_id), b"\x01")
                return False
            await self._flush()
            await self._read()
        return True

    async def await_awakeable(self) -> bool:
        """Like `await_completion`, for the first awakeable."""
        while not self.signalled:
            if self._ended:
                self._suspend(b"", bytes((FIRST_AWAKEABLE, 1)))
                return False
            await self._flush()
            await self._read()
        return True

    def write(self, frames: bytes) -> None:
        self._unsent += frames

    async def finish(self) -> None:
        """Send what is left, read the request to its end, end the response."""
        await self._flush()
        while not self._ended:
            await self._read()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _suspend(self, completions: bytes, signals: bytes) -> None:
        awaited = completions + b"\x12" + varint(len(signals)) + signals
        if self._version >= 7:
            awaited += b"\x28\x01"
            awaited = b"\x22" + varint(len(awaited)) + awaited
        self.write(frame(SUSPENSION, awaited))

    async def _flush(self) -> None:
        if self._unsent:
            unsent, self._unsent = self._unsent, b""
            await self._send({"type": "http.response.body", "body": unsent, "more_body": True})

    async def _read(self) -> None:
        if self._ended:
            raise RuntimeError("the request ended inside the replay; the server announced more entries")
        message = await self._receive()
        self._ended = message["type"] == "http.disconnect" or not message.get("more_body", False)
        buffer = self._buffer + message.get("body", b"")
        at = 0
        while len(buffer) - at >= HEADER.size:
            kind, _, length = HEADER.unpack_from(buffer, at)
            if len(buffer) - at < HEADER.size + length:
                break
            at += HEADER.size
            self._take(kind, buffer[at : at + length])
            at += length
        self._buffer = buffer[at:]

    def _take(self, kind: int, body: bytes) -> None:
        if kind == START:
            self.entries_left = next(int(value) for number, value in fields(body) if number == 3)
            return
        if self.entries_left > 0:
            self.entries_left -= 1
        if kind == INPUT:
            for number, value in fields(body):
                if number == 14 and isinstance(value, bytes):
                    self.input = next((v for n, v in fields(value) if n == 1 and isinstance(v, bytes)), b"")
        elif kind in (RUN_ACK, RUN_COMPLETION, SLEEP_COMPLETION):
            self.completed.add(next(int(value) for number, value in fields(body) if number == 1))
        elif kind == SIGNAL:
            if any(number == 2 and value == FIRST_AWAKEABLE for number, value in fields(body)):
                self.signalled = True
        elif kind in self.commands:
            self.commands[kind] += 1


async def run_steps(attempt: Attempt, count: int, acked: int) -> bool:
    """`count` durable steps, one after the other; False when the attempt suspended."""
    for completion_id in range(1, count + 1):
        if completion_id in attempt.completed:
            continue
        number = b"\x58" + varint(completion_id)
        if attempt.commands[RUN] < completion_id:
            attempt.write(frame(RUN, number + b"\x62\x04step"))
        attempt.write(frame(PROPOSE_RUN, b"\x08" + varint(completion_id) + b"\x72\x011", acked))
        if not await attempt.await_completion(completion_id):
            return False
    return True


async def handle(attempt: Attempt, handler: str, acked: int) -> None:
    """The scripts, by handler name."""
    await attempt.replay()
    done = True
    match handler:
        case "tenSteps":
            done = await run_steps(attempt, TEN_STEPS, acked)
        case "park":
            if not attempt.commands[SLEEP]:
                due_ms = int(time.time() * 1000) + HOUR_MS
                attempt.write(frame(SLEEP, b"\x08" + varint(due_ms) + b"\x58\x01"))
            done = await attempt.await_completion(1)
        case "stepsThenWait":
            done = await run_steps(attempt, int(attempt.input), acked) and await attempt.await_awakeable()
        case _:  # trivial: nothing but the answer
            pass
    if done and not attempt.commands[OUTPUT]:
        attempt.write(output_frames("done"))
    elif done:
        attempt.write(frame(END, b""))
    await attempt.finish()


def manifest() -> bytes:
    """The services: `LeanBench` as usual; `LeanPark` suspends at once; `LeanForget` retains nothing."""

    def service(name: str, handlers: list[str], **options: int) -> dict[str, object]:
        return {"name": name, "ty": "SERVICE", "handlers": [{"name": h} for h in handlers], **options}

    return json.dumps(
        {
            "protocolMode": "BIDI_STREAM",
            "minProtocolVersion": 5,
            "maxProtocolVersion": 7,
            "services": [
                service("LeanBench", ["trivial", "tenSteps"]),
                service("LeanPark", ["park"], inactivityTimeout=0),
                service("LeanLong", ["stepsThenWait"], inactivityTimeout=100),
                service("LeanForget", ["trivial"], journalRetention=0, idempotencyRetention=0),
            ],
        }
    ).encode()


MANIFEST = manifest()
MANIFEST_TYPE = b"application/vnd.restate.endpointmanifest.v4+json"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI callable."""
    if scope["type"] != "http":
        return
    parts = scope["path"].split("/")
    if parts[1] == "invoke":
        content_type = next(value for name, value in scope["headers"] if name == b"content-type")
        version = int(content_type[-1:])
        headers = [(b"content-type", content_type), (b"x-restate-server", b"lean/1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await handle(Attempt(receive, send, version), parts[3], ACK_REQUESTED if version >= 7 else 0)
        return
    kind, body = (MANIFEST_TYPE, MANIFEST) if parts[1] == "discover" else (b"text/plain", b"ok")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def main() -> None:
    from granian.constants import HTTPModes, Interfaces, Loops
    from granian.http import HTTP2Settings
    from granian.server import Server

    Server(
        "bench.lean_endpoint:app",
        address="127.0.0.1",
        port=int(os.environ["PORT"]),
        interface=Interfaces.ASGINL,
        http=HTTPModes.http2,
        loop=Loops.uvloop,
        websockets=False,
        log_enabled=False,
        backlog=8192,
        http2_settings=HTTP2Settings(max_concurrent_streams=1000),
    ).serve()


if __name__ == "__main__":
    main()
