"""A disk that is full, a disk that fails, files that are damaged, newer or taken.

While nothing can be stored new work is refused with 503 and accepted work waits; once the disk is well again
everything goes on by itself. What cannot be served at all ends the command with a documented exit code and a
message that names the file or the address.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import resource
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest
from harness import Admin, HoldfastServer, Ingress, wait_until

from .lying_service import STEPS, LyingService, Talk
from .world import DOCUMENTED, ERROR_DOCS

pytestmark = pytest.mark.e2e

DISK_BYTES = 24 * 1024 * 1024
BODY = b"x" * 200_000
SENDS_MAX = 400
EXIT_DEADLINE_S = 20.0
MEETS_TROUBLE_S = 1.5
PAGE_BYTES = 4096
FILES = ("partition-0.sqlite", "meta.sqlite")
PORT_TAKEN, DATA_DIR_IN_USE, STORAGE = 4, 5, 6


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """A file system of `DISK_BYTES`; skips where mounting is not allowed."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "holdfast-test", str(path)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"SKIPPING THE FULL DISK: cannot mount a tmpfs ({mounted.stderr.strip()}); run as root")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(ballast: Path) -> None:
    """Take what is left of the disk."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(PAGE_BYTES))


@contextlib.contextmanager
def running(server: HoldfastServer) -> Iterator[tuple[Ingress, Admin]]:
    try:
        server.start()
        with server.ingress() as ingress, server.admin() as admin:
            yield ingress, admin
    finally:
        server.stop()


class Gate:
    """A deployment whose handlers wait in the middle until they are let through."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.service = LyingService("Gate", ["serve"], {"retryPolicyInitialInterval": 20})
        self.service.behaviours["serve"] = self._work

    def wait_for_first_steps(self, admin: Admin, count: int) -> None:
        """Return once the results of so many first steps are journaled, not only proposed."""
        journaled = "SELECT id FROM sys_journal WHERE entry_type = 'Notification: Run'"
        wait_until(lambda: len(admin.query(journaled)) >= count, "the first steps")

    async def _work(self, talk: Talk) -> None:
        await talk.listen()
        await talk.step(1, STEPS[0])
        while not self.open.is_set():
            await talk.pause(0.02)
        await talk.step(2, STEPS[1])
        talk.finish(list(STEPS))


def check_waits_and_goes_on(
    ingress: Ingress,
    admin: Admin,
    server: HoldfastServer,
    gate: Gate,
    break_disk: Callable[[], None],
    heal_disk: Callable[[], None],
    code: str,
) -> None:
    """Accepted work waits out the trouble, new work is refused, and nobody has to restart anything."""
    pid = server.pid
    accepted = [ingress.send("/Gate/serve") for _ in range(5)]
    gate.wait_for_first_steps(admin, len(accepted))
    break_disk()
    with ThreadPoolExecutor(1) as pool:
        # The request that meets the bad disk is kept, and answered when it is well again.
        met = None
        while met is None:
            sent = pool.submit(ingress.post, "/Gate/serve/send", BODY)
            try:
                accepted.append(sent.result(MEETS_TROUBLE_S).json()["invocationId"])
            except TimeoutError:
                met = sent
            assert len(accepted) < SENDS_MAX, "the disk never failed"
        check_degraded(ingress, admin, server, accepted[0], code)
        gate.open.set()
        time.sleep(0.3)  # handlers propose results that cannot be stored
        heal_disk()
        accepted.append(met.result(EXIT_DEADLINE_S).json()["invocationId"])
    for invocation in accepted:
        answer = ingress.attach(invocation)
        assert (answer.status_code, answer.json()) == (200, list(STEPS))
        assert [gate.service.ran[invocation, label] for label in STEPS] == [1, 1]
    assert ingress.call("/Gate/serve") == list(STEPS)
    assert server.pid == pid
    assert server.process.alive


def check_degraded(ingress: Ingress, admin: Admin, server: HoldfastServer, accepted: str, code: str) -> None:
    """New work is refused at once, and what only reads goes on."""
    refused = ingress.post("/Gate/serve/send", BODY)
    assert refused.status_code == 503, refused.text
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["source"] == "ingress"
    assert code in server.process.log_tail()
    assert code in DOCUMENTED
    assert admin.status(accepted) == "running"
    assert ingress.get("/restate/health").status_code == 200


