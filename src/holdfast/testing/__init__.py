"""Durable services under test: the engine and the services in one process, on a virtual clock.

Owns        `run` and `Harness`: virtual time, in-process transport, faults, looking at what is stored.
Promises    the engine is the server's own; sleeps of days pass in milliseconds; nothing listens on a socket.
Never does  anything in production: no other package imports this one.

    import holdfast.testing

    def test_greeting() -> None:
        async def scenario(env: holdfast.testing.Harness) -> None:
            assert await env.call(greet, "Ada") == "Hello Ada!"

        holdfast.testing.run(app, scenario)
"""

from holdfast.testing.requirements import require_server

require_server()

from holdfast.sdk.journal_file import StoredEntry, StoredJournal  # noqa: E402
from holdfast.testing.clock import EPOCH  # noqa: E402
from holdfast.testing.faults import CrashPoint  # noqa: E402
from holdfast.testing.harness import CONFIG, Harness, NotHappened, Stuck  # noqa: E402
from holdfast.testing.journal import InvocationView, Journal, JournalEntry  # noqa: E402
from holdfast.testing.loop import VirtualLoop  # noqa: E402
from holdfast.testing.runner import Options, crash_everywhere, run  # noqa: E402
from holdfast.testing.transport import HOOKS, AsgiApp, AttemptHooks  # noqa: E402

__all__ = [
    "CONFIG",
    "EPOCH",
    "HOOKS",
    "AsgiApp",
    "AttemptHooks",
    "CrashPoint",
    "Harness",
    "InvocationView",
    "Journal",
    "JournalEntry",
    "NotHappened",
    "Options",
    "StoredEntry",
    "StoredJournal",
    "Stuck",
    "VirtualLoop",
    "crash_everywhere",
    "run",
]
