"""One operation from its first request to its result: when to send it again, and when to give up.

Sans-IO: a front performs the `Attempt` it is given, reports what came of it, and is told the next attempt or
the result. No clock and no sleeping here: how long things took is part of the report, chance is an argument.

What may be sent again, and why:

    the connection was never made         always: nothing was sent
    429                                   always: the server refused before it accepted anything
    the connection broke, 502, 503, 504   only if the operation is repeatable

The last row is the careful one. Without an idempotency key nobody can tell whether the first request started
an invocation, and a second could start another. A 503 is no exception, even with Retry-After: a server that
shuts down gives it to requests whose invocation it has accepted already. With an idempotency key the second
request joins the first one's invocation, so a call that waits for hours survives restarts of the server: it
attaches again by being repeated.

The budget is one outage's. A request that was held for STEADY_S before its connection broke shows that the
server had been there, so its retries begin anew; otherwise a long call would run out of attempts in the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Generic, TypeAlias, TypeVar

from holdfast.client.answers import from_ingress
from holdfast.client.errors import AnswerTimeout, Unavailable
from holdfast.client.operations import Operation
from holdfast.client.wire import Request, Response
from holdfast.sdk.retry import Retry

T = TypeVar("T")

RETRY_DEFAULT: Final = Retry(max_attempts=30, initial_interval=0.05, max_interval=5.0, max_duration=60.0)
"""Long enough for a server's restart."""

STEADY_S: Final = 30.0
RETRY_AFTER_MAX_S: Final = 60.0
JITTER: Final = 0.5
"""A pause is shortened by up to this part of it, so that clients of one outage do not return together."""

OVERLOADED: Final = 429
GATEWAY_ERRORS: Final = frozenset((502, 503, 504))


@dataclass(frozen=True, slots=True)
class Attempt:
    """Send `request` after `pause_s`, and wait `timeout_s` for its answer; None: without limit."""

    request: Request
    pause_s: float
    timeout_s: float | None


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole response arrived, `took_s` after sending began."""

    response: Response
    took_s: float


@dataclass(frozen=True, slots=True)
class Broken:
    """No response. `sent`: the request may have reached the server. `timed_out`: nothing came in time."""

    error: Exception
    sent: bool
    timed_out: bool
    took_s: float


@dataclass(frozen=True, slots=True)
class Finished(Generic[T]):
    """The operation's result."""

    value: T


Report: TypeAlias = Answered | Broken


class Exchange(Generic[T]):
    """The course of one operation.

    Args:
        operation: what to do.
        retry: the budget of one outage: `max_attempts` and `max_duration` count from its beginning.
        timeout_s: for all of it, pauses included; None for as long as it takes.
    """

    def __init__(self, operation: Operation[T], retry: Retry, timeout_s: float | None) -> None:
        self._operation = operation
        self._retry = retry
        self._left_s = timeout_s
        self._timeout_s = timeout_s
        self._failures = 0
        self._outage_s = 0.0

    def begin(self) -> Attempt:
        """The first attempt."""
        return Attempt(self._operation.request, 0.0, self._left_s)

    def judge(self, report: Report, chance: float) -> Attempt | Finished[T]:
        """What follows from an attempt's outcome.

        Args:
            report: of the attempt given last.
            chance: a fresh random number, from 0 to 1.
        Raises:
            Unavailable: no answer, and no further attempt is safe or left.
            AnswerTimeout: the timeout has passed.
            InvocationFailed, IngressError, UnreadableAnswer: what the answer says.
        """
        if self._left_s is not None:
            self._left_s = max(0.0, self._left_s - report.took_s)
        retriable, retry_after_s = self._assess(report)
        following = self._next(report.took_s, retry_after_s, chance) if retriable else None
        if following is not None:
            return following
        if isinstance(report, Answered):
            return Finished(self._operation.read(report.response))
        raise self._error(report) from report.error

    def _assess(self, report: Report) -> tuple[bool, float]:
        """Whether another attempt is safe and could help, and the shortest pause the server asks for."""
        repeatable = self._operation.repeatable
        if isinstance(report, Broken):
            return not report.timed_out and (repeatable or not report.sent), 0.0
        response = report.response
        if not from_ingress(response):
            return False, 0.0
        helps = response.status == OVERLOADED or (repeatable and response.status in GATEWAY_ERRORS)
        return helps, _retry_after_s(response) if helps else 0.0

    def _next(self, took_s: float, retry_after_s: float, chance: float) -> Attempt | None:
        """The next attempt, None when the budget or the time is used up."""
        if took_s >= STEADY_S:
            self._failures, self._outage_s = 0, 0.0
        else:
            self._outage_s += took_s
        self._failures += 1
        delay_ms = self._retry.next_delay_ms(self._failures, round(self._outage_s * 1000))
        if delay_ms is None:
            return None
        pause_s = max(retry_after_s, delay_ms / 1000 * (1 - JITTER * chance))
        if self._left_s is not None:
            if pause_s >= self._left_s:
                return None
            self._left_s -= pause_s
        self._outage_s += pause_s
        return replace(self.begin(), pause_s=pause_s)

    def _error(self, report: Broken) -> Exception:
        what, operation = self._operation.what, self._operation
        if report.timed_out:
            goes_on = "; what was asked for may still happen" if report.sent else ""
            return AnswerTimeout(f"{what}: no answer within {self._timeout_s} s{goes_on}")
        tried = f" (attempts of this outage: {self._failures})" if self._failures else ""
        if not report.sent:
            return Unavailable(f"{what}: cannot connect to the ingress: {report.error!r}{tried}", sent=False)
        advice = (
            ""
            if operation.repeatable
            else ". Whether it was accepted is unknown, so it was not sent again; with an idempotency_key it "
            "would have been"
        )
        return Unavailable(f"{what}: the connection broke: {report.error!r}{tried}{advice}", sent=True)


def _retry_after_s(response: Response) -> float:
    """Seconds the server asks to wait, 0 when it does not say; the form with a date counts as not saying."""
    text = response.headers.get("retry-after", "")
    return min(float(text), RETRY_AFTER_MAX_S) if text.isascii() and text.isdigit() else 0.0
