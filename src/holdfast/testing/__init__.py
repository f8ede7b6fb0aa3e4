"""Durable services under test: the engine and the services in one process, on a virtual clock.

Owns        `run` and `Harness`: virtual time, in-process transport, faults, looking at what is stored.
Promises    the engine is the server's own; sleeps of days pass in milliseconds; nothing listens on a socket.
Never does  anything in production: no other package imports this one.

    async def test_greeting(holdfast_env: holdfast.testing.Harness) -> None:     # see
    `holdfast.testing.pytest`
        assert await holdfast_env.call(greet, "Ada") == "Hello Ada!"

    holdfast.testing.run(app, scenario)                       # the same anywhere else: scenario(env) is async

Names are loaded when they are first used: pytest loads the plugin in every project it is installed in.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.sdk.endpoint.hooks import HOOKS as HOOKS
    from holdfast.sdk.journal_file import StoredEntry as StoredEntry
    from holdfast.sdk.journal_file import StoredJournal as StoredJournal
    from holdfast.testing.asgi import AsgiApp as AsgiApp
    from holdfast.testing.clock import EPOCH as EPOCH
    from holdfast.testing.faults import CrashPoint as CrashPoint
    from holdfast.testing.harness import CONFIG as CONFIG
    from holdfast.testing.harness import App as App
    from holdfast.testing.harness import Harness as Harness
    from holdfast.testing.harness import NotHappened as NotHappened
    from holdfast.testing.harness import Stuck as Stuck
    from holdfast.testing.journal import InvocationView as InvocationView
    from holdfast.testing.journal import Journal as Journal
    from holdfast.testing.journal import JournalEntry as JournalEntry
    from holdfast.testing.loop import VirtualLoop as VirtualLoop
    from holdfast.testing.runner import Options as Options
    from holdfast.testing.runner import Scenario as Scenario
    from holdfast.testing.runner import crash_everywhere as crash_everywhere
    from holdfast.testing.runner import run as run
    from holdfast.testing.transport import AttemptHooks as AttemptHooks

_HOMES = {
    "CONFIG": "holdfast.testing.harness",
    "EPOCH": "holdfast.testing.clock",
    "HOOKS": "holdfast.sdk.endpoint.hooks",
    "App": "holdfast.testing.harness",
    "AsgiApp": "holdfast.testing.asgi",
    "AttemptHooks": "holdfast.testing.transport",
    "CrashPoint": "holdfast.testing.faults",
    "Harness": "holdfast.testing.harness",
    "InvocationView": "holdfast.testing.journal",
    "Journal": "holdfast.testing.journal",
    "JournalEntry": "holdfast.testing.journal",
    "NotHappened": "holdfast.testing.harness",
    "Options": "holdfast.testing.runner",
    "Scenario": "holdfast.testing.runner",
    "StoredEntry": "holdfast.sdk.journal_file",
    "StoredJournal": "holdfast.sdk.journal_file",
    "Stuck": "holdfast.testing.harness",
    "VirtualLoop": "holdfast.testing.loop",
    "crash_everywhere": "holdfast.testing.runner",
    "run": "holdfast.testing.runner",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from holdfast.testing.requirements import require_server

    require_server()
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
