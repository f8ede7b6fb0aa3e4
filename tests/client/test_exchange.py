"""When a request is sent again: stories of single failures, and the law that nothing runs twice."""

from __future__ import annotations

import pytest
from client.support import ADD, GREET, response
from hypothesis import given
from hypothesis import strategies as st

from holdfast.client.answers import from_ingress
from holdfast.client.errors import (
    AnswerTimeout,
    IngressError,
    InvocationFailed,
    Unavailable,
    UnreadableAnswer,
)
from holdfast.client.exchange import (
    RETRY_AFTER_MAX_S,
    STEADY_S,
    Answered,
    Attempt,
    Broken,
    Exchange,
    Finished,
    Report,
)
from holdfast.client.operations import Operation, Operations
from holdfast.sdk.retry import Retry

RETRY = Retry(max_attempts=4, initial_interval=1, max_interval=8, factor=2)
ONCE = Operations().call(GREET, "Ada", {})
REPEATABLE = Operations().call(GREET, "Ada", {"idempotency_key": "once"})
OK = Answered(response(200, "hi"), 0.0)
REFUSED = Broken(ConnectionRefusedError("refused"), sent=False, timed_out=False, took_s=0.0)
LOST = Broken(ConnectionResetError("reset"), sent=True, timed_out=False, took_s=0.0)


def refusal(status: int, source: str | None = "ingress", **headers: str) -> Answered:
    return Answered(response(status, {"code": status, "message": "no"}, source, **headers), 0.0)


def course(
    operation: Operation[str], *reports: Report, retry: Retry = RETRY, timeout_s: float | None = None
) -> tuple[str, list[float]]:
    """The result after `reports`, and the pauses before each attempt after the first."""
    exchange = Exchange(operation, retry, timeout_s)
    assert exchange.begin().request == operation.request
    pauses: list[float] = []
    for report in reports:
        verdict = exchange.judge(report, chance=0.0)
        if isinstance(verdict, Finished):
            assert report is reports[-1]
            return verdict.value, pauses
        assert verdict.request == operation.request
        pauses.append(verdict.pause_s)
    raise AssertionError("not finished")


def test_the_first_answer_is_the_result() -> None:
    assert course(ONCE, OK) == ("hi", [])


def test_a_connection_that_was_never_made_is_tried_again_by_anybody() -> None:
    assert course(ONCE, REFUSED, REFUSED, OK) == ("hi", [1, 2])


def test_a_connection_that_broke_is_tried_again_only_with_an_idempotency_key() -> None:
    assert course(REPEATABLE, LOST, OK) == ("hi", [1])
    with pytest.raises(Unavailable, match="idempotency_key") as caught:
        course(ONCE, LOST)
    assert caught.value.sent
    assert caught.value.__cause__ is LOST.error


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateways_error_is_tried_again_only_with_an_idempotency_key(status: int) -> None:
    assert course(REPEATABLE, refusal(status), OK)[0] == "hi"
    with pytest.raises(IngressError):
        course(ONCE, refusal(status, retry_after="1"))


def test_an_overloaded_server_is_asked_again_when_it_said() -> None:
    assert course(ONCE, refusal(429, retry_after="3"), OK) == ("hi", [3])
    assert course(ONCE, refusal(429), OK) == ("hi", [1])
    assert course(ONCE, refusal(429, retry_after="999999"), OK) == ("hi", [RETRY_AFTER_MAX_S])
    assert course(ONCE, refusal(429, retry_after="Sun, 22 Nov 2026 18:00:00 GMT"), OK) == ("hi", [1])


@pytest.mark.parametrize("status", [400, 404, 405, 413, 470, 500])
def test_other_refusals_are_final(status: int) -> None:
    with pytest.raises(IngressError):
        course(REPEATABLE, refusal(status))


@pytest.mark.parametrize("status", [429, 503])
def test_a_handlers_failure_is_a_result_whatever_its_code(status: int) -> None:
    with pytest.raises(InvocationFailed):
        course(REPEATABLE, refusal(status, "invocation"))


def test_the_budget_ends() -> None:
    with pytest.raises(Unavailable, match="attempts of this outage: 4") as caught:
        course(ONCE, REFUSED, REFUSED, REFUSED, REFUSED)
    assert not caught.value.sent
    with pytest.raises(IngressError):
        course(ONCE, *[refusal(429)] * 4)


def test_an_attempt_that_was_held_for_long_begins_a_new_outage() -> None:
    held = Broken(ConnectionResetError(), sent=True, timed_out=False, took_s=STEADY_S)
    assert course(REPEATABLE, *[held] * 20, OK) == ("hi", [1.0] * 20)


def test_the_duration_counts_waiting_and_trying() -> None:
    slow = Broken(ConnectionResetError(), sent=True, timed_out=False, took_s=2.0)
    with pytest.raises(Unavailable):
        course(REPEATABLE, slow, slow, slow, retry=Retry(max_duration=5, initial_interval=1, factor=1))


def test_a_pause_varies_with_chance() -> None:
    def pause(chance: float) -> float:
        verdict = Exchange(REPEATABLE, RETRY, None).judge(LOST, chance)
        assert isinstance(verdict, Attempt)
        return verdict.pause_s

    assert pause(0.0) == 1.0
    assert 0.5 <= pause(1.0) < pause(0.5) < 1.0


def test_a_timeout_covers_attempts_and_pauses() -> None:
    exchange = Exchange(REPEATABLE, RETRY, 10.0)
    assert exchange.begin().timeout_s == 10
    verdict = exchange.judge(Broken(ConnectionResetError(), sent=True, timed_out=False, took_s=4.0), 0.0)
    assert verdict == Attempt(REPEATABLE.request, 1.0, 5.0)
    with pytest.raises(AnswerTimeout, match=r"no answer within 10.0 s; what was asked for may still happen"):
        exchange.judge(Broken(TimeoutError(), sent=True, timed_out=True, took_s=5.0), 0.0)


def test_no_attempt_begins_after_the_timeout() -> None:
    with pytest.raises(Unavailable):
        course(REPEATABLE, LOST, timeout_s=0.5)


def maybe_started(report: Report) -> bool:
    """Whether, for all a client can know, this attempt started an invocation."""
    if isinstance(report, Broken):
        return report.sent
    return not from_ingress(report.response) or report.response.status in (200, 502, 503, 504)


reports = st.one_of(
    st.just(OK),
    st.builds(Broken, st.just(OSError()), st.booleans(), st.booleans(), st.floats(0, 100)),
    st.builds(
        refusal, st.sampled_from([400, 404, 429, 470, 500, 502, 503, 504]), st.sampled_from([None, "ingress"])
    ),
)


@given(st.lists(reports, max_size=12), st.floats(0, 1), st.none() | st.floats(0.1, 50))
def test_what_is_not_repeatable_is_never_sent_after_it_may_have_begun(
    history: list[Report], chance: float, timeout_s: float | None
) -> None:
    exchange = Exchange(Operations().call(ADD, 1, {"key": "k"}), RETRY, timeout_s)
    exchange.begin()
    for report in history:
        try:
            verdict = exchange.judge(report, chance)
        except (Unavailable, IngressError, AnswerTimeout, UnreadableAnswer):
            return
        if isinstance(verdict, Finished):
            return
        assert not maybe_started(report)
        assert timeout_s is None or (verdict.timeout_s is not None and 0 < verdict.timeout_s <= timeout_s)
