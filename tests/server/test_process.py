"""The server as a process: exit codes, refusals, and a clean end on SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from harness.processes import free_port
from harness.servers import HoldfastServer

pytestmark = pytest.mark.e2e
DEADLINE_S = 60
HOLDFAST = str(Path(sys.executable).with_name("holdfast"))


def holdfast(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        [HOLDFAST, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def serve(data_dir: Path, *more: str) -> subprocess.CompletedProcess[str]:
    ports = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    return holdfast(
        "server", "--data-dir", str(data_dir), "--ingress-bind", ports[0], "--admin-bind", ports[1], *more
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastServer]:
    running = HoldfastServer(tmp_path_factory.mktemp("server"), partitions=2)
    running.start()
    yield running
    running.stop()


def test_a_second_server_on_the_same_data_is_refused(server: HoldfastServer) -> None:
    refused = serve(server.data_dir)
    assert refused.returncode == 5
    assert str(server.pid) in refused.stderr


@pytest.mark.parametrize("which", ["ingress", "admin"])
def test_a_taken_port_is_refused(server: HoldfastServer, tmp_path: Path, which: str) -> None:
    taken = server.ingress_port if which == "ingress" else server.admin_port
    refused = serve(tmp_path / "data", f"--{which}-bind", f"127.0.0.1:{taken}")
    assert refused.returncode == 4
    assert str(taken) in refused.stderr


def test_a_backup_is_made_while_the_server_runs(server: HoldfastServer, tmp_path: Path) -> None:
    done = holdfast("backup", "--data-dir", str(server.data_dir), "--to", str(tmp_path / "copy"))
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "copy").iterdir())
    assert names == ["meta.sqlite", "partition-0.sqlite", "partition-1.sqlite"]
    again = holdfast("backup", "--data-dir", str(server.data_dir), "--to", str(tmp_path / "copy"))
    assert again.returncode == 6


@pytest.mark.parametrize("name", ["meta.sqlite", "partition-0.sqlite"])
@pytest.mark.parametrize("how", ["damaged", "newer"])
def test_files_that_cannot_be_used_are_refused(tmp_path: Path, name: str, how: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    if how == "damaged":
        (data / name).write_bytes(b"this is no database\n" * 500)
    else:
        connection = apsw.Connection(str(data / name))
        connection.execute("CREATE TABLE later (x); PRAGMA user_version = 999")
        connection.close()
    refused = serve(data)
    assert refused.returncode == 6, refused.stderr
    assert name in refused.stderr
    assert "Traceback" not in refused.stderr


def test_bad_options_are_refused() -> None:
    refused = holdfast("server", "--partitions", "many")
    assert (refused.returncode, "--partitions" in refused.stderr) == (3, True)
    assert holdfast("server", HOLDFAST_LOG_LEVEL="loud").returncode == 3
    assert holdfast("server", "--nonsense").returncode == 2


def test_the_number_of_partitions_is_fixed_with_the_data(server: HoldfastServer, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    assert holdfast("backup", "--data-dir", str(server.data_dir), "--to", str(copy)).returncode == 0
    refused = serve(copy, "--partitions", "3")
    assert refused.returncode == 6
    assert "partitions" in refused.stderr


def test_the_printed_configuration_is_the_effective_one(tmp_path: Path) -> None:
    file = tmp_path / "holdfast.toml"
    first = holdfast("server", "--print-config", "--partitions", "5", HOLDFAST_SHUTDOWN_GRACE="7s")
    file.write_text(first.stdout)
    second = holdfast("server", "--print-config", "--config", str(file))
    assert second.stdout == first.stdout
    assert "partitions = 5" in first.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_the_data_can_be_used_again(
    tmp_path: Path, number: signal.Signals
) -> None:
    running = HoldfastServer(tmp_path)
    running.start()
    child = running.process._child
    assert child is not None
    with socket.create_connection(("127.0.0.1", running.ingress_port)):  # an idle client is no obstacle
        os.kill(child.pid, number)
        assert child.wait(DEADLINE_S) == 0
    assert "Traceback" not in running.process.log_tail()
    assert not list(running.data_dir.glob("*-wal")), "closed files have no log beside them"
    running.process.stop()
    running.start()
    running.stop()
