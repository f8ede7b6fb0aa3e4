"""`holdfast dev`'s end of the service process (`dev_service`): starts it, reads its report, shows what it
prints, ends it with everything it started."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

import msgspec

from holdfast.cli.dev_service import Report

KILL_AFTER_S = 0.5
"""Attempts under way do not hold up a reload: they are made again, in the new code. The app's own shutdown
has this long."""

SHOWN_WITHIN_S = 1.0
"""What it printed last. A program that the app left behind in a session of its own may keep the pipe open."""

LISTENS_WITHIN_S = 20.0
_LISTEN_POLL_S = 0.02
_CHUNK_BYTES = 64 * 1024
_LINE_BYTES_MAX = 64 * 1024
"""Longer lines are shown in pieces."""

_REPORT_BYTES_MAX = 4 * 1024 * 1024


class ServiceProcess:
    """One life of the service. Made by `start`; `stop` ends it, however far it came."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        report: socket.socket,
        tie: int,
        show: Callable[[str], None],
    ) -> None:
        self._process = process
        self._report = report
        self._tie = tie
        self._shown = asyncio.create_task(self._show(show), name="service output")

    @classmethod
    async def start(cls, target: str, host: str, port: int, show: Callable[[str], None]) -> ServiceProcess:
        """Start importing the app.

        Args:
            show: gets every line it prints, without its end.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        tie_theirs, tie_ours = os.pipe()
        with theirs, os.fdopen(tie_theirs, "rb", buffering=0):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "holdfast.cli.dev_service", target),
                *("--host", host, "--port", str(port), "--report", str(theirs.fileno())),
                *("--tie", str(tie_theirs)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                pass_fds=(theirs.fileno(), tie_theirs),
                start_new_session=True,
            )
        return cls(process, ours, tie_ours, show)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lives(self) -> bool:
        return self._process.returncode is None

    async def report(self) -> Report | None:
        """What importing gave; None: it ended before it said so."""
        loop = asyncio.get_running_loop()
        data = bytearray()
        while not data.endswith(b"\n") and len(data) < _REPORT_BYTES_MAX:
            chunk = await loop.sock_recv(self._report, _CHUNK_BYTES)
            if not chunk:
                return None
            data += chunk
        return msgspec.json.decode(bytes(data), type=Report)

    async def listening(self, host: str, port: int) -> bool:
        """Wait until it can be connected to; False when it ended, or took too long."""
        async with asyncio.timeout(LISTENS_WITHIN_S) as limit:
            while self.lives:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(host, port)
                    writer.close()
                    return True
                await asyncio.sleep(_LISTEN_POLL_S)
        return limit.expired()

    async def ended(self) -> int:
        """Wait for its end; the exit code, negative when a signal ended it."""
        return await self._process.wait()

    async def stop(self) -> None:
        """End it and its workers: asked first, killed when it does not listen."""
        if self.lives:
            with suppress(ProcessLookupError):
                self._process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(KILL_AFTER_S):
                    await self._process.wait()
        # Whatever the app itself has started; the group outlives its leader.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        self._report.close()
        os.close(self._tie)
        await asyncio.wait([self._shown], timeout=SHOWN_WITHIN_S)
        self._shown.cancel()

    async def _show(self, show: Callable[[str], None]) -> None:
        stream = self._process.stdout
        if stream is None:
            return
        rest = b""
        while chunk := await stream.read(_CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LINE_BYTES_MAX:
                lines, rest = [*lines, rest], b""
            for line in lines:
                show(line.decode("utf-8", "replace"))
        if rest:
            show(rest.decode("utf-8", "replace"))
