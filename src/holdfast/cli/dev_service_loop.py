"""Keeps the service of `holdfast dev` running: import, register, watch; again after every change or crash.

An app that cannot be imported leaves the server running and the files watched: the repaired one is taken up.
A process that ended by itself is started again, with growing pauses (`dev_restarts`). Invocations wait for it
meanwhile, backing off; those that do are tried as soon as it is there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from holdfast.cli.admin_client import Admin, AdminError, Json
from holdfast.cli.dev_restarts import Restarts
from holdfast.cli.dev_service import Report
from holdfast.cli.dev_terminal import Terminal
from holdfast.cli.find_app import Target
from holdfast.cli.service_process import ServiceProcess
from holdfast.cli.source_watch import SourceWatch

RETRIED_AT_ONCE_MAX = 1_000
"""Invocations that back off and are tried as soon as the service is there; the rest wait for their turn."""

_MARK: dict[str, Json] = {"started-by": "holdfast dev"}
_BREAKING_REVISIONS_ARE_FINE: dict[str, Json] = {"force": True, "breaking": True, "metadata": _MARK}
_BATCH_PATH = "internal/invocations_batch_operations/resume"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where things listen."""

    host: str
    ingress_port: int
    admin_port: int
    service_port: int

    @property
    def ingress(self) -> str:
        return f"http://localhost:{self.ingress_port}"

    @property
    def admin(self) -> str:
        return f"http://localhost:{self.admin_port}"

    @property
    def service(self) -> str:
        return f"http://localhost:{self.service_port}"


async def keep_serving(
    given: str, target: Target, addresses: Addresses, terminal: Terminal, server_ready: asyncio.Event
) -> None:
    """Until cancelled; then the service has ended."""
    await _Keeper(given, target, addresses, terminal, server_ready).run()


class _Keeper:
    def __init__(
        self,
        given: str,
        target: Target,
        addresses: Addresses,
        terminal: Terminal,
        server_ready: asyncio.Event,
    ) -> None:
        self._given = given
        self._target = target
        self._at = addresses
        self._terminal = terminal
        self._admin = Admin(f"http://{addresses.host}:{addresses.admin_port}")
        self._watch = SourceWatch(target.file, Path.cwd())
        self._server_ready = server_ready
        self._restarts = Restarts(addresses.admin)
        self._registered = ""
        self._greeted = False

    async def run(self) -> None:
        while True:
            begun = time.monotonic()
            service = await ServiceProcess.start(
                self._given, self._at.host, self._at.service_port, self._terminal.of_service
            )
            try:
                changed = await self._one_life(service, begun)
                lived_s = time.monotonic() - begun
            finally:
                await asyncio.shield(service.stop())
            if not changed:
                changed = await self._pause(await service.ended(), lived_s)
            if changed:
                self._restarts.forget()
                shown = ", ".join(file.name for file in changed[:3]) + (" ..." if len(changed) > 3 else "")
                self._terminal.say(f"{shown} changed")

    async def _one_life(self, service: ServiceProcess, begun: float) -> list[Path]:
        """Until the service has to start anew; what changed, or nothing when it ended by itself."""
        report, changed = await self._or_change(service.report())
        if report is None:
            return changed
        self._watch.add(report.files)
        if report.error:
            self._terminal.wrong(f"{report.error}; waiting for a change", report.detail)
            return await self._watch.changed()
        _, changed = await self._or_change(self._take_up(service, report, begun))
        if changed:
            return changed
        _, changed = await self._or_change(service.ended())
        return changed

    async def _pause(self, code: int, lived_s: float) -> list[Path]:
        """After an end by itself, until the next start; what changed meanwhile, which cuts it short."""
        pause_s, text = self._restarts.after(code, lived_s)
        self._terminal.wrong(text)
        _, changed = await self._or_change(asyncio.sleep(pause_s))
        return changed

    async def _or_change(self, awaited: Awaitable[T]) -> tuple[T | None, list[Path]]:
        """What is awaited, or which files changed before it came."""
        first = asyncio.ensure_future(awaited)
        change = asyncio.ensure_future(self._watch.changed())
        try:
            await asyncio.wait([first, change], return_when=asyncio.FIRST_COMPLETED)
            return (first.result(), []) if first.done() else (None, change.result())
        finally:
            for task in (first, change):
                task.cancel()
            await asyncio.gather(first, change, return_exceptions=True)

    async def _take_up(self, service: ServiceProcess, report: Report, begun: float) -> bool:
        """Register the service as it is now and tell; False when it cannot be, or has ended."""
        if not await service.listening(self._at.host, self._at.service_port):
            return False
        await self._server_ready.wait()
        try:
            if report.manifest != self._registered:
                await asyncio.to_thread(self._register)
                self._registered = report.manifest
            await asyncio.to_thread(self._retry_now)
        except AdminError as error:
            if not service.lives:
                return False  # which is told, and why registering failed
            self._terminal.wrong(f"registering failed: {error}; waiting for a change")
            return False
        if self._greeted:
            self._terminal.say(
                f"serving {', '.join(report.services)} again in process {service.pid}, "
                f"{time.monotonic() - begun:.1f} s"
            )
        else:
            ui = await asyncio.to_thread(self._has_ui)
            self._greet(report, service.pid, ui)
        return True

    def _register(self) -> None:
        uri = f"http://{self._at.host}:{self._at.service_port}/"
        if not self._registered:
            self._move_here(uri)
        self._admin.request("POST", "deployments", {"uri": uri, **_BREAKING_REVISIONS_ARE_FINE})

    def _move_here(self, uri: str) -> None:
        """What an earlier run served at another port: invocations pinned to that go on here."""
        answer = self._admin.request("GET", "deployments")
        known = answer.get("deployments") if isinstance(answer, dict) else None
        rows = [row for row in known if isinstance(row, dict)] if isinstance(known, list) else []
        ours = [row for row in rows if row.get("metadata") == _MARK]
        if ours and all(row.get("uri") != uri for row in rows):
            self._admin.request("PATCH", f"deployments/{ours[-1]['id']}", {"uri": uri, "overwrite": True})

    def _retry_now(self) -> None:
        rows = self._admin.query(
            f"SELECT id FROM sys_invocation WHERE status = 'backing-off' LIMIT {RETRIED_AT_ONCE_MAX}"
        )
        if rows:
            self._admin.request("POST", _BATCH_PATH, {"invocation_ids": [row["id"] for row in rows]})

    def _has_ui(self) -> bool:
        try:
            self._admin.request("GET", "ui/")
        except AdminError as error:
            return error.status == 0  # something is there, which is no JSON
        return True

    def _greet(self, report: Report, pid: int, ui: bool) -> None:
        self._greeted = True
        lines = [("ingress", self._at.ingress), ("admin", self._at.admin)]
        if ui:
            lines.append(("ui", f"{self._at.admin}/ui/"))
        served = f"{', '.join(report.services)}, in process {pid}"
        lines.append(("service", f"{self._at.service}   {served}"))
        self._terminal.plain("\n" + "\n".join(f"  {name:<9}{where}" for name, where in lines))
        if report.path:
            curl = f"curl localhost:{self._at.ingress_port}/{report.path} {report.arguments}"
            self._terminal.plain(f"\n  try      {curl}\n")
        self._terminal.say(f"watching {self._given}; ctrl-C stops everything")
