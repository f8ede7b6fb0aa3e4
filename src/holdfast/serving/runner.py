"""The port of an attempt whose connection is our own: what it has to say is collected once per turn of the
loop, by whoever holds the connection."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.sdk.endpoint.headers import PairHeaders
from holdfast.sdk.endpoint.routes import Invoke
from holdfast.sdk.endpoint.step_runner import StepRunner
from holdfast.sdk.steps import PendingStep
from holdfast.serving.site import Site


class StreamRunner(StepRunner):
    """Makes its attempt and ends with it.

    Args:
        due: the attempt may have something to say; called any number of times until it is collected.

    Attributes:
        begun: bodies were started since this was last cleared: their first results are worth waiting for, to
            the end of this turn.
        over: the attempt is let go of.
    """

    def __init__(self, site: Site, invoke: Invoke, headers: PairHeaders, due: Callable[[], None]) -> None:
        super().__init__(site.loop, site.app.payloads)
        self._site = site
        self._due = due
        self.begun = False
        self.over = False
        site.attempts += 1
        site.app.make_attempt(invoke, self, headers)

    def start_step(self, step: PendingStep) -> None:
        self.begun = True
        super().start_step(step)

    def flush(self) -> None:
        self._due()

    def finish(self) -> None:
        """The attempt has ended and its last frame is on the way; or it never will."""
        if not self.over:
            self.over = True
            self._site.attempts -= 1
            # The stream refers to this and `due` to the stream: with that cycle every attempt would wait for
            # the garbage collector, which stops the process for milliseconds and costs a fifth of its CPU.
            self._due = _nobody_collects
            self.close()

    def cut(self) -> None:
        """Nobody listens any more: stop everything."""
        if not self.over:
            self.attempt.abandon()
            self.finish()


def _nobody_collects() -> None:
    """Over: nothing is to be said any more."""
