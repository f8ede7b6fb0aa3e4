"""What it costs to go on with a long journal.

An invocation takes n steps and then waits; it suspends; when it is woken, the whole journal is replayed to
the service. Twice the journal may cost twice the time, never four times. (The endpoint's HTTP/2 server
closes a connection that brings it some 2,400 tiny DATA frames at once, so a server that sends each journal
entry in a frame of its own stops at about 1,000 steps here.)

    python -m bench.long_journal [--steps 125,250,500,1000] [--server holdfast]
"""

import argparse
import base64
import statistics
import time

from tests.harness import Server
from tests.harness.clients import Admin, Ingress

from .cpu import cpu_us
from .world import SERVERS, running

SAMPLES = 5
SUSPEND_DEADLINE_S = 120.0
FIRST_AWAKEABLE = 17
ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def awakeable_id(invocation_id: str) -> str:
    """The id of the first awakeable of an invocation (protocol, sections 7.7 and 7.8)."""

    def number(digits: str) -> int:
        total = 0
        for digit in digits:
            total = total * len(ALPHABET) + ALPHABET.index(digit)
        return total

    digits = invocation_id.removeprefix("inv_1")
    raw = number(digits[:11]).to_bytes(8, "little") + number(digits[11:]).to_bytes(16, "little")
    raw += FIRST_AWAKEABLE.to_bytes(4, "big")
    return "sign_1" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def replay_once(server: Server, ingress: Ingress, admin: Admin, steps: int) -> tuple[float, float, int]:
    """Milliseconds of the first run, milliseconds of the replay, server CPU of the replay in us."""
    started = time.monotonic()
    invocation = ingress.send("/LeanLong/stepsThenWait", steps)
    admin.wait_status(invocation, "suspended", deadline_s=SUSPEND_DEADLINE_S)
    ran_ms = (time.monotonic() - started) * 1000
    cpu_before, started = cpu_us(server.pid), time.monotonic()
    ingress.post(f"/restate/awakeables/{awakeable_id(invocation)}/resolve", 1)
    answer = ingress.attach(invocation)
    assert answer.status_code == 200, answer.text
    return ran_ms, (time.monotonic() - started) * 1000, cpu_us(server.pid) - cpu_before


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.long_journal", description=__doc__)
    parser.add_argument("--steps", default="125,250,500,1000")
    parser.add_argument("--server", choices=list(SERVERS), default="holdfast")
    given = parser.parse_args()
    sizes = [int(size) for size in given.steps.split(",")]
    with running([given.server], ["Lean"]) as world:
        server = world.servers[given.server]
        with server.ingress() as ingress, server.admin() as admin:
            replay_once(server, ingress, admin, sizes[0])
            print("| steps | first run ms | replay ms | replay us/step | server CPU us/step |")
            print("|---:|---:|---:|---:|---:|")
            per_step = []
            for size in sizes:
                samples = [replay_once(server, ingress, admin, size) for _ in range(SAMPLES)]
                ran_ms, replay_ms, cpu = (statistics.median(column) for column in zip(*samples, strict=True))
                per_step.append(replay_ms / size)
                print(
                    f"| {size} | {ran_ms:.0f} | {replay_ms:.1f} | {replay_ms * 1000 / size:.1f} "
                    f"| {cpu / size:.1f} |",
                    flush=True,
                )
    growth = per_step[-1] / per_step[0]
    shape = "linear" if growth < 2 else "WORSE THAN LINEAR"
    print(f"\nreplay per step, {sizes[-1]} against {sizes[0]} steps: x{growth:.2f} ({shape})")


if __name__ == "__main__":
    main()
