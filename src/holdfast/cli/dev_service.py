"""The service process of `holdfast dev`: imports the app, reports what it found, serves it.

Never started by hand. Two file descriptors tie it to `holdfast dev`: on `--report` one line of JSON goes up
when the module is imported; on `--tie`, a pipe, nothing ever comes, and its end means that `holdfast dev` is
gone, however it went. Then this process and whatever it started go too, so that no port stays taken.

It leads a process group of its own: ctrl-C reaches `holdfast dev` alone, which ends things in order.
"""

from __future__ import annotations

import argparse
import faulthandler
import fcntl
import hashlib
import logging
import os
import signal
import socket
import sys
import sysconfig
import threading
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

import holdfast
from holdfast.cli import exit_codes
from holdfast.cli.curl_line import curl_arguments
from holdfast.cli.find_app import find_app, parse_target
from holdfast.cli.load_app import LoadError
from holdfast.cli.serve_app import configure_logging, serve, settle_memory
from holdfast.protocol.manifest_encode import MANIFEST_CONTENT_TYPES
from holdfast.sdk.discovery import discover
from holdfast.sdk.endpoint.app import App
from holdfast.sdk.errors import UsageError

_ANY_MANIFEST = ", ".join(MANIFEST_CONTENT_TYPES.values())


@dataclass(frozen=True)
class Report:
    """What importing the app gave; one line of JSON.

    Attributes:
        error: why it cannot be served; empty: it can. `detail`: the traceback, if it has one.
        services: names. manifest: a hash of all that discovery tells a server.
        files: the user's own modules that were imported.
        path, arguments: of the curl line.
    """

    error: str = ""
    detail: str = ""
    services: list[str] = field(default_factory=list[str])
    manifest: str = ""
    files: list[str] = field(default_factory=list[str])
    path: str = ""
    arguments: str = ""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("target", help="as `holdfast dev` was given it")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--report", type=int, required=True)
    parser.add_argument("--tie", type=int, required=True)
    given = parser.parse_args()
    up = socket.socket(fileno=given.report)
    for descriptor in (given.report, given.tie):
        os.set_inheritable(descriptor, False)
    _end_with(given.tie)
    faulthandler.enable(all_threads=False)  # a crash in native code says in which of the user's lines
    configure_logging("info")
    report = _imported(given.target)
    up.sendall(msgspec.json.encode(report) + b"\n")
    if report.error:
        return exit_codes.CONFIG
    return serve(given.target, given.host, given.port, load_in_worker, grace_s=1)


def load_in_worker(target: str) -> App:
    """The app of the worker."""
    # `holdfast dev` prints failed attempts itself, shorter.
    logging.getLogger("holdfast.attempts").disabled = True
    app = find_app(parse_target(target, Path.cwd()))
    settle_memory()
    return app


def _end_with(tie: int) -> None:
    """From now on this process group ends with the pipe's other side."""
    if sys.platform == "linux":
        # The kernel does it: a process that is stopped, or stuck in native code with the interpreter's lock,
        # runs no thread that could.
        fcntl.fcntl(tie, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(tie, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(tie, fcntl.F_SETFL, fcntl.fcntl(tie, fcntl.F_GETFL) | os.O_ASYNC)
    # Elsewhere, and when the other side was closed already.
    threading.Thread(target=_wait_for_end, args=[tie], name="tie", daemon=True).start()


def _wait_for_end(tie: int) -> None:
    os.read(tie, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _imported(target: str) -> Report:
    try:
        app = find_app(parse_target(target, Path.cwd()))
        services = app.routes.services
        _, manifest = discover(services, _ANY_MANIFEST, bidirectional=True)
        path, arguments = curl_arguments(services) or ("", "")
    except LoadError as error:
        return Report(error=str(error), detail=error.detail, files=_users_files())
    except UsageError as error:
        return Report(error=str(error), files=_users_files())
    return Report(
        services=[service.name for service in services],
        manifest=hashlib.sha256(manifest).hexdigest(),
        files=_users_files(),
        path=path,
        arguments=arguments,
    )


def _users_files() -> list[str]:
    """Imported modules that somebody edits: neither installed ones nor ours."""
    paths = sysconfig.get_paths()
    not_theirs = [Path(paths[name]).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    not_theirs.append(Path(holdfast.__file__).resolve().parent)
    found: set[Path] = set()
    for module in list(sys.modules.values()):
        if isinstance(name := getattr(module, "__file__", None), str) and name.endswith(".py"):
            file = Path(name).resolve()
            if not any(file.is_relative_to(folder) for folder in not_theirs):
                found.add(file)
    return sorted(map(str, found))


if __name__ == "__main__":
    sys.exit(main())
