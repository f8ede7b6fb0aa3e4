"""`holdfast serve`: run an app's handlers over HTTP/2 and HTTP/1.1.

Attempts hold their connection open for as long as they wait and the server lets them, so there are many at
once and nearly all of them idle. The settings here allow for that.

The app is imported here first, so that mistakes in it are told before anything listens. One worker then
serves it in this very process; several are fresh processes, each of which imports it again.
"""

from __future__ import annotations

import argparse
import errno
import gc
import logging.config
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

STREAMS_DEFAULT = 4096
"""At once on one HTTP/2 connection. Connections are shared out among workers, streams are not: with fewer
streams on each, a server opens more of them. One that opens no second connection would then wait."""

STREAMS_MIN = 10

ATTEMPTS_MAX = 16_384
"""At once, of one worker: thousands of handlers that wait for calls to this very process must leave room for
those calls."""

GC_THRESHOLD = 50_000
"""Allocations between collections of the young generation: attempts make many objects and few cycles."""

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
OWN, GRANIAN = "holdfast", "granian"
SERVE_MODULES = ("hpack", "httptools")


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
    parser.add_argument(
        "--server", choices=(OWN, GRANIAN), default=OWN, help=f"the HTTP server underneath [{OWN}]"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """The command; its exit code."""
    wanted, extra = (("granian",), "granian") if arguments.server == GRANIAN else (SERVE_MODULES, "serve")
    if any(find_spec(name) is None for name in wanted):
        return complain(
            f"serving needs {' and '.join(wanted)}: pip install 'holdfast[{extra}]'", exit_codes.CONFIG
        )
    from holdfast.cli.load_app import LoadError, load_app

    port = arguments.port
    configure_logging(arguments.log_level)
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
    if arguments.server == GRANIAN:
        from holdfast.cli import serve_granian

        run_app = serve_granian.serve
    else:
        run_app = serve
    return run_app(
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
    """The app of one worker; called in its process."""
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
    """Serve until a signal ends it; the exit code.

    Args:
        load: gives the app of `target` in a worker's process; a function of a module.
        grace_s: at the end, how long attempts may go on.
    """
    from holdfast.http2.server_side import ConnectionLimits
    from holdfast.serving.listening import listen
    from holdfast.serving.processes import run_processes
    from holdfast.serving.site import ServingLimits
    from holdfast.serving.worker import run_worker

    limits = ServingLimits(ConnectionLimits(streams), attempts_max=ATTEMPTS_MAX)
    try:
        listening = listen(host, port)
    except OSError as error:
        return complain(_why_not(error, host, port, "--port"), exit_codes.PORT_TAKEN)
    with listening:
        if workers == 1:
            run_worker(load(target), listening, limits, grace_s)
            return exit_codes.OK
        ended_well = run_processes(
            target,
            load,
            listening,
            limits,
            workers=workers,
            grace_s=grace_s,
            logging_config=_logging(log_level.upper()),
        )
    return exit_codes.OK if ended_well else complain("a worker ended by itself; see above", exit_codes.BUG)


def configure_logging(level: str) -> None:
    """Everything to standard error. What the user's module configures on import comes after this."""
    logging.config.dictConfig(_logging(level.upper()))


def _logging(level: str) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": level},
    }


def cannot_bind(host: str, port: int, option: str = "--port") -> str | None:
    """Why not. Servers that share ports between processes do not notice another one's."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, number) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return _why_not(error, host, port, option)
    return None


def _why_not(error: OSError, host: str, port: int, option: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken by another process; choose one with {option}"
    return f"cannot listen on {host} port {port}: {error.strerror or error}"


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
