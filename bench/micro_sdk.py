"""The SDK alone: an app called in this process by the shortest ASGI server there is.

    python -m bench.micro_sdk [profile]

The fake server answers every proposal with an ack, as a server of protocol 7 does, so what is measured is
frames in, handler, frames out: no sockets, no HTTP. Best of several rounds, CPU microseconds.
"""

import asyncio
import cProfile
import pstats
import sys
import time
from collections.abc import MutableMapping
from typing import Any

import uvloop

from holdfast.protocol.framing import FrameDecoder, MessageType
from holdfast.protocol.messages import (
    InputCommandMessage,
    ProposeRunCompletionAckMessage,
    ProposeRunCompletionMessage,
    StartMessage,
    Value,
    frame,
)
from holdfast.sdk.context import Context
from holdfast.sdk.endpoint.app import App
from holdfast.sdk.services import Service

ROUNDS = 7
CALLS = 2000
STEPS = 10

micro = Service("Micro")


@micro.handler
async def trivial(ctx: Context, name: str) -> str:
    return f"hi {name}"


async def one() -> int:
    return 1


@micro.handler
async def ten_steps(ctx: Context, name: str) -> int:
    total = 0
    for _ in range(STEPS):
        total += await ctx.run(one)
    return total


OPENING = frame(StartMessage(bytes(24), "inv_1x", 1, random_seed=1)) + frame(
    InputCommandMessage(value=Value(b'"Ada"'))
)
CONTENT_TYPE = b"application/vnd.restate.invocation.v7"


async def call(app: App, path: str) -> None:
    decoder = FrameDecoder()
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    queue.put_nowait(OPENING)

    async def receive() -> MutableMapping[str, Any]:
        data = await queue.get()
        return {"type": "http.request", "body": data, "more_body": bool(data)}

    async def send(message: MutableMapping[str, Any]) -> None:
        for type_, _, body in decoder.feed(message.get("body", b"")):
            if type_ == MessageType.PROPOSE_RUN_COMPLETION:
                proposal = ProposeRunCompletionMessage.decode(body)
                queue.put_nowait(frame(ProposeRunCompletionAckMessage(proposal.result_completion_id)))
            elif type_ == MessageType.END:
                queue.put_nowait(b"")
            elif type_ == MessageType.ERROR:
                raise RuntimeError(body)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": path,
        "http_version": "2",
        "headers": [(b"content-type", CONTENT_TYPE), (b"accept", CONTENT_TYPE)],
    }
    await app(scope, receive, send)


async def measure(app: App, path: str) -> float:
    """Microseconds of CPU per invocation, the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            await call(app, path)
        best = min(best, (time.process_time() - began) / CALLS * 1e6)
    return best


async def main() -> None:
    app = App([micro])
    trivial_us = await measure(app, "/invoke/Micro/trivial")
    steps_us = await measure(app, "/invoke/Micro/ten_steps")
    print(f"trivial {trivial_us:.1f} us, step {(steps_us - trivial_us) / STEPS:.1f} us")


async def profiled() -> None:
    app = App([micro])
    for path in ("/invoke/Micro/trivial", "/invoke/Micro/ten_steps"):
        profile = cProfile.Profile()
        profile.enable()
        for _ in range(CALLS):
            await call(app, path)
        profile.disable()
        print(path)
        pstats.Stats(profile).sort_stats("tottime").print_stats(28)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(profiled() if "profile" in sys.argv else main())
