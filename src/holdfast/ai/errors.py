"""What a provider's error means for a step: try again, and when, or give up.

The classes of vendors are not imported; their errors are told by what they carry. `status_code`, and
`response.headers` for the delay the provider asks for, are what the errors of OpenAI, Anthropic, LiteLLM and
Pydantic AI have in common. An error that wraps another one (`raise ... from error`) is read through.

Retrying is the engine's: it survives the process, and clients that retry by themselves multiply its attempts.
Where this package makes the call itself, the client's own retries are off.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol, runtime_checkable

from holdfast.sdk.errors import RetryableError, TerminalError, UsageError

RETRIED_STATUSES = frozenset([408, 409, 425, 429])
"""Client errors that pass by themselves; every other status from 400 to 499 stays what it is."""

RETRY_AFTER_S_MAX = 3600.0
"""The longest delay taken from a provider; a longer one would park an agent for a typing error."""

CAUSES_MAX = 8
"""How far a chain of wrapped errors is followed."""

TEXT_CHARS_MAX = 4096
"""How much of a provider's text becomes the message of a terminal error."""

STATUS_METADATA = "provider_status"
"""Where a terminal error keeps the provider's status."""


@runtime_checkable
class _Headers(Protocol):
    def get(self, key: str, /) -> object: ...


def as_step_error(exc: Exception) -> Exception:
    """The error a step should fail with, for an error that its body raised.

    Statuses 408, 409, 425, 429 and 5xx are retried, after the answer's `retry-after-ms` or `retry-after` if
    it has one; other 4xx end the step with a `TerminalError` that names the status. What has no status
    (connections that broke, answers that do not parse) is given back as it is, and so retried.

    Args:
        exc: also one of ours, which is given back.
    """
    if isinstance(exc, TerminalError | RetryableError | UsageError):
        return exc
    status = status_of(exc)
    if status is None:
        return exc
    if 400 <= status < 500 and status not in RETRIED_STATUSES:
        text = f"the model provider answered {status}: {type(exc).__name__}: {exc}"
        if len(text) > TEXT_CHARS_MAX:
            text = text[:TEXT_CHARS_MAX] + "..."
        terminal = TerminalError(text, metadata={STATUS_METADATA: str(status)})
        terminal.__cause__ = exc
        return terminal
    delay_s = retry_after_s(exc)
    if delay_s is None:
        return exc
    retryable = RetryableError(f"{type(exc).__name__}: {exc}", retry_after=delay_s)
    retryable.__cause__ = exc
    return retryable


def status_of(exc: BaseException) -> int | None:
    """The HTTP status an error or one of its causes carries, None when there is none."""
    for error in _chain(exc):
        status = getattr(error, "status_code", None)
        if isinstance(status, int) and not isinstance(status, bool):
            return status
    return None


def retry_after_s(exc: BaseException) -> float | None:
    """How long the provider asks to wait, in seconds from now, at most `RETRY_AFTER_S_MAX`."""
    for error in _chain(exc):
        for holder in (getattr(error, "response", None), error):
            headers = getattr(holder, "headers", None)
            if isinstance(headers, _Headers):
                delay_s = _delay_s(headers)
                if delay_s is not None:
                    return min(delay_s, RETRY_AFTER_S_MAX)
    return None


def _delay_s(headers: _Headers) -> float | None:
    milliseconds = _number(_text(headers, "retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = _text(headers, "retry-after")
    seconds = _number(text)
    if seconds is not None or text is None:
        return seconds
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _text(headers: _Headers, name: str) -> str | None:
    value = headers.get(name)
    if value is None:  # a plain dict knows only the spelling it was filled with
        value = headers.get(name.title())
    return value if isinstance(value, str) else None


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    # Not only NaN: a negative delay means nothing.
    return value if 0 <= value < float("inf") else None


def _chain(exc: BaseException) -> Iterator[BaseException]:
    error: BaseException | None = exc
    for _ in range(CAUSES_MAX):
        if error is None:
            return
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
