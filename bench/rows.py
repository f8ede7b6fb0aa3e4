"""What is measured: each kind of work, on which services, with how many connections."""

from collections.abc import Iterator
from dataclasses import dataclass

ALL = ("Ts", "Py", "Hf", "Lean")
SDKS = ("Ts", "Py", "Hf")
MIB = 1 << 20


@dataclass(frozen=True)
class Work:
    """One kind of work.

    Attributes:
        path: after the service's prefix; `{n}` is a number that differs between requests.
        levels: numbers of connections to measure with.
        pad_bytes: send a string of this length instead of `body`.
    """

    name: str
    path: str
    levels: tuple[int, ...] = (64,)
    services: tuple[str, ...] = SDKS
    body: str = '"bob"'
    pad_bytes: int = 0


TRIVIAL = Work("trivial", "Bench/trivial", (1, 64, 256), ALL)
TEN_STEPS = Work("tenSteps", "Bench/tenSteps", (1, 64), ALL)
WORK = (
    TRIVIAL,
    TEN_STEPS,
    Work("hotCounter", "BenchCounter/hot/add", body="1"),
    Work("manyCounters", "BenchCounter/{n}/add", body="1"),
    Work("chainOf5", "Bench/chain", (16,), body="5"),
    Work("fanOutOf50", "Bench/fanOut", (8,), body="50"),
    Work("sleepAndResume", "BenchIdle/sleep", body="1"),
    Work("awakeable", "BenchIdle/awakeable"),
    Work("echo1MiB", "Bench/echo", (8,), pad_bytes=MIB),
)


@dataclass(frozen=True)
class Row:
    """One thing to measure."""

    service: str
    work: Work
    connections: int

    @property
    def label(self) -> str:
        return f"{self.service} {self.work.name} c={self.connections}"

    @property
    def path(self) -> str:
        return f"/{self.service}{self.work.path}"


def all_rows() -> Iterator[Row]:
    """Every row, service by service."""
    for service in ALL:
        for work in WORK:
            if service in work.services:
                yield from (Row(service, work, level) for level in work.levels)
