"""Many suspended invocations that are due at the same instant: how fast they all wake and finish.

Sends `--count` sleeps that end together, waits until all are suspended, and from the instant they are due
counts until every one has completed. The counting is a query a second on both servers, so times are good to
a second. CPU is the server's over that time, per invocation.

    python -m bench.waking [--count 100000] [--service Ts] [--servers restate,holdfast]
"""

import argparse
import time
from collections.abc import Iterator

from tests.harness import Server
from tests.harness.processes import wait_until

from .cpu import cpu_us, rss_bytes
from .load import Driver
from .rows import SDKS
from .world import SERVERS, running

SENDERS = 64
SENDS_PER_S_MIN = 500
"""Slower than either server takes them in: the instant is far enough away for all to be suspended by then."""

SLACK_S = 20.0
DONE_DEADLINE_S = 900.0
POLL_S = 1.0


def sends(port: int, path: str, due: float) -> Iterator[bytes]:
    """Requests without end, each to sleep until `due` (monotonic seconds)."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n".encode()
    while True:
        body = str(max(0, int((due - time.monotonic()) * 1000))).encode()
        yield head + b"content-length: %d\r\n\r\n" % len(body) + body


def park(port: int, path: str, due: float, count: int) -> int:
    """Send `count` sleeps (a few more may be under way at the end); how many were accepted."""
    driver = Driver(port, sends(port, path, due), SENDERS)
    sent = driver.drive(due - time.monotonic(), count)
    late = driver.drain()
    if sent.errors or late.errors:
        raise SystemExit(f"{sent.errors + late.errors} sends were refused")
    return len(sent.latencies_ns) + len(late.latencies_ns)


def left(server: Server, service: str) -> int:
    """Invocations of the service that have not completed."""
    with server.admin() as admin:
        rows = admin.query(
            "SELECT COUNT(1) AS n FROM sys_invocation_status WHERE status <> 'completed' "
            f"AND target_service_name = '{service}'"
        )
    return int(str(rows[0]["n"]))


def wake(server: Server, service: str, count: int) -> str:
    """One row of the table."""
    due = time.monotonic() + count / SENDS_PER_S_MIN + SLACK_S
    sent = park(server.ingress_port, f"/{service}/sleep/send", due, count)
    if left(server, service) < sent:
        raise SystemExit("some woke before all were sent: the machine is too slow for this instant")
    resting_mb = rss_bytes(server.pid) / 1e6
    time.sleep(max(0.0, due - time.monotonic()))
    cpu_before, started = cpu_us(server.pid), time.monotonic()
    wait_until(lambda: left(server, service) == 0, "all awake", DONE_DEADLINE_S, POLL_S)
    took = time.monotonic() - started
    spent = (cpu_us(server.pid) - cpu_before) / sent
    peak_mb = rss_bytes(server.pid) / 1e6
    return (
        f"| {server.name} | {sent} | {took:.0f} | {sent / took:.0f} | {spent:.0f} "
        f"| {resting_mb:.0f} | {peak_mb:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.waking", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--service", choices=SDKS, default="Ts")
    parser.add_argument("--servers", default=",".join(SERVERS), help="comma separated")
    given = parser.parse_args()
    rows: list[str] = []
    for name in given.servers.split(","):
        with running([name], [given.service]) as world:
            rows.append(wake(world.servers[name], f"{given.service}BenchIdle", given.count))
            print(rows[-1], flush=True)
    print("\n| server | waking | s to the last | per s | CPU us/inv | RSS MB asleep | RSS MB after |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
