"""A service whose steps say what models and tools they used; each step waits until the test lets it go on.

Run as `python -m end_to_end.described_service`: on Granian over HTTP/2, or with REQUEST_RESPONSE set on
uvicorn over HTTP/1.1. A step writes `<name> began` to the file SIDE_EFFECTS_FILE and goes on when the folder
GATES has a file of its name.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import holdfast

service = holdfast.Service("Described")
GATES = Path(os.environ.get("GATES", "."))
POLL_S = 0.02


def _pass(name: str) -> None:
    with Path(os.environ["SIDE_EFFECTS_FILE"]).open("a", encoding="utf-8") as file:
        file.write(f"{name} began\n")
    while not (GATES / name).exists():
        time.sleep(POLL_S)


def _model(name: str, tokens_in: int, tokens_out: int) -> holdfast.Step[[], str]:
    def answer() -> str:
        _pass(name)
        return name

    return holdfast.step(
        name=name,
        metadata={"kind": "model", "model": "m-1", "tokens_in": 0},
        describe=lambda _: {"tokens_in": tokens_in, "tokens_out": tokens_out, "finish_reason": "stop"},
    )(answer)


@holdfast.step(name="tool", metadata={"kind": "tool", "tool": "wire", "arguments": {"to": "Ada"}})
def tool() -> str:
    _pass("tool")
    return "tool"


@service.handler
async def agent(ctx: holdfast.Context) -> list[str]:
    first = await ctx.run(_model("first", 100, 10))
    tooled = await ctx.run(tool)
    both = await asyncio.gather(ctx.run(_model("second", 20, 2)), ctx.run(_model("third", 3, 1)))
    return [first, tooled, *both]


app = holdfast.app(service)


def main() -> None:
    port = int(os.environ["PORT"])
    if os.environ.get("REQUEST_RESPONSE"):
        import uvicorn

        uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
        return
    from granian.constants import HTTPModes, Interfaces
    from granian.server import Server

    Server(
        f"{__spec__.name}:app",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http2,
        websockets=False,
        log_access=False,
    ).serve()


if __name__ == "__main__":
    main()
