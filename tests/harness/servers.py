"""The servers a test can run against, behind one small interface.

`HOLDFAST_TEST_SERVER` picks: `holdfast` (the default) is what we build; `restate` is the oracle, the
server the official SDKs are written for, a development dependency from npm. A test that passes on the
oracle has to pass on ours.
"""

import os
import sys
from pathlib import Path

import httpx

from .clients import Admin, Ingress
from .processes import Process, free_port

SERVICES = Path(__file__).resolve().parents[1] / "interop" / "services"
RESTATE_BINARY = SERVICES / "typescript/node_modules/@restatedev/restate-server-linux-x64/bin/restate-server"
HEALTH_DEADLINE_S = 40.0
PROBE_TIMEOUT_S = 2.0


class Server:
    """A server process with its own data directory and fixed ports.

    Args:
        work_dir: the data directory and the log live here.
        partitions: fixed when the data directory is first used.
    """

    name = "server"

    def __init__(self, work_dir: Path, partitions: int = 1, env: dict[str, str] | None = None) -> None:
        work_dir.mkdir(parents=True, exist_ok=True)
        self.data_dir = work_dir / "data"
        self.partitions = partitions
        self.ingress_port = free_port()
        self.admin_port = free_port()
        self.process = Process(
            self.name, self._command(), work_dir / f"{self.name}.log", {**self._environment(), **(env or {})}
        )

    @property
    def ingress_url(self) -> str:
        return f"http://127.0.0.1:{self.ingress_port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    def ingress(self) -> Ingress:
        return Ingress(self.ingress_url)

    def admin(self) -> Admin:
        return Admin(self.admin_url)

    def start(self) -> None:
        """Start and return once both interfaces answer."""
        self.process.start()
        self.process.wait_healthy(self._healthy, HEALTH_DEADLINE_S)

    def stop(self) -> None:
        self.process.stop()

    def kill9(self) -> None:
        self.process.kill9()

    def restart(self) -> None:
        """Start again on the same data directory and ports."""
        self.process.stop()
        self.start()

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        return {}

    def _healthy(self) -> bool:
        try:
            for url in (f"{self.admin_url}/health", f"{self.ingress_url}/restate/health"):
                if httpx.get(url, timeout=PROBE_TIMEOUT_S, trust_env=False).status_code != 200:
                    return False
        except httpx.HTTPError:
            return False
        return True


class HoldfastServer(Server):
    """Ours, started the way a user starts it."""

    name = "holdfast"

    def _command(self) -> list[str]:
        return [
            str(Path(sys.executable).with_name("holdfast")),
            "server",
            "--data-dir",
            str(self.data_dir),
            "--ingress-bind",
            f"127.0.0.1:{self.ingress_port}",
            "--admin-bind",
            f"127.0.0.1:{self.admin_port}",
            "--partitions",
            str(self.partitions),
        ]


class RestateServer(Server):
    """The oracle. It answers only when bound to `[::]`; bound to `0.0.0.0` it listens and stays silent."""

    name = "restate"

    def _command(self) -> list[str]:
        return [str(RESTATE_BINARY), "--no-logo"]

    def _environment(self) -> dict[str, str]:
        return {
            "RESTATE_BASE_DIR": str(self.data_dir),
            "RESTATE_NODE_NAME": "node",
            "RESTATE_CLUSTER_NAME": "harness",
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_BIND_ADDRESS": f"[::]:{free_port()}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"[::]:{self.admin_port}",
            "RESTATE_INGRESS__BIND_ADDRESS": f"[::]:{self.ingress_port}",
            "RESTATE_DEFAULT_NUM_PARTITIONS": str(self.partitions),
            "RESTATE_EXPERIMENTAL_ENABLE_PROTOCOL_V7": "true",
            "RESTATE_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "1",
            "RUST_LOG": "warn",
        }


def chosen() -> str:
    """`holdfast` or `restate`, from the environment.

    Raises:
        ValueError: any other word.
    """
    name = os.environ.get("HOLDFAST_TEST_SERVER", HoldfastServer.name)
    if name not in (HoldfastServer.name, RestateServer.name):
        raise ValueError(f"HOLDFAST_TEST_SERVER is {name!r}; expected 'holdfast' or 'restate'")
    return name


def new_server(work_dir: Path, env: dict[str, str] | None = None, *, partitions: int | None = None) -> Server:
    """The server `HOLDFAST_TEST_SERVER` names, not started yet; `HOLDFAST_TEST_PARTITIONS`, when set, decides
    about the partitions."""
    partitions = int(os.environ.get("HOLDFAST_TEST_PARTITIONS", partitions or 1))
    kind = RestateServer if chosen() == RestateServer.name else HoldfastServer
    return kind(work_dir, partitions, env)
