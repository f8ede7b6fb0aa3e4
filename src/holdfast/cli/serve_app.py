"""`holdfast serve`: run an app's handlers on Granian, a server for HTTP/2 and HTTP/1.1.

Attempts hold their connection open for as long as they wait and the server lets them, so there are many at
once and nearly all of them idle. The settings here allow for that; with Granian's own, a thousand handlers
waiting for calls to this very process would leave no room for those calls.

The app is imported here first, so that mistakes in it are told before anything listens, and again in each
worker: workers are fresh processes (`spawn`), because threads and connections that a module makes when it is
imported do not survive a fork.
"""

from __future__ import annotations

import argparse
import errno
import gc
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from holdfast.cli import exit_codes
from holdfast.cli.commands import Commands
from holdfast.cli.exit_codes import complain

if TYPE_CHECKING:
    from holdfast.sdk.endpoint.app import App

PORT_DEFAULT = 9080
PORT_VARIABLE = "PORT"
WORKERS_MAX = 256

ATTEMPTS_MAX = 16_384
"""At once, of one worker; further requests wait."""

STREAMS_DEFAULT = 4096
"""At once on one HTTP/2 connection. Connections are shared out among workers, streams are not: with fewer
streams on each, a server opens more of them. One that opens no second connection would then wait."""

STREAMS_MIN = 10
"""Granian's own bound."""

WINDOW_BYTES = 2 * 1024 * 1024
"""Per stream. Journals longer than this are read as fast as they are replayed."""

CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024

GC_THRESHOLD = 50_000
"""Allocations between collections of the young generation: attempts make many objects and few cycles."""

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("serve", help="run an app's handlers", description=__doc__)
    parser.add_argument("app", metavar="MODULE:APP", help="the app, such as greeter:app for greeter.py")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind; 0.0.0.0 for all [127.0.0.1]")
    parser.add_argument(
        "--port", type=port_number, help=f"port to bind [the variable {PORT_VARIABLE}, else {PORT_DEFAULT}]"
    )
    parser.add_argument("--workers", type=_workers, default=1, help="processes [1]")
    parser.add_argument(
        "--streams",
        type=_streams,
        default=STREAMS_DEFAULT,
        help=f"attempts at once on one connection; fewer spread over more workers [{STREAMS_DEFAULT}]",
    )
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="info", help="least level shown [info]")
    parser.add_argument(
        "--grace",
        type=_seconds,
        default=10,
        metavar="SECONDS",
        help="at the end: how long attempts may go on before they are cut, and made again by the server [10]",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """The command; its exit code."""
    if find_spec("granian") is None:
        return complain(
            "serving needs Granian, which is not installed: pip install 'holdfast[serve]'", exit_codes.CONFIG
        )
    from holdfast.cli.load_app import LoadError, load_app

    port = arguments.port
    try:
        if port is None:
            port = port_number(os.environ.get(PORT_VARIABLE) or str(PORT_DEFAULT))
        app = load_app(arguments.app)
    except argparse.ArgumentTypeError as error:
        return complain(f"the variable {PORT_VARIABLE}: {error}", exit_codes.CONFIG)
    except LoadError as error:
        sys.stderr.write(error.detail)
        return complain(str(error), exit_codes.CONFIG)
    if (problem := cannot_bind(arguments.host, port)) is not None:
        return complain(problem, exit_codes.PORT_TAKEN)
    services = ", ".join(service.name for service in app.routes.services)
    shown = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    print(f"holdfast: serving {services} on http://{shown}:{port}", file=sys.stderr, flush=True)
    return serve(
        arguments.app,
        arguments.host,
        port,
        load_in_worker,
        workers=arguments.workers,
        streams=arguments.streams,
        log_level=arguments.log_level,
        grace_s=arguments.grace,
    )


def load_in_worker(target: str) -> App:
    """The app of one worker; called by Granian in its process."""
    from holdfast.cli.load_app import load_app

    app = load_app(target)
    settle_memory()
    return app


def settle_memory() -> None:
    """For a worker that has imported everything."""
    # What was imported lives as long as the process: keep the collector from walking it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def serve(
    target: str,
    host: str,
    port: int,
    load: Callable[[str], App],
    *,
    workers: int = 1,
    streams: int = STREAMS_DEFAULT,
    log_level: str = "info",
    grace_s: int = 10,
) -> int:
    """Run Granian until a signal ends it; the exit code.

    Args:
        load: gives the app of `target` in a worker's process; a function of a module.
        grace_s: at the end, how long attempts may go on.
    """
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP2Settings
    from granian.log import LogLevels

    multiprocessing.set_start_method("spawn", force=True)
    server = Granian(
        target,
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        workers=workers,
        http=HTTPModes.auto,
        websockets=False,
        backpressure=ATTEMPTS_MAX,
        http2_settings=HTTP2Settings(
            initial_connection_window_size=CONNECTION_WINDOW_BYTES,
            initial_stream_window_size=WINDOW_BYTES,
            max_concurrent_streams=streams,
        ),
        log_level=LogLevels.debug if log_level == "debug" else LogLevels.warning,
        log_dictconfig=_logging(log_level.upper()),
        respawn_failed_workers=True,
        workers_kill_timeout=grace_s,
    )
    try:
        server.serve(target_loader=load)
    except SystemExit as end:
        return (
            exit_codes.OK if not end.code else complain("a worker ended by itself; see above", exit_codes.BUG)
        )
    return exit_codes.OK


def _logging(level: str) -> dict[str, Any]:
    """Everything to standard error. What the user's module configures on import comes after this."""
    return {
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {"_granian": {}, "granian.access": {}},
    }


def cannot_bind(host: str, port: int, option: str = "--port") -> str | None:
    """Why not. Granian shares ports between processes, so it would not notice another one's."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, number) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"port {port} of {host} is taken by another process; choose one with {option}"
        return f"cannot listen on {host} port {port}: {error.strerror or error}"
    return None


def port_number(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; expected a number from 1 to 65535")
    return int(text)


def _workers(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= WORKERS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} workers; expected 1 to {WORKERS_MAX}")
    return int(text)


def _streams(text: str) -> int:
    if not text.isdecimal() or not STREAMS_MIN <= int(text) <= ATTEMPTS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} streams; expected {STREAMS_MIN} to {ATTEMPTS_MAX}")
    return int(text)


def _seconds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; expected whole seconds, at least 1")
    return int(text)
