"""The wall clock of a test: virtual time, counted from a fixed instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from holdfast.testing.loop import VirtualLoop

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When tests begin, unless they say otherwise: the same in every run."""


class VirtualClock:
    """The engine's clock on a virtual loop.

    Args:
        start: what it shows when the loop's time is 0.
    Raises:
        ValueError: `start` has no time zone.
    """

    def __init__(self, loop: VirtualLoop, start: datetime = EPOCH) -> None:
        if start.tzinfo is None:
            raise ValueError(f"start {start} has no time zone; give one, such as tzinfo=datetime.UTC")
        self._loop = loop
        self._start_ms = (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return self._start_ms + int(self._loop.time() * 1000)

    def now(self) -> datetime:
        """The instant in UTC."""
        return datetime.fromtimestamp(self.now_ms() / 1000, UTC)
