"""One function per reader of bytes. It answers an outcome, for the fuzzer to steer by, and raises only for a
bug of ours: an exception that callers do not expect, a promise to a listener that was broken, output or
memory without a bound.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Hashable, Iterator
from datetime import timedelta

import holdfast
from holdfast import ObjectContext
from holdfast.invoker.http.h2_connection import H2Connection
from holdfast.invoker.http.header_blocks import ResponseCache
from holdfast.protocol import messages
from holdfast.protocol.errors import ProtocolError
from holdfast.protocol.framing import FrameDecoder
from tests.invoker.http.peers import ENCODER, Owner, Recorder
from tests.sdk.attempts import Fed

OUTPUT_BYTES_MAX = 1 << 20
STEPS_MAX = 50


def pieces(data: bytes) -> Iterator[bytes]:
    """The input without its first byte, cut as that byte says."""
    size = (len(data), 1, 7, 9, 64, 1000)[data[0] % 6] if data else 0
    return (data[at : at + size] for at in range(1, len(data), max(size, 1)))


def protocol(data: bytes) -> Hashable:
    """Frames and every message: decoded or refused; what was decoded encodes to what means the same."""
    decoder = FrameDecoder(1 << 16)
    version = 6 if data[:1] == b"\x06" else 7
    seen: list[Hashable] = []
    try:
        for type_, flags, body in itertools.chain.from_iterable(map(decoder.feed, pieces(data))):
            message = messages.decode(type_, body, version)
            again = messages.decode(type_, message.encode(), version)
            assert again == message, f"{message} is encoded as {again}"
            seen.append((type_, bool(flags)))
    except ProtocolError as error:
        seen.append((type(error), error.code, _without_digits(error.message)))
    assert decoder.pending_bytes <= (1 << 16) + 8 + len(data)
    return tuple(seen[-3:])


def _without_digits(text: str) -> str:
    return "".join(char for char in text if not char.isdigit())[:40]


_object = holdfast.VirtualObject("Fuzzed")


@_object.handler
async def everything(ctx: ObjectContext, value: object) -> object:
    """Asks for a bit of everything, so that every kind of answer finds somebody waiting."""
    found = [await ctx.get("state", object)]
    found.append(await ctx.run("step", lambda: 1))
    await ctx.sleep(timedelta(seconds=1))
    found.append(await ctx.call(holdfast.remote("S", "h", input=int, output=object), 1))
    awakeable = ctx.awakeable(object)
    found.append(await asyncio.gather(awakeable.future, ctx.signal("go", object), return_exceptions=True))
    ctx.set("state", found)
    ctx.clear("other")
    return found


def attempt(data: bytes) -> Hashable:
    """Our SDK, told lies by a server: an attempt ends with a frame that ends it, or waits; never raises."""
    fed = Fed(everything, 6 if data[:1] and data[0] & 64 else 7)
    for piece in pieces(data):
        fed.attempt.receive(piece)
        for _ in range(STEPS_MAX):
            if not fed.port.steps:
                break
            fed.finish_step()
    fed.attempt.close_input()
    for _ in range(STEPS_MAX):
        if fed.attempt.ended or not fed.port.steps:
            break
        fed.finish_step()
    assert fed.attempt.ended or fed.port.later, "the input has ended and the attempt has not"
    said = fed.said()
    enders = (
        messages.EndMessage,
        messages.SuspensionMessage,
        messages.SuspensionMessageV6,
        messages.ErrorMessage,
    )
    if fed.attempt.ended:
        assert isinstance(said[-1], enders), said
    outcome = (
        _without_digits(said[-1].message) if said and isinstance(said[-1], messages.ErrorMessage) else ""
    )
    fed.attempt.abandon()
    return tuple(type(one).__name__ for one in said), outcome


def h2_client(data: bytes) -> Hashable:
    """The HTTP/2 client, answered by a stranger: streams end once each, output stays small."""
    owner, heard = Owner(), [Recorder(), Recorder()]
    connection = H2Connection(owner, "peer", ResponseCache())
    for recorder, ends in zip(heard, (True, False), strict=True):
        block = ENCODER.encode("POST", "/invoke/S/h", (), None)
        connection.open(block, recorder, b"x" * 100, end=ends)
    sent = 0
    for piece in pieces(data):
        connection.receive(piece)
        sent += len(connection.take_output())
        assert sent <= OUTPUT_BYTES_MAX
    reason = connection.end_reason
    connection.fail("the socket closed")
    assert all(recorder.over for recorder in heard)
    assert connection.open_streams == 0
    assert owner.errors == []
    told = tuple((one.status, one.ended, bool(one.body)) for one in heard)
    return told, connection.draining, _without_digits(reason)
