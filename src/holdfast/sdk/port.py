"""What an attempt needs of the process around it: a clock, a place for steps' bodies, somebody who sends."""

from collections.abc import Callable
from typing import Final, Protocol

from holdfast.sdk.steps import PendingStep


class AttemptPort(Protocol):
    """What an attempt needs of the process around it."""

    def now_ms(self) -> int:
        """The wall clock, epoch ms: what durable timers are set by."""
        ...

    def start_step(self, step: PendingStep) -> None:
        """Run a step's body; report with `Attempt.step_returned` or `step_raised`, exactly once, later."""
        ...

    def stop_step(self, step: PendingStep) -> None:
        """Cancel a body whose result nobody wants; what it reports is ignored."""
        ...

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call back in real time."""
        ...

    def flush(self) -> None:
        """The machine has output; send it soon."""
        ...


class _Nobody:
    """The port of an attempt that has been released: stragglers report to it."""

    def now_ms(self) -> int:
        return 0

    def start_step(self, step: PendingStep) -> None: ...
    def stop_step(self, step: PendingStep) -> None: ...
    def call_later(self, delay_s: float, call: Callable[[], None]) -> None: ...
    def flush(self) -> None: ...


NOBODY: Final[AttemptPort] = _Nobody()
