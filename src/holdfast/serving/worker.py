"""One worker: a loop, a server, and the signals that end it."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import socket

from holdfast.sdk.endpoint.app import App
from holdfast.serving.server import HandlerServer
from holdfast.serving.site import ServingLimits


def run_worker(app: App, listening: socket.socket, limits: ServingLimits, grace_s: float) -> None:
    """Serve until SIGTERM or SIGINT, and a second one of them cuts the grace short; or, in a process that
    another one started, until that one is gone."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_run(app, listening, limits, grace_s))


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, where there is one."""
    try:
        import uvloop
    except ModuleNotFoundError:  # not on every platform
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _run(app: App, listening: socket.socket, limits: ServingLimits, grace_s: float) -> None:
    loop = asyncio.get_running_loop()
    end, end_now = asyncio.Event(), asyncio.Event()

    def told() -> None:
        (end_now if end.is_set() else end).set()

    parent = multiprocessing.parent_process()
    signals: tuple[signal.Signals, ...]
    if parent is None:
        signals = (signal.SIGTERM, signal.SIGINT)
    else:
        sentinel = parent.sentinel
        signals = (signal.SIGTERM,)

        def orphaned() -> None:
            loop.remove_reader(sentinel)
            told()

        loop.add_reader(sentinel, orphaned)
    for number in signals:
        loop.add_signal_handler(number, told)
    server = HandlerServer(app, limits, loop)
    await server.start(listening)
    await end.wait()
    await server.close(grace_s, end_now)
