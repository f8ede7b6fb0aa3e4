"""The errors of the SDK: which end an invocation, which are retried, which are mistakes in the user's code.

TerminalError        the handler gave up: recorded as its result, raised at the caller, never retried
PauseError           neither retried nor failed: paused until an operator resumes it
RetryableError       failed for now, with a word on when to try again; any other exception is retried too
InvocationCancelled  somebody cancelled this invocation; a TerminalError, so that compensations run
UsageError           the code uses the SDK wrongly; says what, where, and what to write instead
AttemptEnded         not an error: this attempt is over. A BaseException, past every `except Exception`
"""

from collections.abc import Mapping
from types import MappingProxyType

from holdfast.sdk.durations import Duration, seconds_of

TERMINAL_CODE_DEFAULT = 500
CANCELLED_CODE = 409


class TerminalError(Exception):
    """Ends the invocation as failed: journaled, given to the caller, never retried.

    Attributes:
        message: what callers see.
        code: an HTTP status from 400 to 599, the caller's status at ingress.
        metadata: further text for the caller, from protocol version 6 on; read only.
    """

    def __init__(
        self,
        message: str,
        code: int = TERMINAL_CODE_DEFAULT,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        if not 0 <= code <= 65535:
            raise UsageError("bad_error_code", f"TerminalError code is {code}; expected an HTTP status")
        super().__init__(message)
        self.message = message
        self.code = code
        self.metadata: Mapping[str, str] = MappingProxyType(dict(metadata or {}))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self)._restore, (self.message, self.code, dict(self.metadata))

    @classmethod
    def _restore(cls, message: str, code: int, metadata: dict[str, str]) -> "TerminalError":
        error = cls.__new__(cls)
        TerminalError.__init__(error, message, code, metadata)
        return error


class InvocationCancelled(TerminalError):
    """This invocation was cancelled; raised where the handler waits, so that it can compensate and end."""

    def __init__(
        self,
        message: str = "cancelled",
        code: int = CANCELLED_CODE,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code, metadata)


class RetryableError(Exception):
    """Failed for now; the attempt or step is tried again by its retry policy.

    Attributes:
        retry_after: seconds until the next try instead of the policy's delay, None for the policy's.
    """

    def __init__(self, message: str, retry_after: Duration | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after: float | None = (
            None if retry_after is None else seconds_of(retry_after, "retry_after")
        )


class PauseError(Exception):
    """Stop here until somebody resumes the invocation: retrying would not help, failing would lose it.

    Before protocol version 7 the server knows no such wish, and retries as after any other exception.
    """


class UsageError(Exception):
    """The SDK is used wrongly: says what was found and where, what was expected, what to do.

    Attributes:
        code: stable text such as "handler_not_async", for tests and searches.
        message: the whole sentence.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} [{code}]")
        self.code = code
        self.message = message


class SerdeError(UsageError):
    """A value that does not fit the type it is declared with."""


class SerializeError(SerdeError):
    """A value that cannot be written, or would not come back as what it is."""


class DeserializeError(SerdeError):
    """Bytes that are not what the declared type expects; at a handler's input the caller's fault."""


class AttemptEnded(BaseException):
    """Unwinds a handler whose attempt is over: it suspended, or its journal does not match.

    Never caught by `except Exception`; code that catches it must raise it again. `finally` blocks run, and
    may not await.
    """
