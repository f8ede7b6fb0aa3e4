"""CPU time and memory of a process and its children, from /proc.

The kernel counts in ticks of 10 ms, so a window of a few seconds is exact to well below one percent of a
busy process, and useless for an idle one.
"""

import os
from pathlib import Path

TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

# Fields of /proc/PID/stat counted after the command name, which may itself hold spaces.
UTIME, STIME = 11, 12


def family(pid: int) -> list[int]:
    """The process and everything it started that still runs."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found.extend(int(child) for child in task.read_text().split())
            except OSError:
                continue
    return found


def cpu_us(pid: int) -> int:
    """User plus system time of the family, microseconds; 0 when it is gone."""
    total = 0
    for member in family(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[UTIME]) + int(fields[STIME])
    return total * TICK_US


def rss_bytes(pid: int) -> int:
    """Resident memory of the family; pages shared inside it count once per process."""
    total = 0
    for member in family(pid):
        try:
            total += int(Path(f"/proc/{member}/statm").read_text().split()[1])
        except OSError:
            continue
    return total * PAGE_BYTES


def tree_bytes(folder: Path) -> int:
    """Disk space of everything below `folder`, as allocated."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except OSError:
            continue
    return total
