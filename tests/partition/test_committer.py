"""Where commits run: on the loop while the disk is quick, in the thread while it is not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from partition.support import run, until

from holdfast.partition import committer as committer_module
from holdfast.partition.committer import INLINE_COMMIT_S_MAX, THREADED_COMMITS, Committer
from holdfast.storage.database import StorageError


class Disk:
    """Takes `seconds` for a commit, by a clock that only moves for that, and notes who waited for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        self.checkpoint_due = False
        self.threads: list[threading.Thread] = []
        self._now = 0.0
        monkeypatch.setattr(committer_module, "perf_counter", lambda: self._now)

    def commit(self) -> None:
        self.threads.append(threading.current_thread())
        self._now += self.seconds

    @property
    def inline(self) -> list[bool]:
        return [thread is threading.main_thread() for thread in self.threads]


async def _commits(committer: Committer, job: Callable[[], None], count: int) -> list[StorageError | None]:
    done: list[StorageError | None] = []
    for number in range(1, count + 1):
        committer.submit(job, done.append)
        await until(lambda number=number: len(done) == number)
    return done


def test_a_quick_disk_is_waited_for_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        disk = Disk(monkeypatch)
        committer = Committer(asyncio.get_running_loop(), "commit", lambda: disk.checkpoint_due)
        disk.seconds = INLINE_COMMIT_S_MAX / 2
        await _commits(committer, disk.commit, 50)
        assert all(disk.inline)
        committer.close()

    run(story())


def test_a_slow_disk_is_left_to_the_thread_and_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        disk = Disk(monkeypatch)
        committer = Committer(asyncio.get_running_loop(), "commit", lambda: disk.checkpoint_due)
        disk.seconds = INLINE_COMMIT_S_MAX * 10
        await _commits(committer, disk.commit, 4 + THREADED_COMMITS + 1 + THREADED_COMMITS)
        threaded = [False] * THREADED_COMMITS
        assert disk.inline == [True, True, True, True, *threaded, True, *threaded]
        disk.seconds = 0.0
        await _commits(committer, disk.commit, 3)
        assert disk.inline[-3:] == [True, True, True]
        committer.close()

    run(story())


def test_a_single_stall_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        disk = Disk(monkeypatch)
        committer = Committer(asyncio.get_running_loop(), "commit", lambda: disk.checkpoint_due)
        for seconds in (0.0, INLINE_COMMIT_S_MAX * 1000, 0.0):
            disk.seconds = seconds
            await _commits(committer, disk.commit, 3 if seconds == 0.0 else 1)
        assert all(disk.inline)
        committer.close()

    run(story())


def test_a_commit_with_a_checkpoint_never_holds_up_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        disk = Disk(monkeypatch)
        committer = Committer(asyncio.get_running_loop(), "commit", lambda: disk.checkpoint_due)
        disk.checkpoint_due = True
        await _commits(committer, disk.commit, 1)
        disk.checkpoint_due = False
        await _commits(committer, disk.commit, 1)
        assert disk.inline == [False, True]
        committer.close()

    run(story())


@pytest.mark.parametrize("slow", [False, True])
def test_a_failed_commit_is_reported_wherever_it_ran(slow: bool) -> None:
    async def story() -> None:
        def fail() -> None:
            raise StorageError("HF0013", "the disk is full")

        committer = Committer(asyncio.get_running_loop(), "commit", lambda: slow)
        (error,) = await _commits(committer, fail, 1)
        assert error is not None
        assert error.code == "HF0013"
        committer.close()

    run(story())
