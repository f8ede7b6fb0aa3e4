"""A deployment that does what a test tells it to: an HTTP/2 server that speaks the protocol by hand.

A handler's name picks its behaviour, an async function over a `Talk`: one attempt, from the server's push to
the end. Official SDKs cannot misbehave on command; this can answer with any status, bytes and silence, and
still be honest about what it ran, so that a test can see whether a journaled step ran again.

It lives in a thread with a loop of its own. Behaviours run there; a test swaps them from outside, which is
what "the deployment was repaired" means here.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from harness import free_port

from holdfast.protocol.framing import FrameDecoder, MessageType, encode_frame
from holdfast.protocol.messages import (
    EndMessage,
    InputCommandMessage,
    OutputCommandMessage,
    ProposeRunCompletionMessage,
    RunCommandMessage,
    StartMessage,
    Value,
)

Frame = tuple[int, int, bytes]
MANIFEST_TYPE = "application/vnd.restate.endpointmanifest.v4+json"
START_DEADLINE_S = 10.0
STEPS = ("first", "second")
_RUN_ANSWERS = (MessageType.RUN_COMPLETION, MessageType.PROPOSE_RUN_COMPLETION_ACK)


class PeerLeft(Exception):
    """The server closed or reset the stream while a behaviour was waiting for it."""


@dataclass(slots=True)
class Talk:
    """One attempt as the deployment sees it."""

    service: LyingService
    connection: _Connection
    stream_id: int
    headers: dict[str, str]
    path: str
    start: StartMessage | None = None
    input: InputCommandMessage | None = None
    replayed: list[Frame] = field(default_factory=list)
    _inbox: asyncio.Queue[Frame | None] = field(default_factory=asyncio.Queue)
    _decoder: FrameDecoder = field(default_factory=FrameDecoder)
    _answered: bool = False

    @property
    def handler(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def id(self) -> str:
        return self.headers["x-restate-invocation-id"]

    @property
    def argument(self) -> object:
        """The call's JSON body; None without one."""
        content = self.input.value.content if self.input is not None and self.input.value is not None else b""
        return json.loads(content) if content else None

    # ------------------------------------------------------------ listening

    def heard(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            self._inbox.put_nowait(frame)

    def hung_up(self) -> None:
        self._inbox.put_nowait(None)

    async def frame(self) -> Frame | None:
        """What the server sends next; None once its side is closed."""
        return await self._inbox.get()

    async def listen(self) -> None:
        """Take Start and the replay."""
        first = await self._must_hear()
        self.start = StartMessage.decode(first[2])
        self.replayed = [await self._must_hear() for _ in range(self.start.known_entries)]
        self.input = InputCommandMessage.decode(self.replayed[0][2])

    async def _must_hear(self) -> Frame:
        frame = await self.frame()
        if frame is None:
            raise PeerLeft
        return frame

    async def pause(self, seconds: float) -> None:
        """Let others work; `PeerLeft` when the connection broke meanwhile."""
        await asyncio.sleep(seconds)
        if self.connection.lost:
            raise PeerLeft

    # ------------------------------------------------------------ speaking

    def answer(self, status: int = 200, content_type: str | None = "as asked", **more: str) -> None:
        """Send response headers; further ones with underscores for hyphens."""
        self._answered = True
        headers = [(":status", str(status)), *((k.replace("_", "-"), v) for k, v in more.items())]
        if content_type is not None:
            as_asked = content_type == "as asked"
            headers.append(("content-type", self.headers["content-type"] if as_asked else content_type))
        self.connection.send_headers(self.stream_id, headers)

    def say(self, data: bytes) -> None:
        """Send bytes as they are, after the usual headers if none were sent."""
        if not self._answered:
            self.answer()
        self.connection.send_data(self.stream_id, data)

    def frames(self, *frames: bytes) -> None:
        self.say(b"".join(frames))

    def end(self) -> None:
        """Close our side."""
        if not self._answered:
            self.answer()
        self.connection.end_stream(self.stream_id)

    def reset(self, code: h2.errors.ErrorCodes = h2.errors.ErrorCodes.INTERNAL_ERROR) -> None:
        self.connection.reset_stream(self.stream_id, code)

    # ------------------------------------------------------------ honest work

    def has_result(self, completion_id: int) -> bool:
        """Whether the replay holds this run's result."""
        wanted = b"\x08" + bytes([completion_id])
        return any(t == MessageType.RUN_COMPLETION and b.startswith(wanted) for t, _, b in self.replayed)

    async def step(self, completion_id: int, label: str) -> None:
        """A durable step: runs unless its result is replayed, and returns once the result is journaled."""
        if self.has_result(completion_id):
            return
        opened = RunCommandMessage(completion_id, label).encode()
        if not any(t == MessageType.RUN_COMMAND and b == opened for t, _, b in self.replayed):
            self.say(encode_frame(MessageType.RUN_COMMAND, opened))
        self.service.ran[self.id, label] += 1
        proposal = ProposeRunCompletionMessage(completion_id, Value(json.dumps(label).encode())).encode()
        self.say(encode_frame(MessageType.PROPOSE_RUN_COMPLETION, proposal))
        while True:
            type_, _, _ = await self._must_hear()
            if type_ in _RUN_ANSWERS:
                return

    def finish(self, result: object) -> None:
        """Output, End, and our side closed."""
        self.frames(output(result), end())
        self.end()


Behaviour = Callable[[Talk], Awaitable[None]]


def output(result: object) -> bytes:
    """The frame of a successful output."""
    body = OutputCommandMessage(result=Value(json.dumps(result).encode())).encode()
    return encode_frame(MessageType.OUTPUT_COMMAND, body)


def end() -> bytes:
    """The frame that ends an invocation."""
    return encode_frame(MessageType.END, EndMessage().encode())


async def honest(talk: Talk) -> None:
    """Every step, then the list of them: what a repaired deployment does."""
    await talk.listen()
    for number, label in enumerate(STEPS, 1):
        await talk.step(number, label)
    talk.finish(list(STEPS))


class LyingService:
    """A deployment with one service; its handlers are honest until told otherwise.

    Args:
        name: of the service.
        handlers: their names.
        options: manifest fields of the service, such as `retryPolicyMaxAttempts`.
        tls: serves https when given.
    """

    def __init__(
        self,
        name: str,
        handlers: list[str],
        options: dict[str, object] | None = None,
        *,
        kind: str = "SERVICE",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self.port = free_port()
        self.behaviours: dict[str, Behaviour] = {}
        self.ran: Counter[tuple[str, str]] = Counter()
        self.attempts: Counter[str] = Counter()
        self.errors: list[BaseException] = []
        self._manifest = {
            "protocolMode": "BIDI_STREAM",
            "minProtocolVersion": 5,
            "maxProtocolVersion": 7,
            "services": [
                {"name": name, "ty": kind, "handlers": [{"name": h} for h in handlers], **(options or {})}
            ],
        }
        self._tls = tls
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    @property
    def uri(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self.appear()
        return self

    def __exit__(self, *_: object) -> None:
        self.disappear()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_DEADLINE_S)
        self._loop.close()

    def appear(self) -> None:
        """Listen."""
        self._do(self._listen())

    def disappear(self) -> None:
        """Stop listening and cut every connection."""
        self._do(self._leave())

    def repair(self, handler: str) -> None:
        """From the next attempt on, the handler is honest."""
        self.behaviours.pop(handler, None)

    def _do(self, work: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(START_DEADLINE_S)

    async def _listen(self) -> None:
        self._server = await self._loop.create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, ssl=self._tls, reuse_address=True
        )

    async def _leave(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------ what connections tell

    def joined(self, connection: _Connection) -> None:
        self._connections.add(connection)

    def left(self, connection: _Connection) -> None:
        self._connections.discard(connection)

    def pushed(self, talk: Talk) -> None:
        if talk.path == "/discover":
            talk.answer(content_type=MANIFEST_TYPE)
            talk.say(json.dumps(self._manifest).encode())
            talk.end()
            return
        self.attempts[talk.id] += 1
        task = self._loop.create_task(self._behave(talk))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _behave(self, talk: Talk) -> None:
        behaviour = self.behaviours.get(talk.handler, honest)
        try:
            await behaviour(talk)
        except (PeerLeft, h2.exceptions.ProtocolError):
            pass  # the server gave up on the attempt first
        except Exception as error:
            self.errors.append(error)
            raise


class _Connection(asyncio.Protocol):
    """One connection of the server to us."""

    def __init__(self, service: LyingService) -> None:
        self._service = service
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=False, header_encoding="utf-8", validate_outbound_headers=False
            )
        )
        self._transport: asyncio.Transport | None = None
        self._talks: dict[int, Talk] = {}
        self.reads = True
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._service.joined(self)
        self._h2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self._flush()
            return
        for event in events:
            self._on(event)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._service.left(self)
        for talk in self._talks.values():
            talk.hung_up()

    def _on(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=int(stream_id), headers=headers):
                fields = {str(name): str(value) for name, value in headers or []}
                talk = Talk(self._service, self, stream_id, fields, fields[":path"])
                self._talks[stream_id] = talk
                self._service.pushed(talk)
            case h2.events.DataReceived(stream_id=int(stream_id), data=bytes(data)):
                if self.reads:
                    with suppress(h2.exceptions.ProtocolError):
                        self._h2.acknowledge_received_data(event.flow_controlled_length or 0, stream_id)
                self._talks[stream_id].heard(data)
            case (
                h2.events.StreamEnded(stream_id=int(stream_id))
                | h2.events.StreamReset(stream_id=int(stream_id))
            ):
                self._talks[stream_id].hung_up()
            case _:
                pass

    # ------------------------------------------------------------ out

    def send_headers(self, stream_id: int, headers: list[tuple[str, str]]) -> None:
        self._h2.send_headers(stream_id, headers)
        self._flush()

    def send_data(self, stream_id: int, data: bytes) -> None:
        frame_max = self._h2.max_outbound_frame_size
        for at in range(0, len(data), frame_max):
            self._h2.send_data(stream_id, data[at : at + frame_max])
        self._flush()

    def end_stream(self, stream_id: int) -> None:
        self._h2.end_stream(stream_id)
        self._flush()

    def reset_stream(self, stream_id: int, code: h2.errors.ErrorCodes) -> None:
        self._h2.reset_stream(stream_id, code)
        self._flush()

    def go_away(self, last_stream_id: int, code: h2.errors.ErrorCodes) -> None:
        """Announce the end of the connection, as `h2` does it, and stay on it.

        `h2` refuses to send anything after its own GOAWAY, so the frame is written beside it.
        """
        payload = last_stream_id.to_bytes(4, "big") + int(code).to_bytes(4, "big")
        self.raw(len(payload).to_bytes(3, "big") + b"\x07\x00" + bytes(4) + payload)

    def raw(self, data: bytes) -> None:
        """Bytes on the connection itself."""
        if self._transport is not None:
            self._transport.write(data)

    def cut(self) -> None:
        """End the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if self._transport is not None and (data := self._h2.data_to_send()):
            self._transport.write(data)
