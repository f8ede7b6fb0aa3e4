"""`holdfast server`: run the server until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import errno
import gc
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.cli import exit_codes
from holdfast.cli.commands import Commands
from holdfast.cli.exit_codes import complain
from holdfast.server.config import Config, ConfigError, as_toml, describe, load, option_names

if TYPE_CHECKING:
    from holdfast.server.assembly import Server

GC_THRESHOLD = 50_000
"""Allocations between collections of the young generation: an invocation makes few cycles, many objects."""


def add_parser(commands: Commands) -> None:
    """Options come from `Config`: what it has, the command line has."""
    parser = commands.add_parser("server", help="run the server", description=__doc__)
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with options")
    parser.add_argument("--print-config", action="store_true", help="print the effective options and exit")
    for name in option_names():
        help_, default = describe(name)
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, dest=f"option_{name}", metavar="VALUE", help=f"{help_} [{default}]")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """The command; its exit code."""
    given = {
        name: value for name in option_names() if (value := getattr(arguments, f"option_{name}")) is not None
    }
    try:
        config = load(given, os.environ, arguments.config)
    except ConfigError as error:
        return complain(str(error), exit_codes.CONFIG)
    if arguments.print_config:
        print(as_toml(config))
        return exit_codes.OK
    from holdfast.server import logs

    logs.configure(config.log_level, config.log_format)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(_serve(config))


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, where there is one."""
    try:
        import uvloop
    except ModuleNotFoundError:  # not on every platform
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _serve(config: Config) -> int:
    from holdfast.server.assembly import Server

    loop = asyncio.get_running_loop()
    ended, end_badly = ending(loop)
    server = Server(config, loop, end_badly)
    if (code := await started(server)) is not None:
        return code
    code = await ended
    await server.stop()
    return code


def ending(loop: asyncio.AbstractEventLoop) -> tuple[asyncio.Future[int], Callable[[BaseException], None]]:
    """(the exit code, once a signal or a fatal error gives one; where the server reports such errors)."""
    from holdfast.storage.database import StorageError

    ended: asyncio.Future[int] = loop.create_future()

    def end(code: int) -> None:
        if not ended.done():
            ended.set_result(code)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, exit_codes.OK)

    def end_badly(error: BaseException) -> None:
        if isinstance(error, StorageError):
            end(complain(f"[{error.code}] {error}", exit_codes.STORAGE))
        else:
            end(exit_codes.BUG)

    return ended, end_badly


async def started(server: Server, instead: str = "give another --data-dir") -> int | None:
    """Start it; None, or the exit code when it cannot.

    Args:
        instead: what to do when another server uses the data directory, and is not to be stopped.
    """
    from holdfast.catalog.errors import CatalogFileError
    from holdfast.server.data_dir import DataDirInUse
    from holdfast.storage.database import StorageError

    try:
        await server.start()
    except ConfigError as error:
        return complain(str(error), exit_codes.CONFIG)
    except DataDirInUse as error:
        who = str(error).partition(";")[0]
        return complain(f"{who}; stop it, or {instead}", exit_codes.DATA_DIR_IN_USE)
    except (StorageError, CatalogFileError) as error:
        return complain(f"[{error.code}] {error}", exit_codes.STORAGE)
    except OSError as error:
        taken = error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)
        return complain(str(error), exit_codes.PORT_TAKEN if taken else exit_codes.STORAGE)
    # What was imported lives as long as the process: keep the collector from walking it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    return None
