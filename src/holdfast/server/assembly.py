"""Puts the parts together, starts them in order, stops them in the reverse order.

Start   data directory; then the node (catalog, partitions, timers, attempts); ingress and admin last, so that
        nobody is served before everything works.
Stop    admin and ingress first (waiting requests get a grace), then the node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from holdfast.admin.app import create_app
from holdfast.admin.ports import AdminSettings
from holdfast.admin.server import AdminServer
from holdfast.ingress.exchange import IngressLimits
from holdfast.ingress.server import IngressServer
from holdfast.invoker.http import HttpClient
from holdfast.partition.feed import ChangeFeed
from holdfast.query.reads import Reads
from holdfast.query.runner import QueryRunner
from holdfast.server.config import Config, parse_bind
from holdfast.server.data_dir import DataDir
from holdfast.server.live import live_attempts, live_attempts_at
from holdfast.server.node import Node
from holdfast.timers.clock import Clock, WallClock

log = structlog.get_logger("holdfast.server")


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
        config, loop = self._config, self._loop
        data_dir = DataDir(Path(config.data_dir))
        http = HttpClient(loop, connect_timeout_s=config.connect_timeout / 1000)
        node = await Node.start(config, data_dir, loop, self._clock, http, self._on_fatal)
        closing.push_async_callback(node.stop)
        engine, catalog = node.engine, node.catalog
        files = [data_dir.partition_file(p.index) for p in node.partitions]
        query = QueryRunner(files, catalog, lambda: live_attempts(node.runner))
        reads = Reads(files, lambda places: live_attempts_at(node.runner, places))
        closing.callback(reads.close)
        feed = ChangeFeed(node.partitions, loop)
        ingress = IngressServer(engine, catalog, _ingress_limits(config), loop)
        host, port = parse_bind("ingress-bind", config.ingress_bind)
        self.ingress_port = await ingress.start(host, port)
        closing.push_async_callback(ingress.close, config.shutdown_grace / 1000)
        advertised = config.advertised_ingress or _uri(host, self.ingress_port)
        settings = AdminSettings(ingress_endpoint=advertised)
        app = create_app(engine, catalog, node.discovery, query, settings, reads, feed)
        admin = AdminServer(app)
        admin_host, admin_port = parse_bind("admin-bind", config.admin_bind)
        self.admin_port = await admin.start(admin_host, admin_port)
        closing.push_async_callback(admin.close)
        closing.callback(feed.close)  # first of all: admin waits for its requests to end
        log.info(
            "serving",
            ingress=_uri(host, self.ingress_port),
            admin=_uri(admin_host, self.admin_port),
            data_dir=config.data_dir,
            partitions=len(node.partitions),
        )

    async def stop(self) -> None:
        """Drain and close, in the reverse order of `start`."""
        await self._closing.aclose()


def _ingress_limits(config: Config) -> IngressLimits:
    return IngressLimits(
        request_bytes_max=config.request_bytes_max, concurrent_requests_max=config.concurrent_requests_max
    )


def _uri(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/"
