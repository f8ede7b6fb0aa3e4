"""How long a server is away after kill -9 with many suspended invocations.

Parks `--count` invocations in a sleep of an hour, kills the server, starts it again and asks a trivial
handler until it answers. What is parked costs disk, so the answer should not depend on the count: the goal
is under two seconds for 100,000.

    python -m bench.restart [--count 100000] [--server holdfast]
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.harness import Server
from tests.harness.processes import wait_until

from .cpu import rss_bytes
from .world import SERVERS, running

GOAL_S = 2.0
SENDERS = 32
PARK_DEADLINE_S = 1800.0
ANSWER_DEADLINE_S = 120.0
POLL_S = 0.005


def park(server: Server, count: int) -> None:
    """Send `count` invocations and return once all of them are suspended."""

    def send(share: int) -> None:
        with server.ingress() as ingress:
            for _ in range(share):
                ingress.send("/LeanPark/park")

    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(send, [count // SENDERS + (n < count % SENDERS) for n in range(SENDERS)]))
    suspended = "SELECT COUNT(1) AS n FROM sys_invocation_status WHERE status = 'suspended'"
    with server.admin() as admin:
        wait_until(
            lambda: admin.query(suspended) == [{"n": count}], f"{count} suspended", PARK_DEADLINE_S, 1.0
        )


def first_answer_s(server: Server) -> float:
    """Seconds from the start of the process to the first completed invocation."""
    started = time.monotonic()
    server.process.start()

    def answered() -> bool:
        try:
            answer = httpx.post(f"{server.ingress_url}/LeanBench/trivial", json="x", trust_env=False)
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    wait_until(answered, "the first answer", ANSWER_DEADLINE_S, POLL_S)
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.restart", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--server", choices=list(SERVERS), default="holdfast")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with running([given.server], ["Lean"]) as world:
        server = world.servers[given.server]
        empty_mb = rss_bytes(server.pid) / 1e6
        began = time.monotonic()
        park(server, given.count)
        parked_mb = rss_bytes(server.pid) / 1e6
        print(
            f"{given.count} invocations parked in {time.monotonic() - began:.1f} s; RSS {empty_mb:.0f} MB "
            f"before, {parked_mb:.0f} MB after ({(parked_mb - empty_mb) * 1000 / given.count:.2f} KB each)"
        )
        for number in range(given.rounds):
            server.kill9()
            away_s = first_answer_s(server)
            verdict = "within" if away_s < GOAL_S else "OVER"
            print(
                f"restart {number + 1}: first answer after {away_s:.2f} s "
                f"({verdict} the goal of {GOAL_S:.0f} s); RSS {rss_bytes(server.pid) / 1e6:.0f} MB"
            )


if __name__ == "__main__":
    main()
