"""A worker without sockets: connections fed by hand, and clients for both versions of HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event
from http_server.wire import Wires

import holdfast
from holdfast import Context
from holdfast.http2.server_side import ConnectionLimits
from holdfast.http_server.first_bytes import FirstBytes
from holdfast.protocol import messages
from holdfast.protocol.framing import FrameDecoder
from holdfast.protocol.messages import InputCommandMessage, Message, StartMessage, Value, frame
from holdfast.serving.server import accept
from holdfast.serving.site import ServingLimits, Site

V7 = "application/vnd.restate.invocation.v7"
MANIFEST = "application/vnd.restate.endpointmanifest.v4+json"

served = holdfast.Service("Served")
cancelled: list[str] = []
"""Bodies of steps that were cancelled, by the input they were given."""


@served.handler
async def greet(name: str) -> str:
    return f"hi {name}"


async def one() -> int:
    return 1


@served.handler
async def steps(ctx: Context, count: int) -> int:
    return sum([await ctx.run(one) for _ in range(count)])


@served.handler
async def repeat(size: int) -> str:
    return "x" * size


@served.handler
async def measure(text: str) -> int:
    return len(text)


@served.handler
async def hang(ctx: Context, label: str) -> None:
    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(label)
            raise

    await ctx.run(wait)


@served.handler
async def park(ctx: Context, name: str) -> str:
    return await ctx.awakeable(str).future


app = holdfast.app(served)


def opening(value: bytes = b'"Ada"') -> bytes:
    """A journal that holds the input alone."""
    start = StartMessage(bytes(range(24)), "inv_1x", 1, random_seed=1)
    return frame(start) + frame(InputCommandMessage(value=Value(value)))


def said(body: bytes) -> list[Message]:
    """What an attempt sent."""
    return [messages.decode(type_, data, 7) for type_, _, data in FrameDecoder().feed(body)]


class Heard(logging.Handler):
    """What a connection logs, which is our own bugs."""

    def __init__(self, unheard: list[str]) -> None:
        super().__init__()
        self._unheard = unheard

    def emit(self, record: logging.LogRecord) -> None:
        self._unheard.append(self.format(record))


class Worker(Wires):
    """One site on a loop of its own, stepped by hand."""

    def __init__(self, limits: ServingLimits) -> None:
        super().__init__()
        self.unheard: list[str] = []
        self.loop.set_exception_handler(lambda _, context: self.unheard.append(str(context)))
        self.log = Heard(self.unheard)
        self.site = Site(app, limits, self.loop)
        self.site.date = "Thu, 01 Jan 1970 00:00:00 GMT"

    def first_bytes(self) -> FirstBytes[Site]:
        return accept(self.site)

    def later(self, seconds: float) -> None:
        """Sweep, then."""
        self.site.now_s += seconds
        for connection in tuple(self.site.connections):
            connection.sweep(self.site.now_s)


@contextmanager
def worker(limits: ServingLimits | None = None, **connection: int) -> Iterator[Worker]:
    """A worker; afterwards everything has to be gone, and nothing may have failed unheard.

    Args:
        connection: limits of each connection.
    """
    made = Worker(limits or ServingLimits(ConnectionLimits(**connection)))
    logger = logging.getLogger("holdfast.http")
    logger.addHandler(made.log)
    try:
        yield made
        made.drop_all()
        assert not made.site.connections
        assert made.site.attempts == 0
        assert made.unheard == []
    finally:
        logger.removeHandler(made.log)
        made.loop.close()


class Http2Peer:
    """A client on the `h2` library, which refuses what the protocol forbids us."""

    def __init__(self, at: Worker) -> None:
        self.at = at
        self.wire = at.connect()
        self.h2 = H2Connection(H2Configuration(validate_outbound_headers=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.events: list[Event] = []
        self.exchange()

    def exchange(self) -> list[Event]:
        """Send what there is, take what comes, until both are quiet; what came in this time."""
        seen: list[Event] = []
        out = self.h2.data_to_send()
        while True:
            answer = self.at.send(self.wire, out) if out else self.at.turn(self.wire)
            if answer:
                seen += self.h2.receive_data(answer)
            out = self.h2.data_to_send()
            if not out and not answer:
                self.events += seen
                return seen

    def begin(
        self, handler: str, body: bytes, *, method: str = "POST", path: str = "", end: bool = False
    ) -> int:
        """A request; its stream id."""
        stream_id = self.h2.get_next_available_stream_id()
        target = path or f"/invoke/Served/{handler}"
        pseudo = [(":method", method), (":scheme", "http"), (":authority", "x"), (":path", target)]
        fields = [("content-type", V7)] if not path else [("accept", MANIFEST)]
        self.h2.send_headers(stream_id, [*pseudo, *fields], end_stream=end and not body)
        if body:
            self.h2.send_data(stream_id, body, end_stream=end)
        return stream_id
