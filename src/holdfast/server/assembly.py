"""Puts the parts together, starts them in order, stops them in the reverse order.

Start   data directory, catalog, partition files; then the engine, timers and attempts; ingress and admin
        last, so that nobody is served before everything works.
Stop    admin and ingress first (waiting requests get a grace), then attempts, partitions, files. Whatever an
        attempt had not reported is made again by the next process.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from holdfast.admin.app import create_app
from holdfast.admin.ports import AdminSettings
from holdfast.admin.server import AdminServer
from holdfast.catalog.catalog import Catalog
from holdfast.catalog.discovery import Discovery
from holdfast.catalog.settings import Defaults
from holdfast.core.model import OnMaxAttempts, RetryPolicy
from holdfast.core.records import Recover
from holdfast.ingress.exchange import IngressLimits
from holdfast.ingress.server import IngressServer
from holdfast.invoker.http import HttpClient
from holdfast.invoker.runner import InvokerLimits, Runner
from holdfast.partition.engine import LocalEngine
from holdfast.partition.loop import PartitionLoop
from holdfast.partition.placement import Minter
from holdfast.partition.post import PostOffice
from holdfast.partition.sweeper import Sweeper
from holdfast.protocol.identity import RequestSigner
from holdfast.query.runner import QueryRunner
from holdfast.server.config import Config, ConfigError, parse_bind
from holdfast.server.data_dir import DataDir
from holdfast.server.live import live_attempts
from holdfast.storage.partition_tables import PartitionTables
from holdfast.timers.clock import Clock, WallClock
from holdfast.timers.service import TimerService

log = structlog.get_logger("holdfast.server")

RECURSION_LIMIT = 20_000
"""Await trees may be a thousand levels deep. Reading, judging and storing one takes a few calls per level,
which Python's default limit of a thousand would stop in the middle."""


class Server:
    """A whole server in this process. `start`, then `stop`; neither twice."""

    def __init__(
        self,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        on_fatal: Callable[[BaseException], None],
        clock: Clock | None = None,
    ) -> None:
        self._config = config
        self._loop = loop
        self._clock = clock or WallClock()
        self._on_fatal = on_fatal
        self._closing = AsyncExitStack()
        self.partitions: list[PartitionLoop] = []
        self.ingress_port = 0
        self.admin_port = 0

    async def start(self) -> None:
        """Open everything and serve.

        Raises:
            DataDirInUse, StorageError, CatalogFileError, ConfigError, OSError: what the text says; whatever
                was opened is closed again.
        """
        async with AsyncExitStack() as closing:
            await self._start(closing)
            self._closing = closing.pop_all()

    async def _start(self, closing: AsyncExitStack) -> None:
        config, loop, clock = self._config, self._loop, self._clock
        sys.setrecursionlimit(max(RECURSION_LIMIT, sys.getrecursionlimit()))
        signer = _signer(config.identity_key_file)
        data_dir = DataDir(Path(config.data_dir))
        closing.callback(data_dir.release)
        catalog = Catalog.open(data_dir.catalog_file, config.partitions or None, _defaults(config))
        closing.callback(catalog.close)
        http = HttpClient(loop, connect_timeout_s=config.connect_timeout / 1000)
        closing.push_async_callback(http.close)
        runner = Runner(loop, clock, http, catalog, _invoker_limits(config), signer)
        engine = self._open_partitions(closing, data_dir, catalog.partitions, runner)
        closing.callback(runner.drain)
        query = QueryRunner(
            [data_dir.partition_file(p.index) for p in self.partitions],
            catalog,
            lambda: live_attempts(runner),
        )
        discovery = Discovery(http, lambda: clock.now_ms() // 1000, signer=signer)
        ingress = IngressServer(engine, catalog, _ingress_limits(config), loop)
        host, port = parse_bind("ingress-bind", config.ingress_bind)
        self.ingress_port = await ingress.start(host, port)
        closing.push_async_callback(ingress.close, config.shutdown_grace / 1000)
        advertised = config.advertised_ingress or _uri(host, self.ingress_port)
        app = create_app(engine, catalog, discovery, query, AdminSettings(ingress_endpoint=advertised))
        admin = AdminServer(app)
        admin_host, admin_port = parse_bind("admin-bind", config.admin_bind)
        self.admin_port = await admin.start(admin_host, admin_port)
        closing.push_async_callback(admin.close)
        log.info(
            "serving",
            ingress=_uri(host, self.ingress_port),
            admin=_uri(admin_host, self.admin_port),
            data_dir=config.data_dir,
            partitions=len(self.partitions),
        )

    def _open_partitions(
        self, closing: AsyncExitStack, data_dir: DataDir, count: int, runner: Runner
    ) -> LocalEngine:
        """Open every partition's file, wire the loops, and make attempts for what was in its turn."""
        loop, clock, grace_s = self._loop, self._clock, self._config.shutdown_grace / 1000
        minters: list[Minter] = []
        posts: list[PostOffice] = []
        timers: list[TimerService] = []
        for index in range(count):
            tables = PartitionTables(data_dir.partition_file(index), index, count)
            timer = TimerService(loop, clock)
            partition = PartitionLoop(tables, loop, runner, timer.arm, _shipper(posts, index), self._on_fatal)
            closing.push_async_callback(partition.close, grace_s)
            self.partitions.append(partition)
            timers.append(timer)
            minters.append(Minter(index, count, tables.invocations.row_limit))
        engine = LocalEngine(self.partitions, minters, clock, loop)
        runner.attach_engine(engine)
        for partition, timer in zip(self.partitions, timers, strict=True):
            posts.append(PostOffice(partition, self.partitions, minters, clock))
            sweeper = Sweeper(partition, loop, clock, self._config.cleanup_interval)
            closing.callback(timer.stop)
            closing.callback(sweeper.stop)
            partition.submit(Recover(clock.now_ms()))
            timer.start(partition)
            sweeper.start()
        for post in posts:
            post.start()
        return engine

    async def stop(self) -> None:
        """Drain and close, in the reverse order of `start`."""
        await self._closing.aclose()


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


def _ingress_limits(config: Config) -> IngressLimits:
    return IngressLimits(
        request_bytes_max=config.request_bytes_max, concurrent_requests_max=config.concurrent_requests_max
    )


def _uri(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/"
