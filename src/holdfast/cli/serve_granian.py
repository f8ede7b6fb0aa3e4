"""`holdfast serve --server granian`: the same app on Granian, a server in Rust, over RSGI.

For what our own server leaves out, and for comparison. The settings allow for many attempts that wait; with
Granian's own, a thousand handlers waiting for calls to this very process would leave no room for those calls.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from holdfast.cli import exit_codes
from holdfast.cli.exit_codes import complain

if TYPE_CHECKING:
    from holdfast.sdk.endpoint.app import App

ATTEMPTS_MAX = 16_384
"""At once, of one worker; further requests wait."""

WINDOW_BYTES = 2 * 1024 * 1024
"""Per stream. Journals longer than this are read as fast as they are replayed."""

CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024


def serve(
    target: str,
    host: str,
    port: int,
    load: Callable[[str], App],
    *,
    workers: int,
    streams: int,
    log_level: str,
    grace_s: int,
) -> int:
    """Run Granian until a signal ends it; the exit code. Arguments as of `serve_app.serve`."""
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
    """Everything to standard error."""
    return {
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {"_granian": {}, "granian.access": {}},
    }
