"""Ten-step workflows on DBOS, the library peer: workflows in the process itself, journal in a database.

    python -m bench.peers.dbos_workflows [--database sqlite|postgresql] [--together 64] [--seconds 5]

`--together` coroutines run one workflow after the other. CPU is that of this process and of the database's,
per workflow: there is no server, so it compares with the sum of our server's and service's.
"""

import argparse
import asyncio
import logging
import os
import time
from contextlib import ExitStack
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory

from dbos import DBOS, DBOSConfig

from bench.cpu import cpu_us, tree_bytes
from bench.peers.postgres import postgres

STEPS = 10
WARMUP_S = 1.0


@DBOS.step()
async def step() -> int:
    return 1


@DBOS.workflow()
async def ten_steps(name: str) -> str:
    done = 0
    for _ in range(STEPS):
        done += await step()
    return f"{name}: {done}"


@DBOS.workflow()
async def trivial(name: str) -> str:
    return f"hello {name}"


async def measure(work: str, together: int, seconds: float, pids: list[int], folder: Path) -> str:
    workflow = ten_steps if work == "tenSteps" else trivial
    latencies: list[float] = []
    state = {"recording": False, "over": False}

    async def one_after_the_other() -> None:
        while not state["over"]:
            started = time.perf_counter()
            await workflow("bob")
            if state["recording"]:
                latencies.append((time.perf_counter() - started) * 1000)

    tasks = [asyncio.create_task(one_after_the_other()) for _ in range(together)]
    await asyncio.sleep(WARMUP_S)
    before, disk_before = sum(map(cpu_us, pids)), tree_bytes(folder)
    started = time.perf_counter()
    state["recording"] = True
    await asyncio.sleep(seconds)
    state["recording"] = False
    took = time.perf_counter() - started
    spent, grown = sum(map(cpu_us, pids)) - before, tree_bytes(folder) - disk_before
    state["over"] = True
    await asyncio.gather(*tasks)
    count = len(latencies)
    if not count:
        return f"none ended within {took:.0f} s | 0 | | | |"
    latencies.sort()
    return (
        f"{spent / count:.0f} | {count / took:.0f} | {latencies[count // 2]:.1f} "
        f"| {latencies[int(count * 0.99)]:.1f} | {grown / count:.0f} |"
    )


def free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers.dbos_workflows", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--together", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    with TemporaryDirectory(prefix="holdfast-dbos-") as folder, ExitStack() as ends:
        pids, measured_folder = [os.getpid()], Path(folder)
        url = f"sqlite:///{folder}/dbos.sqlite"
        if given.database == "postgresql":
            url, pid = ends.enter_context(postgres(free_port()))
            url += "/dbos"
            pids.append(pid)
            measured_folder = Path(f"/proc/{pid}/cwd").resolve()
        config: DBOSConfig = {"name": "bench", "system_database_url": url, "log_level": "ERROR"}
        DBOS(config=config)
        logging.getLogger("dbos").setLevel(logging.ERROR)
        DBOS.launch()
        try:
            print("| work | database | CPU us | per s | p50 ms | p99 ms | disk B |")
            print("|---|---|---:|---:|---:|---:|---:|")
            for work in ("trivial", "tenSteps"):
                row = asyncio.run(measure(work, given.together, given.seconds, pids, measured_folder))
                print(f"| {work} c={given.together} | {given.database} | {row}", flush=True)
        finally:
            DBOS.destroy()


if __name__ == "__main__":
    main()
