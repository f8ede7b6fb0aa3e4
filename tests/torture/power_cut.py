"""A disk that keeps what was flushed and forgets the rest: ext4 in a file, mounted over a loop device.

What a process writes stays in the page cache of that file system until it is flushed; only then does it
reach the file behind the loop device. So a copy of that file, taken while the server stands still (SIGSTOP),
is the disk as a power cut leaves it: what fsync answered for is there, the rest is not. ext4's own commit
every five seconds is put off, so that nothing arrives by itself. A canary, written and never flushed, proves
each cut: its content must be gone (its name may have gone out with somebody else's flush). Not on a full
disk, where ext4 writes out whatever it has.

Needs root and loop devices; `why_not` says what is missing.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.harness import wait_until

from .world import World, signal_all

DISK_BYTES = 96 << 20
EXT4_COMMIT_S = 600
PAUSE_S = (0.3, 1.5)
FULL_S = (0.2, 0.8)
FULL_DISKS = 0.3
CANARY = b"alive"
BALLAST_PIECE = bytes(1 << 16)


def why_not() -> str | None:
    """Why power cannot be cut here; None when it can."""
    if os.geteuid() != 0:
        return "SKIPPING THE POWER CUTS: mounting a disk image needs root"
    missing = [tool for tool in ("mkfs.ext4", "mount", "umount", "cp") if shutil.which(tool) is None]
    if missing or not Path("/dev/loop-control").exists():
        return f"SKIPPING THE POWER CUTS: not here: {', '.join(missing) or 'loop devices'}"
    return None


class Disk:
    """An ext4 file system at `path`, until its power is cut; then what a restart finds, at the same path."""

    def __init__(self, work_dir: Path) -> None:
        self.path = work_dir / "disk"
        self.path.mkdir()
        self._work_dir = work_dir
        self._cuts = 0
        self._full = self._canary_written = False
        with self._image.open("wb") as file:
            file.truncate(DISK_BYTES)
        _run("mkfs.ext4", "-q", "-F", str(self._image))
        self._mount()

    @property
    def _image(self) -> Path:
        return self._work_dir / f"image-{self._cuts}"

    @property
    def _canary(self) -> Path:
        return self.path / f"canary-{self._cuts}"

    def write_canary(self) -> None:
        """What nobody flushes; nothing on a full disk."""
        self._canary_written = False
        if not self._full:
            self._canary.write_bytes(CANARY)
            self._canary_written = True

    def copy(self) -> Path:
        """The image as it is now, without the pages nobody flushed. Nothing may write meanwhile."""
        copy = self._work_dir / f"image-{self._cuts + 1}"
        _run("cp", "--sparse=always", str(self._image), str(copy))
        return copy

    def restart_from_copy(self) -> None:
        """Forget the disk and go on with its last copy. Nothing may have it open."""
        canary, proves = self._canary, self._canary_written
        _run("umount", str(self.path))
        self._image.unlink()
        self._cuts += 1
        self._mount()
        kept = canary.read_bytes() if canary.exists() else b""
        assert not (proves and kept), "the cut was none: what nobody flushed is still there"

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Nothing fits any more, for as long as it takes."""
        ballast = self.path / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(BALLAST_PIECE)
        self._full = True
        try:
            yield
        finally:
            self._full = False
            ballast.unlink(missing_ok=True)  # a cut may have forgotten it
            # Flushed, or the next cut would forget the removal and the disk would be full for good.
            folder = os.open(self.path, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=False)

    def _mount(self) -> None:
        _run("mount", "-o", f"loop,commit={EXT4_COMMIT_S}", str(self._image), str(self.path))


class PowerFaults:
    """Cuts the power of the server's disk and of the server; sometimes fills the disk first."""

    def __init__(self, world: World, chance: random.Random, disk: Disk) -> None:
        self.kills = 0
        self.stops = 0
        self._world = world
        self._chance = chance
        self._disk = disk

    def strike(self) -> None:
        """One cut, or one full disk."""
        time.sleep(self._chance.uniform(*PAUSE_S))
        if self._chance.random() < FULL_DISKS:
            with self._disk.full():
                time.sleep(self._chance.uniform(*FULL_S))
                if self._chance.random() < 0.5:
                    return
                self._cut()
            self._world.server.process.wait_healthy(self._world.server._healthy)
        else:
            self._cut()
            self._world.server.process.wait_healthy(self._world.server._healthy)

    def heal(self) -> None:
        """Everything is up."""

    def _cut(self) -> None:
        process, disk = self._world.server.process, self._disk
        disk.write_canary()
        signal_all(process, signal.SIGSTOP)
        wait_until(lambda: _stands_still(process.pid), "the server to stand still")
        disk.copy()
        process.kill9()
        disk.restart_from_copy()
        self.kills += 1
        process.start()


def _stands_still(pid: int) -> bool:
    """Whether every thread has stopped; one inside fsync stops when that is over."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)


def _run(*command: str) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {ran.stderr.strip()}")
