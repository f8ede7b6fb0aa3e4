"""Strict mode for agents: a model call that would not be journaled raises instead of passing unseen.

On in tests, where it should be found; off in production, where an agent that runs is worth more than one
that complains. Who decides, first one first: the handler's own app, when it is strict; the environment,
`HOLDFAST_STRICT=1` or `0`; on while pytest runs, also in processes that a test starts; off.
"""

import os
import sys

from holdfast.sdk.context.variable import current_or_none
from holdfast.sdk.errors import UsageError
from holdfast.sdk.loop.durable_loop import get_running_loop
from holdfast.sdk.strict import setting

PYTEST = "PYTEST_CURRENT_TEST"
"""Set by pytest for as long as a test runs, and inherited by what it starts."""


class UnjournaledCall(UsageError):
    """A model or tool was called in a handler, outside a step; says how to have it journaled."""


def in_handler() -> bool:
    """Whether the code that asks is a handler's own: there is a context. A step's body counts as outside."""
    return current_or_none() is not None


def is_strict() -> bool:
    """Whether a call that would not be journaled is to raise."""
    # Loaded only where some attempt is strict.
    unrecorded = sys.modules.get("holdfast.sdk.unrecorded")
    if unrecorded is not None and isinstance(get_running_loop(), unrecorded.StrictLoop):
        return True
    said = setting(None)
    return PYTEST in os.environ if said is None else said


def refuse_unjournaled(what: str, fix: str) -> None:
    """Raise if this is a handler's own code, outside a step, and strict mode is on.

    Args:
        what: the call, as in "a request to gpt-5".
        fix: what to write instead, a whole clause: "wrap the agent: durable(agent)".
    Raises:
        UnjournaledCall: `unjournaled_call`.
    """
    if in_handler() and is_strict():
        raise UnjournaledCall(
            "unjournaled_call",
            f"{what} in a handler, outside a step: it is not journaled, so every replay pays for it again "
            f"and may get another answer; {fix}. Strict mode found this (HOLDFAST_STRICT=0 turns it off)",
        )
