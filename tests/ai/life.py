"""A service process that can be killed at a chosen journal entry, and lives again at once.

    python -m tests.ai.life MODULE            MODULE has the application `app`

The first process imports the module and listens; it serves nothing. It forks the one that serves, and forks
anew whenever that one was killed: a kill -9 like any other, without waiting for imports each time. What a
life imports while it serves is told to the first process, which imports it too, for the lives to come.

Every frame of an attempt that makes a journal entry is sent by itself, and counted over all lives. When the
plan names its number, the process waits until the server has stored one entry more, and kills itself. From
the sending on, tools have no effect any more (`effects.dying`): what is proved is that nothing journaled runs
again, not that a crash cannot fall between an effect and its journal entry.

PORT             where to listen, by HTTP/1.1 and HTTP/2
PROOF_PLAN       a file: the number of the entry to die after, `every`, or nothing
PROOF_ENTRIES    a file that is as long as entries were sent
PROOF_KILLS      a file: a line before each kill
PROOF_DYING      a file that is there from before the frame is sent until the process is dead
PROOF_ADMIN      the server's admin interface
PROOF_PID        a file with the id of the process that serves
PROOF_GONE       a file: as long as it is there nobody listens, and the next process waits
PROOF_IMPORTS    a file of the modules that lives imported
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import signal
import socket
import struct
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import hypercorn.asyncio
import hypercorn.config

from tests.ai import effects

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HEADER = struct.Struct(">HHI")
PROPOSAL = 0x0005
STORED_DEADLINE_S = 30.0
POLL_S = 0.002
COUNT = {"query": "SELECT count(*) AS entries FROM sys_journal"}


class Mortal:
    """The application, and its end."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.body" and message.get("body"):
                await self._send_frames(message, send)
            else:
                await send(message)

        attempt = scope["type"] == "http" and "/invoke/" in scope["path"]
        await self._app(scope, receive, sending if attempt else send)
        if attempt:
            _tell_imports()

    async def _send_frames(self, message: Message, send: Send) -> None:
        for frame in frames(message["body"]):
            makes_entry = _makes_entry(frame)
            dies = makes_entry and _dies_after(_count_entry())
            before = 0
            if dies:
                _freeze()
                before = await asyncio.to_thread(stored_entries)
            await send({**message, "body": frame, "more_body": True})
            if dies:
                await self._die(before)
            if HEADER.unpack_from(frame)[0] == PROPOSAL:
                effects.result_sent()
        if not message.get("more_body", False):
            await send({**message, "body": b"", "more_body": False})

    async def _die(self, before: int) -> None:
        give_up_at = time.monotonic() + STORED_DEADLINE_S
        while await asyncio.to_thread(stored_entries) <= before:
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"no entry more than {before} within {STORED_DEADLINE_S} s")
            await asyncio.sleep(POLL_S)
        _end()


def _freeze() -> None:
    """From here on nothing has an effect, and no model answers."""
    effects.dying = True
    Path(os.environ["PROOF_DYING"]).touch()


def _end() -> None:
    with Path(os.environ["PROOF_KILLS"]).open("a", encoding="utf-8") as file:
        file.write("killed\n")
    os.kill(os.getpid(), signal.SIGKILL)


def frames(data: bytes) -> list[bytes]:
    """The frames in a chunk; the SDK sends them whole."""
    found: list[bytes] = []
    while data:
        size = HEADER.size + HEADER.unpack_from(data)[2]
        found.append(data[:size])
        data = data[size:]
    return found


def _makes_entry(frame: bytes) -> bool:
    type_: int = HEADER.unpack_from(frame)[0]
    return type_ == PROPOSAL or 0x0400 <= type_ < 0x8000


def _count_entry() -> int:
    path = Path(os.environ["PROOF_ENTRIES"])
    with path.open("ab") as file:
        file.write(b".")
    return path.stat().st_size


def _dies_after(number: int) -> bool:
    path = Path(os.environ["PROOF_PLAN"])
    plan = path.read_text().strip() if path.exists() else ""
    return plan == "every" or plan == str(number)


def stored_entries() -> int:
    """How many entries the server has in all journals."""
    request = urllib.request.Request(
        f"{os.environ['PROOF_ADMIN']}/query",
        data=json.dumps(COUNT).encode(),
        headers={"content-type": "application/json", "accept": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return int(json.load(answer)["rows"][0]["entries"])


_told = 0


def _tell_imports() -> None:
    global _told
    if len(sys.modules) != _told:
        _told = len(sys.modules)
        Path(os.environ["PROOF_IMPORTS"]).write_text("\n".join(list(sys.modules)), encoding="utf-8")


def _import_told() -> None:
    path = Path(os.environ["PROOF_IMPORTS"])
    for name in path.read_text(encoding="utf-8").split() if path.exists() else ():
        if name not in sys.modules:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def serve(listener: socket.socket, app: Any) -> None:
    """One life."""
    config = hypercorn.config.Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.errorlog = "-"
    asyncio.run(hypercorn.asyncio.serve(Mortal(app), config))  # type: ignore[arg-type]


def live(listener: socket.socket, app: Any) -> None:
    """One life after the other, until nobody is to be there."""
    gone = Path(os.environ["PROOF_GONE"])
    while not gone.exists():
        _import_told()
        child = os.fork()
        if not child:
            serve(listener, app)
            os._exit(0)
        Path(os.environ["PROOF_PID"]).write_text(str(child))
        _, status = os.waitpid(child, 0)
        Path(os.environ["PROOF_DYING"]).unlink(missing_ok=True)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(f"the serving process ended by itself: {status}")


def main() -> None:
    app = importlib.import_module(sys.argv[1]).app
    while True:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", int(os.environ["PORT"])))
            listener.listen(128)
            listener.set_inheritable(True)
            live(listener, app)
        while Path(os.environ["PROOF_GONE"]).exists():
            time.sleep(POLL_S)


if __name__ == "__main__":
    main()
