"""One server over simulated disks: started, crashed, started again, and watched at its seams.

The wiring is the server's own (`holdfast.server.node._open_partitions`); what is exchanged are the parts that
touch the world: the database connection, the thread that commits, randomness, the post between partitions.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import cast
from unittest.mock import patch

import apsw

from holdfast.core import lifecycle, operate
from holdfast.core.apply import apply
from holdfast.core.model import Invocation, Row
from holdfast.core.mutation import replace_state
from holdfast.core.outcome import Answer, Refused
from holdfast.core.records import Deliver, Delivered, Record
from holdfast.core.step import Step
from holdfast.core.tables import Mutation
from holdfast.invoker import runner as runner_module
from holdfast.invoker.runner import InvokerLimits, Runner
from holdfast.partition import loop as loop_module
from holdfast.partition import post as post_module
from holdfast.partition import sweeper as sweeper_module
from holdfast.partition.engine import LocalEngine
from holdfast.partition.loop import UNAVAILABLE, OnAnswer, PartitionLoop
from holdfast.partition.placement import Minter
from holdfast.server import node
from holdfast.server.config import Config, Millis
from holdfast.storage import blobs as blobs_module
from holdfast.storage import invocations as invocations_module
from holdfast.storage import partition_tables
from holdfast.storage import state as state_module
from holdfast.storage.state import State
from holdfast.timers import service as timer_module
from holdfast.timers.service import TimerService
from tests.simulation.disk import Committer, Disk, SimulatedDatabase
from tests.simulation.laws import Truth
from tests.simulation.services import Catalog, Services
from tests.simulation.virtual import Broken, Clock, ProcessLoop, World

CONFIG = Config(cleanup_interval=Millis(7_000))


_BOUNDS = (
    (loop_module, "RECORDS_PER_COMMIT_MAX"),
    (post_module, "MESSAGES_PER_BATCH_MAX"),
    (timer_module, "TIMERS_PER_BATCH_MAX"),
    (sweeper_module, "ROWS_PER_SLICE"),
    (state_module, "CACHED_STATE_BYTES_MAX"),
    (invocations_module, "ROWS_RESERVED"),
    (blobs_module, "INLINE_BYTES_MAX"),
    (blobs_module, "RECENT_BYTES_MAX"),
)
"""What is a large number in production and is worth being met."""


class LoudLog:
    """In place of the engine's logs: what it would only write down here fails the run, unless it is of a
    disk that was made to fail."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def _expected(self) -> bool:
        return any(disk.broke for disk in self._server.disks)

    def info(self, event: str, **values: object) -> None: ...
    def warning(self, event: str, **values: object) -> None: ...
    def error(self, event: str, **values: object) -> None: ...

    def exception(self, event: str, **values: object) -> None:
        bug = sys.exc_info()[1]
        if isinstance(bug, apsw.Error) and self._expected():
            self._server.disturbances += 1
            return
        if isinstance(bug, Broken):
            raise bug
        raise Broken(f"the engine logged an exception: {event} {values}")

    def critical(self, event: str, **values: object) -> None:
        if self._expected():
            return
        raise Broken(f"the engine stopped: {event} {values}")


