"""`holdfast dev`: server and service in one terminal, for writing handlers.

Starts a server, runs the app's handlers beside it, registers them, and prints where everything is and a line
to try. A change of the app's files starts the service anew, and so does its end, by a crash or a kill;
invocations under way go on. Ctrl-C stops everything. The server's state stays in `.holdfast`, for the next
time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.cli import exit_codes
from holdfast.cli.commands import Commands
from holdfast.cli.exit_codes import complain
from holdfast.cli.serve_app import PORT_DEFAULT as SERVICE_PORT_DEFAULT
from holdfast.cli.serve_app import cannot_bind, port_number

if TYPE_CHECKING:
    from holdfast.cli.find_app import Target
    from holdfast.server.assembly import Server
    from holdfast.server.config import Config

HOST = "127.0.0.1"
STATE_DIR = ".holdfast"
INGRESS_PORT_DEFAULT = 8080
ADMIN_PORT_DEFAULT = 9070

ORPHAN_ENDS_WITHIN_S = 2.0
"""A service whose `holdfast dev` was killed ends as soon as it notices. The next start may be quicker, and
waits so long for the service's port."""

_ORPHAN_POLL_S = 0.02

SERVER_MODULES = ("apsw", "fastapi", "hpack", "httptools", "sqlglot", "structlog", "uvicorn", "xxhash")
"""One each of what the server extra brings, to tell before anything is started."""

SERVER_OPTIONS = {
    "shutdown_grace": "200ms",
    # While code is broken all retries fail, for minutes; the first one after the repair is wanted soon, and
    # nothing is to be paused over it.
    "retry_max_interval": "2s",
    "retry_max_attempts": "0",
    "log_format": "console",
}
"""What differs from `holdfast server`."""


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "dev", help="run server and handlers in one terminal, reloading changes", description=__doc__
    )
    parser.add_argument(
        "app", metavar="FILE_OR_MODULE[:APP]", help="the handlers: greeter.py, greeter.py:app, shop.orders"
    )
    for option, default, what in (
        ("--port", INGRESS_PORT_DEFAULT, "for calls"),
        ("--admin-port", ADMIN_PORT_DEFAULT, "of the admin interface"),
        ("--service-port", SERVICE_PORT_DEFAULT, "of the handlers"),
    ):
        parser.add_argument(
            option, type=_port, default=default, help=f"port {what}; 0: any free one [{default}]"
        )
    parser.add_argument(
        "--ephemeral",
        action="store_true",
        help=f"keep the server's state only until the end, not in {STATE_DIR}",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="show what the server logs of normal work, too"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """The command; its exit code."""
    missing = [name for name in SERVER_MODULES if find_spec(name) is None]
    if missing:
        return complain(
            f"this command needs the server extra ({', '.join(missing)} missing): "
            "pip install 'holdfast[server]'",
            exit_codes.CONFIG,
        )
    from holdfast.cli.find_app import TargetError, parse_target

    try:
        target = parse_target(arguments.app, Path.cwd())
    except TargetError as error:
        return complain(str(error), exit_codes.USAGE)
    ports: dict[str, int] = {}
    for option in ("--port", "--admin-port", "--service-port"):
        wanted = getattr(arguments, option[2:].replace("-", "_"))
        if wanted and (problem := port_problem(wanted, option, ports)) is not None:
            return complain(problem, exit_codes.PORT_TAKEN)
        ports[option] = wanted or _free_port()
    with ExitStack() as closing:
        data_dir = STATE_DIR
        if arguments.ephemeral:
            data_dir = closing.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-"))
        return _run(arguments.app, target, ports, data_dir, arguments.verbose)


def _run(given: str, target: Target, ports: dict[str, int], data_dir: str, verbose: bool) -> int:
    from holdfast.cli.serve import new_loop
    from holdfast.server.config import ConfigError, load

    options = {
        **SERVER_OPTIONS,
        "data_dir": data_dir,
        "ingress_bind": f"{HOST}:{ports['--port']}",
        "admin_bind": f"{HOST}:{ports['--admin-port']}",
        "log_level": "info" if verbose else "warning",
    }
    try:
        config = load(options, os.environ, None)
    except ConfigError as error:
        return complain(str(error), exit_codes.CONFIG)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(_dev(given, target, config, ports))


async def _dev(given: str, target: Target, config: Config, ports: dict[str, int]) -> int:
    """Run until a signal; the exit code."""
    from holdfast.cli.admin_client import Admin
    from holdfast.cli.dev_failures import show_failures
    from holdfast.cli.dev_service_loop import Addresses, keep_serving
    from holdfast.cli.dev_terminal import Terminal
    from holdfast.cli.serve import ending, started

    loop = asyncio.get_running_loop()
    terminal = Terminal(sys.stdout, sys.stderr)
    terminal.take_server_logs(config.log_level)
    ended, end_badly = ending(loop)
    addresses = Addresses(HOST, ports["--port"], ports["--admin-port"], ports["--service-port"])
    ready = asyncio.Event()
    # Both take a second to import what they need, in two processes.
    service = asyncio.create_task(keep_serving(given, target, addresses, terminal, ready), name="service")
    service.add_done_callback(lambda _: None if ended.done() else ended.set_result(exit_codes.BUG))
    failures: list[asyncio.Task[None]] = []
    server: Server | None = None
    try:
        server = (await asyncio.to_thread(_server_class))(config, loop, end_badly)
        if (code := await started(server, "use --ephemeral")) is None:
            ready.set()
            admin = Admin(f"http://{HOST}:{addresses.admin_port}")
            failures.append(asyncio.create_task(show_failures(admin, terminal), name="failures"))
            code = await ended
            terminal.say("stopping")
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):  # a second ctrl-C waits for nothing
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        for task in failures:
            task.cancel()
        # The server first: it lets go of attempts, where a service that ends would look like a failure of
        # theirs.
        if server is not None:
            await server.stop()
        service.cancel()
        await asyncio.gather(service, *failures, return_exceptions=True)
    if service.done() and not service.cancelled() and (error := service.exception()) is not None:
        raise error
    return code


def _server_class() -> type[Server]:
    from holdfast.server.assembly import Server

    return Server


def _port(text: str) -> int:
    return 0 if text == "0" else port_number(text)


def port_problem(port: int, option: str, others: dict[str, int]) -> str | None:
    """Why the port cannot be taken; None: it can. `others`: what other options have taken."""
    for other, theirs in others.items():
        if port == theirs:
            return f"port {port} is given twice, by {other} and {option}"
    wait_s = ORPHAN_ENDS_WITHIN_S if option == "--service-port" else 0.0
    until = time.monotonic() + wait_s
    while (problem := cannot_bind(HOST, port, option)) is not None and time.monotonic() < until:
        time.sleep(_ORPHAN_POLL_S)
    return problem


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
