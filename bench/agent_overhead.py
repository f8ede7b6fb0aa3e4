"""What durability costs an agent: ten tools and a model that answers at once, against the bare framework.

Per agent, from one caller: the median over the calls of a durable run's time as the caller sees it, of the
bare framework's time in the same process, and the difference; and the difference of the quickest of both, for
machines that have other things to do. "at once" has one answer that asks for ten tools, so that two model
requests and ten tools are journaled; "in turn" asks for them one by one, which makes eleven requests. The
caller is the standard library's client: what heavier ones take is not durability's.

    python -m bench.agent_overhead [--calls 50] [--only pydantic]
"""

import argparse
import http.client
import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx

from tests.harness import HoldfastServer, Process
from tests.harness.processes import free_port

from .load import ROOT

GOAL_MS = 10.0
WARMUP_CALLS = 5
NAMES = [
    f"{agent}, {shape}"
    for shape in ("at once", "in turn")
    for agent in ("by hand", "pydantic-ai", "openai-agents")
]


@contextmanager
def running() -> Iterator[http.client.HTTPConnection]:
    """A server and the agents; a connection to the ingress."""
    with TemporaryDirectory(prefix="bench-agents-") as folder:
        work_dir, port = Path(folder), free_port()
        server = HoldfastServer(work_dir / "server")
        command = [sys.executable, "-m", "holdfast.cli.main", "serve", "bench.agent_service:app"]
        service = Process(
            "agents", [*command, "--port", str(port)], work_dir / "agents.log", {"PYTHONPATH": str(ROOT)}
        )
        try:
            server.start()
            service.start()
            service.wait_healthy(lambda: _answers(f"http://127.0.0.1:{port}/health"), 120)
            with server.admin() as admin:
                admin.register(f"http://127.0.0.1:{port}")
            client = http.client.HTTPConnection("127.0.0.1", server.ingress_port, timeout=20)
            client.connect()
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                yield client
            except (http.client.HTTPException, OSError):
                print(service.log_tail(), file=sys.stderr)
                raise
            finally:
                client.close()
        finally:
            service.kill9()
            server.kill9()


def _answers(url: str) -> bool:
    try:
        with httpx.Client(http1=False, http2=True, timeout=2, trust_env=False) as client:
            return client.get(url).is_success
    except httpx.HTTPError:
        return False


def call_ms(client: http.client.HTTPConnection, handler: str, name: str) -> tuple[float, object]:
    """How long a call took, in milliseconds, and its answer.

    Raises:
        RuntimeError: the handler failed.
    """
    body = json.dumps(name)
    began = time.perf_counter()
    client.request("POST", f"/AgentBench/{handler}", body, {"content-type": "application/json"})
    response = client.getresponse()
    answer = response.read()
    took = (time.perf_counter() - began) * 1000
    if response.status != 200:
        raise RuntimeError(f"{handler} of {name} answered {response.status}: {answer!r}")
    return took, json.loads(answer) if answer else None


def measure(client: http.client.HTTPConnection, name: str, calls: int) -> tuple[list[float], list[float]]:
    """Milliseconds of the durable runs and of the bare ones; they take turns."""
    durable: list[float] = []
    bare: list[float] = []
    for number in range(WARMUP_CALLS + calls):
        took, _ = call_ms(client, "run", name)
        _, seconds = call_ms(client, "bare", name)
        assert isinstance(seconds, float)
        if number >= WARMUP_CALLS:
            durable.append(took)
            bare.append(seconds * 1000)
    return durable, bare


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.agent_overhead", description=__doc__)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--only", default="", help="agents whose name contains this")
    given = parser.parse_args()
    print(f"{'agent':26}{'durable ms':>12}{'bare ms':>10}{'overhead ms':>13}{'quickest':>10}")
    with running() as client:
        for name in [name for name in NAMES if given.only in name]:
            durable, bare = measure(client, name, given.calls)
            overhead, quickest = median(durable) - median(bare), min(durable) - min(bare)
            missed = "at once" in name and overhead > GOAL_MS
            print(
                f"{name:26}{median(durable):12.1f}{median(bare):10.1f}{overhead:13.1f}{quickest:10.1f}"
                + (f"  the goal is {GOAL_MS:.0f}" if missed else ""),
                flush=True,
            )


if __name__ == "__main__":
    main()
