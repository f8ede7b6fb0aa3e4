"""Strict mode: whether handler code is watched for what the journal does not see.

Owns      the setting. Watching itself is `unrecorded.py`, loaded when the first strict attempt starts.
Promises  an attempt that is not strict runs the very code it would run if strict mode did not exist.

Who decides, first one first: `holdfast.app(..., strict=True | False)`; the environment, `HOLDFAST_STRICT=1`
or `0`; `on_by_default`, which `holdfast.testing` holds for as long as a test environment is open; off.
"""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager

from holdfast.sdk.errors import UsageError
from holdfast.sdk.loop.durable_loop import DurableLoop, DurableTimers

ENVIRONMENT = "HOLDFAST_STRICT"
_WORDS = {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False, "": None}

MakeLoop = Callable[[DurableTimers, Callable[..., object]], DurableLoop]
"""From who makes timers durable and the handler's function."""

_holders = 0


@contextmanager
def on_by_default() -> Generator[None, None, None]:
    """Attempts that start meanwhile, of apps that do not say, are strict; may be nested and overlap."""
    global _holders
    _holders += 1
    try:
        yield
    finally:
        _holders -= 1


def setting(strict: bool | None) -> bool | None:
    """What an app says by its argument or else by the environment; None when it leaves it to the default.

    Raises:
        UsageError: `bad_setting`, the environment's word is neither yes nor no.
    """
    if strict is not None:
        return strict
    word = os.environ.get(ENVIRONMENT, "")
    try:
        return _WORDS[word.strip().lower()]
    except KeyError:
        raise UsageError(
            "bad_setting", f"{ENVIRONMENT}={word!r}; expected 1 for strict mode, 0 for none, or nothing"
        ) from None


def loop_maker(strict: bool | None) -> MakeLoop | None:
    """What makes the loop of a strict attempt; None when the attempt starting now is not strict.

    Args:
        strict: what `setting` gave for its app.
    """
    if not (_holders if strict is None else strict):
        return None
    # Deployments that are not strict, most of them functions that start cold, never load it.
    from holdfast.sdk.unrecorded import make_strict_loop

    return make_strict_loop