def test_a_full_disk_makes_everybody_wait_and_nobody_lose(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        ballast = disk / "ballast"
        server = HoldfastServer(disk / "server")
        server.process.log_path = tmp_path / "server.log"
        gate = Gate()
        with running(server) as (ingress, admin), gate.service:
            admin.register(gate.service.uri)
            check_waits_and_goes_on(
                ingress, admin, server, gate, lambda: fill(ballast), ballast.unlink, "HF0013"
            )


def test_a_server_killed_on_a_full_disk_starts_on_it_and_waits(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        server = HoldfastServer(disk / "server")
        server.process.log_path = tmp_path / "server.log"
        gate = Gate()
        ballast = disk / "ballast"
        with gate.service, running(server) as (ingress, admin):
            admin.register(gate.service.uri)
            accepted = [ingress.send("/Gate/serve") for _ in range(5)]
            gate.wait_for_first_steps(admin, len(accepted))
            fill(ballast)
            refused = admin.http.post("/deployments", json={"uri": gate.service.uri, "force": True})
            assert refused.status_code == 503
            assert refused.json()["restate_code"] == "HF0013"
            server.kill9()
            gate.open.set()
            server.start()
            wait_until(lambda: ingress.post("/Gate/serve/send").status_code == 503, "new work to be refused")
            ballast.unlink()
            for invocation in accepted:
                assert ingress.attach(invocation).json() == list(STEPS)
                assert gate.service.ran[invocation, STEPS[0]] == 1
            wait_until(lambda: ingress.post("/Gate/serve").status_code == 200, "new work to be accepted")
            admin.register(gate.service.uri)


def test_a_failing_disk_makes_everybody_wait_and_nobody_lose(tmp_path: Path) -> None:
    """Method: a limit on file sizes, set from outside on the running process, fails writes past it."""
    server = HoldfastServer(tmp_path / "server")
    gate = Gate()
    no_limit = resource.RLIM_INFINITY

    def limit() -> None:
        largest = max(file.stat().st_size for file in server.data_dir.iterdir())
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (largest, no_limit))

    def lift() -> None:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (no_limit, no_limit))

    with running(server) as (ingress, admin), gate.service:
        admin.register(gate.service.uri)
        check_waits_and_goes_on(ingress, admin, server, gate, limit, lift, "HF0014")


# ---------------------------------------------------------------- what cannot be served


def end_of(server: HoldfastServer) -> tuple[int, str]:
    """Exit code and complaint of a server that must end by itself; there may be logs around it."""
    done = subprocess.run(
        server.process.command, capture_output=True, text=True, check=False, timeout=EXIT_DEADLINE_S
    )
    complaints = [line for line in done.stderr.splitlines() if line.startswith("holdfast: ")]
    assert len(complaints) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.returncode, complaints[0]


def check_refuses(server: HoldfastServer, exit_code: int, *said: str) -> None:
    """It ends with a documented exit code and a message that holds every one of `said`."""
    code, complaint = end_of(server)
    assert code == exit_code, complaint
    assert re.search(rf"^\| {code} \|", ERROR_DOCS, re.MULTILINE), f"exit code {code} is not documented"
    for part in said:
        assert part in complaint
    coded = re.match(r"holdfast: \[(\w+)\]", complaint)
    assert coded is None or coded[1] in DOCUMENTED


