"""A service of `holdfast dev` that ended by itself: how soon it is started again, and what is said of it.

The first end costs no pause: a crash or a kill is what durable execution is for. Ends in a row are a loop,
which would take the processor and hide what was printed: the pauses grow, and the text says how to go on.
"""

from __future__ import annotations

import signal

PAUSE_FIRST_S = 0.5
"""Before the second start in a row; each further one has twice the pause."""

PAUSE_MAX_S = 30.0
STEADY_AFTER_S = 10.0
"""A service that has lived this long ends a row."""

_ADVICE_FROM = 3
_DOUBLINGS_MAX = 16


class Restarts:
    """Counts ends in a row.

    Args:
        admin: address of the server's admin interface, for what is said.
    """

    def __init__(self, admin: str) -> None:
        self._admin = admin
        self._row = 0

    def after(self, code: int, lived_s: float) -> tuple[float, str]:
        """(seconds to wait before the next start, what to say).

        Args:
            code: how it ended; negative: the number of the signal that ended it.
        """
        self._row = 1 if lived_s >= STEADY_AFTER_S else self._row + 1
        how = _how(code)
        if self._row == 1:
            return 0.0, f"the service {how}; starting it again"
        pause_s = min(PAUSE_FIRST_S * 2 ** min(self._row - 2, _DOUBLINGS_MAX), PAUSE_MAX_S)
        text = (
            f"the service {how}, for the {_ordinal(self._row)} time in a row; "
            f"starting it again in {pause_s:g} s, or at once when a file changes"
        )
        if self._row >= _ADVICE_FROM:
            text += (
                "\nwhat it printed is above; if one invocation ends it each time, find and end that:"
                f"\n  holdfast invocations list --admin {self._admin}"
                f"\n  holdfast invocations kill ID --admin {self._admin}"
            )
        return pause_s, text

    def forget(self) -> None:
        """The files have changed: the next end is the first one of this code."""
        self._row = 0


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:  # one of the numbers without a name
        return f"was ended by signal {-code}"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
