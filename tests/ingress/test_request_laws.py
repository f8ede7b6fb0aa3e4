"""Laws of requests as strangers may write them: any route, key, header and body, pipelined and cut anywhere.

Each gets one well-formed answer, in order; a refusal says in JSON what was wrong; nothing is an unexpected
server error; and how the bytes were cut on their way changes nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import quote

import httptools
from fuzz.ingress import LIMITS, MemoryTransport
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.ingress.dispatch import Dispatcher
from holdfast.ingress.server import accept
from holdfast.ingress.site import Site

from .support import CATALOG, FakeEngine, echo

SERVICES = ["Greeter", "Echo", "Secret", "Counter", "Flow", "Nobody"]
HANDLERS = ["greet", "echo", "add", "run", "tell", "nothing", "send"]
IDS = ["inv_1", "inv_10000000000000000000000000000000000000", "sign_1AAA", "prom_1BBBB", "x"]

TYPES = ["application/json", "text/plain", "", "application/octet-stream; a=b", "nonsense"]
OTHERS = ["x-own", "x-restate-id", "accept", "traceparent"]
_RANDOM = re.compile(rb"inv_1[0-9A-Za-z]+")

words = st.text(max_size=12).map(lambda text: quote(text, safe=""))
odd = st.sampled_from(["%", "%zz", "%00", "..", "", "%2F", "a%20b", "é".encode().decode("latin-1")])
segments = st.one_of(st.sampled_from([*SERVICES, *HANDLERS, *IDS]), words, odd)
RESTATE = [
    "invocation",
    "workflow",
    "awakeables",
    "call",
    "send",
    "scope",
    "attach",
    "output",
    "lookup",
    "health",
]
paths = st.one_of(
    st.tuples(st.sampled_from(SERVICES), st.sampled_from(HANDLERS)).map(list),
    st.tuples(st.sampled_from(SERVICES), segments, st.sampled_from(HANDLERS)).map(list),
    st.tuples(st.just("restate"), st.sampled_from(RESTATE)).flatmap(
        lambda start: st.lists(segments, max_size=5).map(lambda rest: [*start, *rest])
    ),
    st.lists(segments, max_size=7),
).map(lambda parts: "/" + "/".join(parts))
queries = st.one_of(
    st.just(""),
    st.sampled_from(["?delay=5s", "?delay=PT1H", "?delay=-1", "?delay=%00", "?delaySec=3", "?", "?a&b=c&&"]),
)
headers = st.lists(
    st.one_of(
        st.tuples(st.just("idempotency-key"), st.text("abc %\t\u00e9", max_size=8)),
        st.tuples(
            st.just("content-type"),
            st.sampled_from(
                ["application/json", "text/plain", "", "application/octet-stream; a=b", "nonsense"]
            ),
        ),
        st.tuples(st.sampled_from(OTHERS), st.text("abc-0", max_size=8)),
        st.tuples(st.just("x-restate-delay"), st.sampled_from(["1s", "soon", ""])),
    ),
    max_size=4,
)
bodies = st.one_of(st.just(b""), st.sampled_from([b'"Ada"', b"{", b"[1,2]", b"null"]), st.binary(max_size=60))


@dataclass(frozen=True)
class Request:
    """One request, with its length or in chunks."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    chunked: bool

    def encode(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1", "host: here"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines.append("transfer-encoding: chunked" if self.chunked else f"content-length: {len(self.body)}")
        body = self.body
        if self.chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


requests = st.builds(
    Request,
    st.sampled_from(["POST", "GET", "PUT", "DELETE", "OPTIONS", "PATCH"]),
    st.tuples(paths, queries).map("".join),
    headers,
    bodies,
    st.booleans(),
)


@dataclass
class Answers:
    """What a client reads from the connection."""

    statuses: list[int] = field(default_factory=list[int])
    bodies: list[bytes] = field(default_factory=list[bytes])
    types: list[bytes] = field(default_factory=list[bytes])
    last: bool = False

    def read(self, data: bytes) -> None:
        at = memoryview(data)
        while at:
            self._parser = httptools.HttpResponseParser(self)
            self._body, self._type, self._done = b"", b"", False
            head, separator, rest = bytes(at).partition(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            one = head + separator + rest[:length]
            self._parser.feed_data(one)
            assert self._done, "the answer is cut off"
            self.statuses.append(self._parser.get_status_code())
            self.bodies.append(self._body)
            self.types.append(self._type)
            at = at[len(one) :]

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self._type = value
        elif name.lower() == b"connection" and value == b"close":
            self.last = True

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._done = True


async def exchange(data: bytes, cuts: list[int]) -> tuple[bytes, bool]:
    """What the ingress answers to `data`, cut at `cuts`; and whether it closed the connection."""
    engine = FakeEngine(dict.fromkeys(("greet", "echo", "add", "run", "slow", "fails", "tell"), echo))
    loop = asyncio.get_running_loop()
    unheard: list[str] = []
    loop.set_exception_handler(lambda _, context: unheard.append(str(context)))
    site = Site(LIMITS, Dispatcher(engine, CATALOG, LIMITS).handle, loop)
    transport = MemoryTransport()
    first = accept(site)
    transport.protocol = first
    first.connection_made(cast(asyncio.Transport, transport))
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        if not transport.closed:
            transport.protocol.data_received(data[start:end])
        await asyncio.sleep(0)
    for _ in range(30):
        await asyncio.sleep(0)
    closed = transport.closed
    transport.protocol.connection_lost(None)
    await asyncio.sleep(0)
    assert unheard == []
    return _RANDOM.sub(lambda found: b"x" * len(found[0]), bytes(transport.output)), closed


@settings(max_examples=150, deadline=None)
@given(st.lists(requests, min_size=1, max_size=4), st.lists(st.integers(0, 5000), max_size=6))
def test_every_request_gets_one_answer_in_order_however_it_is_cut(
    sent: list[Request], cuts: list[int]
) -> None:
    data = b"".join(request.encode() for request in sent)
    whole, closed = asyncio.run(exchange(data, []))
    answers = Answers()
    answers.read(whole)
    assert answers.last or len(answers.statuses) == len(sent)
    for status, body, type_ in zip(answers.statuses, answers.bodies, answers.types, strict=True):
        # What existing clients know as the answer to a look-up that cannot be read.
        assert status < 500 or b"cannot read body: invalid" in body, (status, body)
        if status >= 400:
            assert type_ == b"application/json"
            problem = json.loads(body)
            assert problem["message"], problem
            assert problem["code"] == status, problem
    assert asyncio.run(exchange(data, cuts)) == (whole, closed)
