"""What watching costs: trivial calls at c=64 with and without a reader of `/events`, in interleaved rounds.

The reader takes every event and looks at none, in a process of its own. Printed are, per way and over the
rounds, the median rate and the server's CPU per invocation, and their ratios.

    python -m bench.watching [--rounds 5] [--seconds 2] [--service Lean]
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from tests.harness import Server

from .load import ROOT, Measured, run
from .world import SERVICES, running

CONNECTIONS = 64
LISTENING_S = 0.5

_READER = """
import socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
connection.sendall(b"GET /events HTTP/1.1\\r\\nhost: 127.0.0.1\\r\\n\\r\\n")
while connection.recv(1 << 20):
    pass
"""


@contextmanager
def watched(server: Server) -> Iterator[None]:
    """A reader for as long as the block lasts."""
    reader = subprocess.Popen([sys.executable, "-c", _READER, str(server.admin_port)], cwd=ROOT)
    try:
        time.sleep(LISTENING_S)
        yield
    finally:
        reader.kill()
        reader.wait()


def per_invocation_us(measured: Measured) -> float:
    return measured.cpu_us[0] / max(measured.completed, 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.watching", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--service", choices=SERVICES, default="Lean")
    given = parser.parse_args()
    alone: list[Measured] = []
    with_reader: list[Measured] = []
    with running(["holdfast"], [given.service]) as world:
        server = world.servers["holdfast"]

        def measure() -> Measured:
            return run(
                server.ingress_port,
                f"/{given.service}Bench/trivial",
                CONNECTIONS,
                given.seconds,
                [server.pid],
            )

        for number in range(given.rounds):
            for way in (0, 1) if number % 2 == 0 else (1, 0):
                if way == 0:
                    alone.append(measure())
                else:
                    with watched(server):
                        with_reader.append(measure())
            print(
                f"round {number + 1}/{given.rounds}  alone {per_invocation_us(alone[-1]):.0f} us  "
                f"watched {per_invocation_us(with_reader[-1]):.0f} us",
                flush=True,
            )
    rates = [median(m.completed / m.seconds for m in way) for way in (alone, with_reader)]
    costs = [median(map(per_invocation_us, way)) for way in (alone, with_reader)]
    print(f"rate  alone {rates[0]:.0f}/s  watched {rates[1]:.0f}/s  ratio {rates[1] / rates[0]:.3f}")
    print(f"CPU   alone {costs[0]:.0f} us  watched {costs[1]:.0f} us  ratio {costs[1] / costs[0]:.3f}")


if __name__ == "__main__":
    main()