class Server:
    """The server of a run. `engine` is None while it is down."""

    def __init__(
        self, world: World, clock: Clock, chance: Random, partitions: int, services: Services, truth: Truth
    ) -> None:
        self.world = world
        self.clock = clock
        self.chance = chance
        self.disks = [Disk(index, chance) for index in range(partitions)]
        self.services = services
        self.truth = truth
        self.engine: LocalEngine | None = None
        self.runner: Runner | None = None
        self.partitions: list[PartitionLoop] = []
        self.loop = ProcessLoop(world)
        self.post_trouble = 0.0
        self.post_lost = False
        self.crashes = 0
        self.disturbances = 0
        """Attempts that a failing disk kept from being opened, which count as failed."""
        self.attempts_max = chance.choice((1000, 1000, 3, 1))
        self.eager_bytes_max = chance.choice((1 << 20, 1 << 20, 3))
        self.asked = 0
        """Records somebody wants an answer to, of this process, that have none yet."""
        self.on_broken_disk: Callable[[], None] = self.crash
        truth.server = self

    # ------------------------------------------------------------ life

    def start(self) -> None:
        loop = self.loop = ProcessLoop(self.world)
        self.asked = 0
        for disk in self.disks:
            disk.broke = False
        catalog = self.services.catalog
        runner = WatchedRunner(self, catalog)
        timers = [TimerService(loop, self.clock) for _ in self.disks]  # type: ignore[arg-type]
        self.partitions = []
        files = cast(node.Files, _Files())
        asyncio_loop = cast(asyncio.AbstractEventLoop, loop)
        engine = node._open_partitions(
            AsyncExitStack(), CONFIG, files, asyncio_loop, self.clock, runner, timers, self._fatal
        )
        self.partitions = engine.partitions
        self.runner = runner
        self.engine = engine

    def give_up(self) -> None:
        """It did not even start."""
        self.loop.alive = False
        for disk in self.disks:
            disk.crash(lambda: None)

    def crash(self) -> None:
        """`kill -9`: no callback of this process runs any more."""
        self.loop.alive = False
        self.engine = None
        self.crashes += 1
        for partition, disk in zip(self.partitions, self.disks, strict=True):
            disk.crash(partition.tables.flush)
        self.services.server_died()
        self.truth.crashed()

    def _fatal(self, error: BaseException) -> None:
        if any(disk.broke for disk in self.disks):
            self.world.later(
                0.0, self.on_broken_disk
            )  # the process ends itself; its supervisor starts another
            return
        raise Broken(f"the partition stopped: {error!r}") from error

    # ------------------------------------------------------------ seams

    def settled(self, partition: int) -> None:
        """Something is about to leave: everything it rests on must be durable."""
        if self.disks[partition].batch:
            raise Broken(f"partition {partition} acted before its commit: {self.disks[partition].batch[-1]}")

    def database(self, path: Path, _: object) -> SimulatedDatabase:
        return SimulatedDatabase(self.disks[int(path.name)])

    def committer(self, loop: ProcessLoop, name: str, _: object) -> Committer:
        return Committer(loop, self.disks[int(name.rpartition("-")[2])], self.chance)

    def minter(self, partition: int, partitions: int, first_row: int) -> Minter:
        minter = Minter(partition, partitions, first_row)
        minter._random = self.chance.randbytes  # type: ignore[method-assign, assignment]
        return minter

    def apply(self, step: Step, record: Record) -> Answer | None:
        """Core's door, with a note of who went through."""
        self.disks[step.tables.partition].batch.append(record)
        return apply(step, record)

    def partition_loop(self, *arguments: object) -> PartitionLoop:
        return WatchedPartition(self, *arguments)

    @contextmanager
    def patched(self) -> Iterator[None]:
        """The engine's modules with our parts in place."""
        log = LoudLog(self)
        with ExitStack() as stack:
            for one in self._parts(log):
                stack.enter_context(one)
            if self.chance.random() < 0.5:
                for module, bound in _BOUNDS:
                    stack.enter_context(patch.object(module, bound, self.chance.choice((1, 2, 5))))
            yield

    def _parts(self, log: LoudLog) -> list[AbstractContextManager[object]]:
        return [
            patch.object(partition_tables, "Database", self.database),
            patch.object(loop_module, "Committer", self.committer),
            patch.object(loop_module, "apply", self.apply),
            patch.object(loop_module, "log", log),
            patch.object(runner_module, "log", log),
            patch.object(node, "Minter", self.minter),
            patch.object(node, "PartitionLoop", self.partition_loop),
            patch.object(lifecycle, "replace_state", self._replacing(replace_state)),
            patch.object(operate, "replace_state", self._replacing(replace_state)),
        ]

    def _replacing(
        self, replace: Callable[[State, str, Mutation], bool]
    ) -> Callable[[State, str, Mutation], bool]:
        def replaced(table: State, object_: str, mutation: Mutation) -> bool:
            database = cast(SimulatedDatabase, table._database)
            done = replace(table, object_, mutation)
            if done and isinstance(database, SimulatedDatabase):
                database._disk.notes.append(lambda: self.truth.replaced(object_, dict(mutation.state)))
            return done

        return replaced


