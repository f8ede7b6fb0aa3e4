"""A PostgreSQL server of our own, as its packages configure it, for as long as a measurement takes."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from tempfile import TemporaryDirectory

INIT_DEADLINE_S = 60
STOP_DEADLINE_S = 30
USER = "postgres"


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`; None when PostgreSQL is not installed."""
    on_path = shutil.which("initdb")
    found = [str(Path(on_path).parent)] if on_path else sorted(glob("/usr/lib/postgresql/*/bin"))
    return Path(found[-1]) if found else None


@contextmanager
def postgres(port: int) -> Iterator[tuple[str, int]]:
    """Start one on a fresh data directory; gives its URL and the pid of its first process.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    folder = programs()
    if folder is None:
        raise FileNotFoundError("PostgreSQL is not installed: there is no initdb")
    with TemporaryDirectory(prefix="holdfast-postgres-") as work:
        data = Path(work) / "data"
        as_user: list[str] = []
        if os.geteuid() == 0:  # it refuses to run as root
            shutil.chown(work, USER)
            as_user = ["runuser", "-u", USER, "--"]

        def call(*command: str, deadline_s: int) -> None:
            subprocess.run([*as_user, *command], check=True, timeout=deadline_s, stdout=subprocess.DEVNULL)

        control = [str(folder / "pg_ctl"), "-D", str(data), "-w"]
        options = f"-p {port} -k {work} -h 127.0.0.1"
        call(str(folder / "initdb"), "-D", str(data), "-U", USER, "-A", "trust", deadline_s=INIT_DEADLINE_S)
        call(*control, "-l", f"{work}/log", "-o", options, "start", deadline_s=INIT_DEADLINE_S)
        try:
            pid = int((data / "postmaster.pid").read_text().split()[0])
            yield f"postgresql://{USER}@127.0.0.1:{port}", pid
        finally:
            call(*control, "-m", "fast", "stop", deadline_s=STOP_DEADLINE_S)
