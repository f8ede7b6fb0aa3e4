"""The `delay` parameter of a send: `PT60S`, `1500ms`, `60 sec`, and, beyond what others read, a bare number.

A bare number is milliseconds, because the official Python client sends `?delay=1500`.
"""

from typing import Final

from holdfast.catalog.durations import parse_duration

DELAY_MS_MAX: Final = 1000 * 365 * 86_400_000
"""A thousand years: an instant that far ahead still has a four-digit year to be shown with."""

_PREFIX = "bad delay query parameter, must be a ISO8601 duration: "
_NO_NUMBER = (
    'failed to parse input in the "friendly" duration format: expected duration to start with a unit value '
    "(a decimal integer) after an optional sign, but no integer was found"
)
_BARE_DIGITS_MAX = 15


class DelayError(ValueError):
    """Not a delay; the text says what is expected."""


def parse_delay(text: str) -> int:
    """Milliseconds to wait before an invocation starts.

    Args:
        text: percent-decoded, with `+` read as a space.
    Raises:
        DelayError: not a duration, negative, or longer than `DELAY_MS_MAX`.
    """
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= _BARE_DIGITS_MAX:
        delay_ms = int(text)
    else:
        if text[:1] not in ("P", "p") and not text[:1].isdigit():
            raise DelayError(_PREFIX + _NO_NUMBER)
        try:
            delay_ms = parse_duration(text)
        except ValueError as error:
            raise DelayError(f"{_PREFIX}{error}") from None
    if delay_ms > DELAY_MS_MAX:
        raise DelayError(f"{_PREFIX}{text[:100]!r} is longer than {DELAY_MS_MAX} ms")
    return delay_ms
