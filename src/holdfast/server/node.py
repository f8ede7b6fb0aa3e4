"""A server without its doors: files, catalog, partitions, timers and attempts, wired and running.

`assembly` adds ingress and admin around it; `holdfast.testing` runs it alone, with its own clock and HTTP
client.

Start   catalog, partition files; then the engine, timers and attempts.
Stop    attempts, partitions, files. Whatever an attempt had not reported is made again by the next process.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

from holdfast.catalog.catalog import Catalog
from holdfast.catalog.discovery import Discovery, HttpRequests
from holdfast.catalog.settings import Defaults
from holdfast.core.model import OnMaxAttempts, RetryPolicy
from holdfast.core.records import Recover
from holdfast.invoker.runner import InvokerLimits, Runner, Streams
from holdfast.partition.engine import LocalEngine
from holdfast.partition.loop import PartitionLoop
from holdfast.partition.placement import Minter
from holdfast.partition.post import PostOffice
from holdfast.partition.sweeper import Sweeper
from holdfast.protocol.identity import RequestSigner
from holdfast.server.config import Config, ConfigError
from holdfast.storage.partition_tables import PartitionTables
from holdfast.timers.clock import Clock
from holdfast.timers.service import WAIT_MS_MAX, TimerService

RECURSION_LIMIT = 20_000
"""Await trees may be a thousand levels deep. Reading, judging and storing one takes a few calls per level,
which Python's default limit of a thousand would stop in the middle."""


class Files(Protocol):
    """Where the databases are, and the hold on them; `DataDir` for a server."""

    @property
    def catalog_file(self) -> Path: ...
    def partition_file(self, partition: int) -> Path: ...
    def release(self) -> None: ...


class DeploymentClient(Streams, HttpRequests, Protocol):
    """Reaches deployments, for attempts and for discovery; `HttpClient` for a server."""

    async def close(self) -> None: ...


class Node:
    """The running parts. Made by `Node.start`, ended by `stop`.

    Attributes:
        catalog, runner, engine, discovery: what ingress and admin need.
        partitions: the loops behind `engine`, by index.
    """

    def __init__(
        self,
        catalog: Catalog,
        runner: Runner,
        engine: LocalEngine,
        discovery: Discovery,
        partitions: list[PartitionLoop],
        closing: AsyncExitStack,
    ) -> None:
        self.catalog = catalog
        self.runner = runner
        self.engine = engine
        self.discovery = discovery
        self.partitions = partitions
        self._closing = closing

    @classmethod
    async def start(
        cls,
        config: Config,
        files: Files,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        http: DeploymentClient,
        on_fatal: Callable[[BaseException], None],
        *,
        timer_wait_ms_max: int = WAIT_MS_MAX,
    ) -> Node:
        """Open everything and make attempts for what was in its turn.

        Args:
            files: released by `stop`, as `http` is closed by it.
            timer_wait_ms_max: longest piece of a timer's wait; more than the default only where `clock` and
                the loop's clock cannot drift apart.
        Raises:
            StorageError, CatalogFileError, ConfigError, OSError: what the text says; whatever was opened is
                closed again.
        """
        async with AsyncExitStack() as closing:
            closing.callback(files.release)
            sys.setrecursionlimit(max(RECURSION_LIMIT, sys.getrecursionlimit()))
            signer = _signer(config.identity_key_file)
            catalog = Catalog.open(files.catalog_file, config.partitions or None, _defaults(config))
            closing.callback(catalog.close)
            closing.push_async_callback(http.close)
            runner = Runner(loop, clock, http, catalog, _invoker_limits(config), signer)
            timers = [TimerService(loop, clock, timer_wait_ms_max) for _ in range(catalog.partitions)]
            engine = _open_partitions(closing, config, files, loop, clock, runner, timers, on_fatal)
            closing.callback(runner.drain)
            discovery = Discovery(http, lambda: clock.now_ms() // 1000, signer=signer)
            return cls(catalog, runner, engine, discovery, engine.partitions, closing.pop_all())

    async def stop(self) -> None:
        """Drain and close, in the reverse order of `start`."""
        await self._closing.aclose()


def _open_partitions(
    closing: AsyncExitStack,
    config: Config,
    files: Files,
    loop: asyncio.AbstractEventLoop,
    clock: Clock,
    runner: Runner,
    timers: list[TimerService],
    on_fatal: Callable[[BaseException], None],
) -> LocalEngine:
    """Open every partition's file, wire the loops, and make attempts for what was in its turn."""
    count, grace_s = len(timers), config.shutdown_grace / 1000
    partitions: list[PartitionLoop] = []
    minters: list[Minter] = []
    posts: list[PostOffice] = []
    for index, timer in enumerate(timers):
        tables = PartitionTables(files.partition_file(index), index, count)
        partition = PartitionLoop(tables, loop, runner, timer.arm, _shipper(posts, index), on_fatal)
        closing.push_async_callback(partition.close, grace_s)
        partitions.append(partition)
        minters.append(Minter(index, count, tables.invocations.row_limit))
    engine = LocalEngine(partitions, minters, clock, loop)
    runner.attach_engine(engine)
    for partition, timer in zip(partitions, timers, strict=True):
        posts.append(PostOffice(partition, partitions, minters, clock))
        sweeper = Sweeper(partition, loop, clock, config.cleanup_interval)
        closing.callback(timer.stop)
        closing.callback(sweeper.stop)
        partition.submit(Recover(clock.now_ms()))
        timer.start(partition)
        sweeper.start()
    for post in posts:
        post.start()
    return engine


def _shipper(posts: list[PostOffice], index: int) -> Callable[[int], None]:
    """The post offices are made after the loops that call them."""
    return lambda destination: posts[index].ship(destination)


def _signer(file: str) -> RequestSigner | None:
    if not file:
        return None
    try:
        return RequestSigner.from_pem(Path(file).read_bytes())
    except OSError as error:
        raise ConfigError(f"option identity-key-file: cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"option identity-key-file: {file}: {error}") from error


def _defaults(config: Config) -> Defaults:
    return Defaults(
        retry=RetryPolicy(
            config.retry_initial_interval,
            config.retry_factor,
            config.retry_max_interval,
            config.retry_max_attempts or None,
            OnMaxAttempts.KILL if config.retry_on_max_attempts == "kill" else OnMaxAttempts.PAUSE,
        ),
        idempotency_retention_ms=config.idempotency_retention,
        workflow_retention_ms=config.workflow_retention,
        journal_retention_ms=config.journal_retention,
        inactivity_timeout_ms=config.inactivity_timeout,
        abort_timeout_ms=config.abort_timeout,
    )


def _invoker_limits(config: Config) -> InvokerLimits:
    return InvokerLimits(
        attempts_max=config.concurrent_attempts_max,
        message_bytes_max=config.message_bytes_max,
        eager_state_bytes_max=config.eager_state_bytes_max,
        protocol_version_min=config.protocol_version_min,
        protocol_version_max=config.protocol_version_max,
    )