@pytest.fixture(scope="module")
def used_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with completed work, in files of many pages and without logs."""
    server = HoldfastServer(tmp_path_factory.mktemp("used"))
    with running(server) as (ingress, admin), LyingService("Past", ["serve"]) as past:
        admin.register(past.uri)
        for _ in range(20):
            ingress.post("/Past/serve/send", BODY[:20_000])
        unfinished = "SELECT id FROM sys_invocation WHERE status != 'completed'"
        wait_until(lambda: admin.query(unfinished) == [], "everything to be completed")
    for name in FILES:
        fold(server.data_dir / name)
    return server.data_dir


@pytest.fixture
def used(used_dir: Path, tmp_path: Path) -> HoldfastServer:
    """A server on a copy of it, not started."""
    server = HoldfastServer(tmp_path / "server")
    shutil.copytree(used_dir, server.data_dir)
    return server


def fold(file: Path) -> None:
    """Move everything from the write-ahead log into the file: what is in the log would mend the damage."""
    connection = apsw.Connection(str(file))
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # else there is no log to it yet
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()


def overwrite(file: Path, at: int, length: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(b"\xa5" * length)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "its header": lambda file: overwrite(file, 0, 100),
    "all other pages": lambda file: overwrite(file, PAGE_BYTES, file.stat().st_size - PAGE_BYTES),
    "its second half": lambda file: os.truncate(file, file.stat().st_size // 2),
}


def test_a_damaged_file_is_named_and_not_served(used: HoldfastServer) -> None:
    for name, (what, damage) in itertools.product(FILES, DAMAGES.items()):
        file = used.data_dir / name
        whole = file.read_bytes()
        damage(file)
        print(f"damaged {what} of {name}")
        check_refuses(used, STORAGE, "HF0010", str(file), "backup")
        file.write_bytes(whole)
    with running(used) as (_, admin):
        assert len(admin.query("SELECT id FROM sys_invocation")) == 20


def test_a_file_of_a_newer_version_is_left_alone(used: HoldfastServer) -> None:
    for name in FILES:
        file = used.data_dir / name
        version = set_version(file, 1000)
        check_refuses(used, STORAGE, "HF0011", str(file), "1000", "newer")
        assert set_version(file, version) == 1000
    with running(used) as (_, admin):
        assert len(admin.query("SELECT id FROM sys_invocation")) == 20


def set_version(file: Path, version: int) -> int:
    """Give the file a schema version; the one it had."""
    connection = apsw.Connection(str(file))
    before = connection.pragma("user_version")
    connection.pragma("user_version", version)
    connection.close()
    assert isinstance(before, int)
    return before


def test_another_number_of_partitions_is_refused(used: HoldfastServer) -> None:
    other = HoldfastServer(used.data_dir.parent, partitions=4)
    check_refuses(other, STORAGE, "HF0017", str(used.data_dir / "meta.sqlite"), "4")


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "data").write_text("a file where the directory should be")
    check_refuses(HoldfastServer(tmp_path / "server"), STORAGE, str(tmp_path / "server" / "data"))


def test_damage_that_shows_only_while_serving_ends_the_server(tmp_path: Path) -> None:
    """Goal: never go on from half a record. Method: damage the pages of a journal that has to be replayed."""
    server = HoldfastServer(tmp_path / "server")
    gate = Gate()
    with gate.service:
        with running(server) as (ingress, admin):
            admin.register(gate.service.uri)
            waiting = [ingress.send("/Gate/serve", "y" * 50_000) for _ in range(20)]
            gate.wait_for_first_steps(admin, len(waiting))
            server.kill9()
        file = server.data_dir / "partition-0.sqlite"
        fold(file)
        connection = apsw.Connection(str(file))
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'journal'").fetchone()
        connection.close()
        whole = file.read_bytes()
        overwrite(file, (root - 1) * PAGE_BYTES, PAGE_BYTES)
        check_refuses(server, STORAGE, "HF0010", str(file), "backup")
        file.write_bytes(whole)
        gate.open.set()
        with running(server) as (ingress, _):
            for invocation in waiting:
                assert ingress.attach(invocation).json() == list(STEPS)
                assert gate.service.ran[invocation, STEPS[0]] == 1


@pytest.mark.parametrize("which", ["ingress", "admin"])
def test_a_port_that_is_taken_is_named(which: str, tmp_path: Path) -> None:
    server = HoldfastServer(tmp_path / "server")
    port = server.ingress_port if which == "ingress" else server.admin_port
    with socket.create_server(("127.0.0.1", port)):
        check_refuses(server, PORT_TAKEN, "127.0.0.1", str(port))


def test_a_second_server_on_the_directory_is_refused_and_the_first_serves_on(tmp_path: Path) -> None:
    first = HoldfastServer(tmp_path / "server")
    with running(first) as (ingress, admin), LyingService("First", ["serve"]) as service:
        admin.register(service.uri)
        check_refuses(
            HoldfastServer(tmp_path / "server"), DATA_DIR_IN_USE, str(first.data_dir), str(first.pid)
        )
        assert ingress.call("/First/serve") == list(STEPS)
