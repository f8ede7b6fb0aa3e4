"""How often and how soon a failed step is tried again.

The policy is pure arithmetic: the caller says how many attempts failed and how long the step has been trying,
the policy answers with the next delay or with none.
"""

import math
from dataclasses import dataclass

from holdfast.sdk.durations import Duration, duration_ms

ATTEMPTS_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Retry policy of a step: delays grow by `factor` from `initial_interval` up to `max_interval`.

    With neither `max_attempts` nor `max_duration` a step is retried for ever. When one of them is used up,
    the step fails with a `TerminalError`.

    Attributes:
        max_attempts: attempts in all, the first included; None for no limit.
        initial_interval, max_interval: timedelta or seconds.
        factor: at least 1.
        max_duration: since the step's first attempt; timedelta or seconds, None for no limit.
    Raises:
        TypeError, ValueError: a value outside these.
    """

    max_attempts: int | None = None
    initial_interval: Duration = 0.1
    max_interval: Duration = 10.0
    factor: float = 2.0
    max_duration: Duration | None = None

    def __post_init__(self) -> None:
        check_attempts(self.max_attempts)
        check_factor(self.factor)
        initial_ms = duration_ms(self.initial_interval, "initial_interval")
        if initial_ms > duration_ms(self.max_interval, "max_interval"):
            raise ValueError(
                f"initial_interval {self.initial_interval} is longer than max_interval {self.max_interval}"
            )
        if self.max_duration is not None:
            duration_ms(self.max_duration, "max_duration")

    def next_delay_ms(self, failed_attempts: int, elapsed_ms: int) -> int | None:
        """Milliseconds until the next attempt, None when there is to be none.

        Args:
            failed_attempts: how many attempts have failed, at least 1.
            elapsed_ms: since the first attempt began.
        """
        if self.max_attempts is not None and failed_attempts >= self.max_attempts:
            return None
        if self.max_duration is not None and elapsed_ms >= duration_ms(self.max_duration, "max_duration"):
            return None
        first = duration_ms(self.initial_interval, "initial_interval")
        most = duration_ms(self.max_interval, "max_interval")
        if first == 0 or self.factor == 1.0:
            return first
        # Compared as logarithms: a power of the attempt count would overflow after some thousand attempts.
        growth = (failed_attempts - 1) * math.log(self.factor)
        return most if growth >= math.log(most / first) else round(first * math.exp(growth))


def check_attempts(value: object) -> None:
    """Raises ValueError or TypeError unless None or a count of attempts."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"max_attempts is {value!r}; expected a whole number")
    if not 1 <= value <= ATTEMPTS_MAX:
        raise ValueError(f"max_attempts is {value}; expected at least 1 (the first attempt counts)")


def check_factor(value: object) -> None:
    """Raises ValueError or TypeError unless None or a finite number of at least 1."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"factor is {value!r}; expected a number")
    if not 1 <= value < math.inf:
        raise ValueError(f"factor is {value}; expected at least 1")
