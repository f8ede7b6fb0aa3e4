"""Lengths of time as users write them: a `timedelta`, or a number of seconds."""

from datetime import timedelta

Duration = timedelta | float
"""A `timedelta`, or seconds as int or float."""

DURATION_MS_MAX = 2**63 - 1


def duration_ms(value: object, what: str) -> int:
    """Milliseconds, rounded to the nearest.

    Args:
        what: names the value in errors, such as "inactivity_timeout".
    Raises:
        TypeError: neither timedelta nor a number.
        ValueError: negative, not finite or beyond 2^63 ms.
    """
    if isinstance(value, timedelta):
        milliseconds = value / timedelta(milliseconds=1)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} is {value!r}; expected a timedelta or seconds")
    else:
        milliseconds = value * 1000
    if not 0 <= milliseconds <= DURATION_MS_MAX:  # false for NaN, too
        raise ValueError(f"{what} is {value!r}; expected a length of time, not negative")
    return round(milliseconds)


def seconds_of(value: Duration, what: str) -> float:
    """Seconds; errors as in `duration_ms`."""
    duration_ms(value, what)
    return value.total_seconds() if isinstance(value, timedelta) else float(value)