class _Files:
    """Names for `Server.database`."""

    def partition_file(self, partition: int) -> Path:
        return Path(str(partition))


class WatchedRunner(Runner):
    """The real one; what partitions tell it must be durable."""

    def __init__(self, server: Server, catalog: Catalog) -> None:
        limits = InvokerLimits(
            attempts_max=server.attempts_max, closing_s=3.0, eager_state_bytes_max=server.eager_bytes_max
        )
        super().__init__(server.loop, server.clock, server.services.client(server.loop), catalog, limits)  # type: ignore[arg-type]
        self._random = Random(server.chance.random())
        self._server = server

    def start(
        self, partition: PartitionLoop, invocation: Invocation, attempt: int, input_raw: bytes | None
    ) -> None:
        self._server.settled(partition.index)
        super().start(partition, invocation, attempt, input_raw)

    def tell(
        self, partition: PartitionLoop, row: Row, attempt: int, index: int, type_: int, body: bytes
    ) -> None:
        self._server.settled(partition.index)
        super().tell(partition, row, attempt, index, type_, body)

    def acknowledge(self, partition: PartitionLoop, row: Row, attempt: int, completion_id: int) -> None:
        self._server.settled(partition.index)
        super().acknowledge(partition, row, attempt, completion_id)

    def abort(self, partition: PartitionLoop, row: Row, attempt: int) -> None:
        self._server.settled(partition.index)
        super().abort(partition, row, attempt)


class WatchedPartition(PartitionLoop):
    """The real one. Answers are checked, the post is troubled, who enters which lock is noted."""

    def __init__(self, server: Server, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._server = server
        self._watch_locks()

    def submit(self, record: Record, on_answer: OnAnswer | None = None) -> None:
        server = self._server
        if on_answer is not None:
            on_answer = self._checked(on_answer)
        if isinstance(record, Deliver | Delivered) and server.chance.random() < server.post_trouble:
            delay_s = server.chance.choice((0.001, 0.05, 2.0))
            trouble = server.chance.random()
            if trouble < 0.2 and isinstance(record, Deliver):
                server.post_lost = True  # the next message, or the next process, sends it again
                if on_answer is not None:
                    server.loop.call_later(delay_s, on_answer, UNAVAILABLE)
                return
            if trouble < 0.6:
                server.loop.call_later(delay_s, super().submit, record)  # twice
            else:
                server.loop.call_later(delay_s, super().submit, record, on_answer)  # late
                return
        super().submit(record, on_answer)

    def _checked(self, on_answer: OnAnswer) -> OnAnswer:
        server, loop, given = self._server, self._server.loop, False
        server.asked += 1

        def checked(answer: Answer | None) -> None:
            nonlocal given
            if given:
                raise Broken(f"answered twice, with {answer}")
            given = True
            if loop is server.loop:
                server.asked -= 1
            if not isinstance(answer, Refused):
                self._server.settled(self.index)
            on_answer(answer)

        return checked

    def _watch_locks(self) -> None:
        objects, truth, index = self.tables.objects, self._server.truth, self.index
        notes = self._server.disks[index]
        lock, enqueue, remove, unlock = objects.lock, objects.enqueue, objects.remove, objects.unlock

        def watched_lock(object_: str, row: Row) -> None:
            lock(object_, row)
            notes.notes.append(lambda: truth.locked(object_, index, row))

        def watched_enqueue(object_: str, waiting: Row | Mutation) -> int:
            sequence = enqueue(object_, waiting)
            if not isinstance(waiting, Mutation):
                notes.notes.append(lambda: truth.queued(object_, waiting, sequence))
            return sequence

        def watched_remove(object_: str, sequence: int) -> None:
            remove(object_, sequence)
            notes.notes.append(lambda: truth.left(object_, sequence))

        def watched_unlock(object_: str) -> None:
            unlock(object_)
            notes.notes.append(lambda: truth.unlocked(object_))

        objects.lock = watched_lock  # type: ignore[method-assign]
        objects.enqueue = watched_enqueue  # type: ignore[method-assign]
        objects.remove = watched_remove  # type: ignore[method-assign]
        objects.unlock = watched_unlock  # type: ignore[method-assign]
