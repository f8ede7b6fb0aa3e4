"""Why attempts fail, and under which code (protocol, "Errors and retries")."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from holdfast.core.commands import AttemptError, Behavior
from holdfast.core.model import AttemptFailure, RetryPolicy
from holdfast.protocol.control import ErrorMessage
from holdfast.protocol.errors import AwaitTreeTooDeep, FrameTooLarge, ProtocolError
from holdfast.protocol.framing import type_name

ABORT_TIMEOUT = "RT0001"
TOO_LARGE = "RT0003"
SERVER = "RT0006"
HANDLER = "RT0007"
NETWORK = "RT0010"
NO_DEPLOYMENT = "RT0011"
PROTOCOL = "RT0012"
VERSION = "RT0014"
VERSION_REFUSED = "RT0015"
JOURNAL_MISMATCH = "RT0016"
PRECONDITION = "RT0017"
UNKNOWN_CALLEE = "RT0018"
CONTENT_TOO_LARGE = "RT0019"
RATE_LIMITED = "RT0023"
FLOW_CONTROL = "RT0024"
TREE_TOO_DEEP = "RT0025"

_VERSION_WITH_BEHAVIOR = 7
_JOURNAL_MISMATCH_CODE = 570
_PROTOCOL_VIOLATION_CODE = 571
_RETRY_AFTER_MS_MAX = 24 * 3600 * 1000


class Refusal(Exception):
    """The attempt asked for something it must not have. `doc_code` names the entry of docs/errors.md."""

    def __init__(self, doc_code: str, message: str) -> None:
        super().__init__(message)
        self.doc_code = doc_code


def attempt_error(
    doc_code: str,
    message: str,
    policy: RetryPolicy,
    jitter: float,
    *,
    code: int = 500,
    retry_after_ms: int | None = None,
) -> AttemptError:
    """An end that the server noticed."""
    behavior = Behavior.PAUSE if doc_code == TREE_TOO_DEEP else Behavior.RETRY
    return AttemptError(AttemptFailure(code, message, doc_code), policy, jitter, retry_after_ms, behavior)


def from_error_frame(error: ErrorMessage, version: int, policy: RetryPolicy, jitter: float) -> AttemptError:
    """An end that the SDK reported. Before version 7 it could only ask for a retry."""
    behavior = int(error.behavior) if version >= _VERSION_WITH_BEHAVIOR else Behavior.RETRY
    doc_code = {_JOURNAL_MISMATCH_CODE: JOURNAL_MISMATCH, _PROTOCOL_VIOLATION_CODE: PROTOCOL}.get(
        error.code, HANDLER
    )
    failure = AttemptFailure(
        error.code,
        error.message,
        doc_code,
        error.stacktrace,
        error.related_command_index,
        error.related_command_name,
        None if error.related_command_type is None else type_name(error.related_command_type),
    )
    return AttemptError(failure, policy, jitter, error.next_retry_delay, behavior)


def from_protocol_error(error: ProtocolError, policy: RetryPolicy, jitter: float) -> AttemptError:
    """An end because what the SDK sent cannot be read."""
    if isinstance(error, FrameTooLarge):
        doc_code = TOO_LARGE
    elif isinstance(error, AwaitTreeTooDeep):
        doc_code = TREE_TOO_DEEP
    else:
        doc_code = PROTOCOL
    return attempt_error(doc_code, str(error), policy, jitter)


def from_status(
    status: int, headers: dict[str, str], body: str, policy: RetryPolicy, jitter: float
) -> AttemptError:
    """An end because the deployment answered with something other than a stream."""
    doc_code, retry_after_ms = PROTOCOL, None
    if status in (429, 503):
        doc_code, retry_after_ms = RATE_LIMITED, _retry_after_ms(headers.get("retry-after"))
    elif status in (502, 504):
        doc_code = NETWORK
    elif status == 415:
        doc_code = VERSION_REFUSED
    elif status == 413:
        doc_code = CONTENT_TOO_LARGE
    said = f": {body}" if body else ""
    message = f"the deployment answered with status {status} instead of 200{said}"
    return attempt_error(doc_code, message, policy, jitter, retry_after_ms=retry_after_ms)


def _retry_after_ms(value: str | None) -> int | None:
    """Seconds or an HTTP date; None when it is missing or unreadable."""
    if value is None:
        return None
    value = value.strip()
    if value.isdecimal():
        return min(int(value[:12]) * 1000, _RETRY_AFTER_MS_MAX)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    wait_ms = int((at - datetime.now(UTC)).total_seconds() * 1000)
    return min(max(wait_ms, 0), _RETRY_AFTER_MS_MAX)
