"""Durations as people write them: `1d`, `1m 30s`, `300ms`, and ISO 8601's `PT1M30S`.

Read and written by the admin interface and the configuration; everything behind them counts milliseconds.
"""

import re
from decimal import Decimal
from typing import Final

DURATION_MS_MAX: Final = 1 << 53
"""Longer ones are refused: added to an instant they must still fit a stored integer and a JSON number."""

_TEXT_CHARS_MAX = 100
_FORMAT_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
_UNIT_MS: dict[str, Decimal] = {
    name: Decimal(ms)
    for names, ms in (
        ("ns nsec nanosecond nanoseconds", "0.000001"),
        ("us usec µs microsecond microseconds", "0.001"),
        ("ms msec millis milli millisecond milliseconds", "1"),
        ("s sec secs second seconds", "1000"),
        ("m min mins minute minutes", "60000"),
        ("h hr hrs hour hours", "3600000"),
        ("d day days", "86400000"),
        ("w wk week weeks", "604800000"),
    )
    for name in names.split()
}
_PART = re.compile(r"[\s,]*(\d+(?:\.\d+)?)\s*([a-zµ]+)", re.ASCII | re.IGNORECASE)
_NUMBER = r"(?:(\d+(?:[.,]\d+)?){})?"
_ISO = re.compile(
    "P"
    + "".join(_NUMBER.format(unit) for unit in "WD")
    + "(?:T(?=\\d)"
    + "".join(_NUMBER.format(unit) for unit in "HMS")
    + ")?",
    re.ASCII | re.IGNORECASE,
)
_ISO_UNITS = ("w", "d", "h", "m", "s")


def format_duration(ms: int) -> str:
    """The shortest text that `parse_duration` reads back as the same number: `90_000` is `1m 30s`."""
    parts: list[str] = []
    for unit, size in _FORMAT_UNITS:
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


def parse_duration(text: str) -> int:
    """Milliseconds; a fraction of one is rounded up, so that what is asked for is never undercut.

    Raises:
        ValueError: not a duration, or longer than `DURATION_MS_MAX`; the text says what is expected. Months
            and years have no fixed length and are refused.
    """
    stripped = text.strip()
    if not stripped or len(stripped) > _TEXT_CHARS_MAX:
        raise _not_a_duration(text)
    total = _iso_ms(stripped) if stripped[0] in "Pp" else _friendly_ms(stripped)
    if total is None:
        raise _not_a_duration(text)
    ms = int(total.to_integral_value(rounding="ROUND_CEILING"))
    if ms > DURATION_MS_MAX:
        raise ValueError(f"the duration {text[:_TEXT_CHARS_MAX]!r} is longer than {DURATION_MS_MAX} ms")
    return ms


def _friendly_ms(text: str) -> Decimal | None:
    if text == "0":
        return Decimal(0)
    total, position = Decimal(0), 0
    while position < len(text):
        part = _PART.match(text, position)
        unit_ms = None if part is None else _UNIT_MS.get(part[2].lower())
        if part is None or unit_ms is None:
            return None
        total += Decimal(part[1]) * unit_ms
        position = part.end()
    return total


def _iso_ms(text: str) -> Decimal | None:
    found = _ISO.fullmatch(text)
    if found is None or not any(found.groups()):
        return None
    total = Decimal(0)
    for unit, number in zip(_ISO_UNITS, found.groups(), strict=True):
        if number:
            total += Decimal(number.replace(",", ".")) * _UNIT_MS[unit]
    return total


def _not_a_duration(text: str) -> ValueError:
    shown = text[:_TEXT_CHARS_MAX]
    return ValueError(
        f"{shown!r} is not a duration; expected for example '300ms', '1m 30s', '1d' or 'PT1M30S'"
    )
