"""What a provider's error means for a step."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from holdfast import RetryableError, TerminalError, UsageError
from holdfast.ai import as_step_error
from holdfast.ai.errors import RETRY_AFTER_S_MAX, STATUS_METADATA, TEXT_CHARS_MAX


class Answer:
    """What vendors' errors keep of the HTTP answer."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers


class VendorError(Exception):
    """As OpenAI's, Anthropic's and LiteLLM's look."""

    def __init__(self, status_code: object, text: str = "no", **headers: str) -> None:
        super().__init__(text)
        self.status_code = status_code
        self.response = Answer({name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_what_the_provider_refuses_for_good_is_terminal(status: int) -> None:
    error = as_step_error(VendorError(status, "bad key"))
    assert isinstance(error, TerminalError)
    assert error.metadata == {STATUS_METADATA: str(status)}
    assert error.message == f"the model provider answered {status}: VendorError: bad key"


@pytest.mark.parametrize("status", [200, 408, 409, 425, 429, 500, 502, 503, 529])
def test_what_passes_by_itself_is_retried_as_it_is(status: int) -> None:
    error = VendorError(status)
    assert as_step_error(error) is error


@pytest.mark.parametrize(
    ("headers", "delay_s"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after": "7", "retry_after_ms": "250"}, 0.25),
        ({"Retry_After": "3"}, 3),
        ({"retry_after": "86400"}, RETRY_AFTER_S_MAX),
    ],
)
def test_the_provider_says_when_to_try_again(headers: dict[str, str], delay_s: float) -> None:
    error = as_step_error(VendorError(429, **headers))
    assert isinstance(error, RetryableError)
    assert error.retry_after == delay_s


def test_a_date_counts_from_now() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    error = as_step_error(VendorError(503, retry_after=at))
    assert isinstance(error, RetryableError)
    assert error.retry_after is not None
    assert 50 < error.retry_after <= 60
    past = as_step_error(VendorError(503, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"))
    assert isinstance(past, RetryableError)
    assert past.retry_after == 0


@pytest.mark.parametrize("nonsense", ["soon", "-1", "nan", "inf", "", "Wed, 99 Foo 2026"])
def test_a_delay_that_is_none_is_left_to_the_policy(nonsense: str) -> None:
    error = VendorError(429, retry_after=nonsense)
    assert as_step_error(error) is error


def test_an_error_that_wraps_another_is_read_through() -> None:
    class FrameworkError(Exception):
        pass

    try:
        try:
            raise VendorError(429, retry_after="2")
        except VendorError as inner:
            raise FrameworkError("the model failed") from inner
    except FrameworkError as outer:
        error = as_step_error(outer)
    assert isinstance(error, RetryableError)
    assert error.retry_after == 2


@pytest.mark.parametrize(
    "error",
    [ValueError("no status"), VendorError("429"), VendorError(True), ConnectionError("cut")],
    ids=["none", "text", "bool", "connection"],
)
def test_what_has_no_status_is_retried_as_it_is(error: Exception) -> None:
    assert as_step_error(error) is error


@pytest.mark.parametrize("error", [TerminalError("x"), RetryableError("x", 3), UsageError("x", "y")])
def test_our_own_errors_stay(error: Exception) -> None:
    assert as_step_error(error) is error


def test_a_whole_page_in_an_error_is_cut() -> None:
    error = as_step_error(VendorError(400, "x" * 1_000_000))
    assert isinstance(error, TerminalError)
    assert len(error.message) <= TEXT_CHARS_MAX + 3


def test_causes_that_go_in_a_circle_end() -> None:
    one, other = ValueError("a"), ValueError("b")
    one.__cause__, other.__cause__ = other, one
    assert as_step_error(one) is one
