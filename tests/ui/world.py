"""What the browser looks at: a server and a service on our SDK, two processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx
from harness import Admin, HoldfastServer, Ingress, Process, free_port

ROOT = Path(__file__).resolve().parents[2]
VIEW = {"width": 1440, "height": 860}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
"""What a browser is told to be: a window on a desk, a phone held upright."""
PROBE_TIMEOUT_S = 2.0
PATIENCE_MS = 20_000.0
"""For whatever a page is waited for."""


class World:
    """A server and the services of `claims.py`."""

    def __init__(self, folder: Path) -> None:
        self.server = HoldfastServer(folder)
        self.folder = folder
        self.port = 0
        self.services: list[Process] = []

    def start(self) -> None:
        self.server.start()
        self.serve()

    def serve(self) -> None:
        """Start the service and register it. Where one runs, the new one is another deployment, and newer."""
        self.port = free_port()
        service = Process(
            f"claims-{len(self.services)}",
            [
                str(Path(sys.executable).with_name("holdfast")),
                *("serve", "tests.ui.claims:app", "--port", str(self.port), "--log-level", "error"),
            ],
            self.folder / "claims.log",
            {"PYTHONPATH": str(ROOT), "PACE": "0.1"},
        )
        self.services.append(service)
        service.start()
        service.wait_healthy(self._listens)
        with self.admin() as admin:
            answer = admin.http.post("/deployments", json={"uri": self.uri})
            assert answer.status_code == 201, answer.text

    def stop(self) -> None:
        for service in self.services:
            service.kill9()
        self.server.stop()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ui(self) -> str:
        return f"{self.server.admin_url}/ui/"

    def page_of(self, invocation: str) -> str:
        return f"{self.ui}invocations/{invocation}"

    def admin(self) -> Admin:
        return self.server.admin()

    def ingress(self) -> Ingress:
        return self.server.ingress()

    def send(self, path: str, body: object) -> str:
        with self.ingress() as ingress:
            return ingress.send(path, body)

    def status(self, invocation: str) -> str:
        with self.admin() as admin:
            return str(admin.http.get(f"/invocations/{invocation}").json()["status"])

    def _listens(self) -> bool:
        try:
            with httpx.Client(timeout=PROBE_TIMEOUT_S, trust_env=False) as http:
                return http.get(f"{self.uri}/health").status_code == 200
        except httpx.HTTPError:
            return False
