"""The errors users raise and catch."""

import copy
import pickle
from contextlib import suppress
from datetime import timedelta

import pytest

from holdfast import InvocationCancelled, RetryableError, TerminalError, UsageError
from holdfast.sdk.errors import AttemptEnded


def test_a_terminal_error_has_code_and_metadata() -> None:
    error = TerminalError("no stock", code=409, metadata={"item": "milk"})
    assert (error.message, error.code, dict(error.metadata)) == ("no stock", 409, {"item": "milk"})
    assert str(error) == "no stock"
    assert TerminalError("x").code == 500
    with pytest.raises(TypeError):
        error.metadata["item"] = "tea"  # type: ignore[index]
    with pytest.raises(UsageError, match="bad_error_code"):
        TerminalError("x", code=-1)


@pytest.mark.parametrize("error", [TerminalError("a", 404, {"k": "v"}), InvocationCancelled("gone")])
def test_errors_survive_copies_between_processes(error: TerminalError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert (again.message, again.code, dict(again.metadata)) == (
            error.message,
            error.code,
            dict(error.metadata),
        )


def test_cancellation_is_terminal_and_its_own_kind() -> None:
    with pytest.raises(TerminalError) as cancelled:
        raise InvocationCancelled
    assert cancelled.value.code == 409


def test_a_retryable_error_says_when() -> None:
    assert RetryableError("busy").retry_after is None
    assert RetryableError("busy", retry_after=timedelta(minutes=1)).retry_after == 60.0
    assert RetryableError("busy", retry_after=0.5).retry_after == 0.5
    with pytest.raises(ValueError, match="retry_after"):
        RetryableError("busy", retry_after=-1)


def test_the_end_of_an_attempt_passes_handlers_of_exceptions() -> None:
    def user_code() -> None:
        with suppress(Exception):
            raise AttemptEnded

    with pytest.raises(AttemptEnded):
        user_code()
