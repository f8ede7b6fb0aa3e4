"""What a client raises, by who has to act.

    InvocationFailed   the handler ended with a terminal error: the same class a handler would catch
    IngressError       the server refused the request; nothing new was invoked
      NotReady         `output()` of an invocation that still runs
    Unavailable        no answer: the server was not reached, or the connection broke
    AnswerTimeout      no answer within the caller's own timeout; the invocation goes on
    UnreadableAnswer   an answer that is not what the target's type or the protocol says

Requests that could not even be written down raise `holdfast.UsageError`.
"""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.sdk.errors import TerminalError


class ClientError(Exception):
    """Anything that went wrong between the client and the ingress."""


class InvocationFailed(TerminalError):
    """The invocation ended with a failure: cancelled, killed, or a TerminalError of its handler.

    Attributes:
        invocation_id: whose failure it is; None when the server did not say.
    """

    def __init__(
        self,
        message: str,
        code: int = 500,
        metadata: Mapping[str, str] | None = None,
        invocation_id: str | None = None,
    ) -> None:
        super().__init__(message, code, metadata)
        self.invocation_id = invocation_id


class IngressError(ClientError):
    """The ingress, or a proxy before it, refused the request.

    Attributes:
        status: the HTTP status (protocol, section 7.3).
        code: the code in the answer's body; the status when it had none.
        message: what the server said.
    """

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.code = code
        self.message = message


class NotReady(IngressError):
    """The invocation exists and has not completed. Ask again later, or `attach()` to wait."""


class Unavailable(ClientError):
    """No answer came, after every retry that was safe.

    Attributes:
        sent: whether the request may have reached the server. False: certainly nothing happened.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class AnswerTimeout(ClientError, TimeoutError):
    """The caller's timeout passed. What was asked for may still happen: a timeout cancels nothing."""


class UnreadableAnswer(ClientError, ValueError):
    """The server answered, and the answer is not what was expected of it."""
