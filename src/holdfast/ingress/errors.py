"""What the ingress answers when it refuses, and the shape every error answer has.

The texts are part of the interface: clients of other servers of this protocol show and match them (protocol,
"Ingress HTTP interface"). `source` tells a client whose failure it is: `ingress`, nothing was invoked, or
`invocation`, the handler ended with this failure.
"""

from __future__ import annotations

from json import dumps
from typing import Final

from holdfast.core.model import Failure

Fields = list[tuple[str, str]]
"""Response headers in order, names in lower case. The body's length is added by the HTTP version."""

RETRY_AFTER_S: Final = 1
NOT_READY: Final = 470

INVOCATION_NOT_FOUND: Final = "invocation not found"
NOT_COMPLETED: Final = "the invocation exists but has not completed yet"
METHOD_NOT_ALLOWED: Final = "method not allowed"
NO_ROUTE: Final = "not found"
EXPECTED_PATHS: Final = (
    "bad path, expected either /:service-name/:handler or /:object-name/:object-key/:handler"
)
EXPECTED_NEWER_PATHS: Final = (
    "bad path, expected /restate/call/:service/:handler, /restate/send/:service/:handler, "
    "/restate/scope/:scope/call/:service/:handler, /restate/attach/:invocation_id, "
    "/restate/output/:invocation_id, or /restate/lookup"
)
EXPECTED_INVOCATION_PATHS: Final = (
    "bad path, expected either /restate/invocation/:invocation_id/output or "
    "/restate/invocation/:invocation_id/attach or "
    "/restate/invocation/:invocation_target/:idempotency_key/output or "
    "/restate/invocation/:invocation_target/:idempotency_key/attach"
)
EXPECTED_WORKFLOW_PATHS: Final = (
    "bad path, expected either /restate/workflow/:workflow_name/:workflow_key/output or "
    "/restate/workflow/:workflow_name/:workflow_key/attach"
)
EXPECTED_AWAKEABLE_PATHS: Final = (
    "bad path, expected either /restate/awakeables/:id/resolve or /restate/awakeables/:id/reject"
)
PRIVATE: Final = "the invoked service is not public"
DELAY_ON_CALL: Final = (
    "cannot use the delay query parameter with calls. The delay is supported only with sends"
)
IDEMPOTENCY_KEY_ON_WORKFLOW: Final = (
    "cannot use the idempotency key with workflow handlers. "
    "The handler invocation will already be idempotent by the workflow key itself."
)
IDEMPOTENCY_KEY_EMPTY: Final = "bad header idempotency-key: it is empty, expected at least one character"
SCOPES_DISABLED: Final = "scoped invocations require vqueues to be enabled"
LIMIT_KEY_WITHOUT_SCOPE: Final = "limit-key requires a scope to be set"
OVERLOADED: Final = "the server is overloaded, retry later"
INTERNAL: Final = "internal error, see the server's log"
SHUTTING_DOWN: Final = "the server is shutting down, retry on a new connection"
REQUEST_TIMEOUT: Final = "the request did not arrive in time"


class RequestError(Exception):
    """A request that is refused; nothing was invoked. `status` is the HTTP status and the body's code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class ListenError(OSError):
    """The ingress address cannot be bound: taken, not ours, or not permitted."""

    code = "ingress_address_unavailable"


def service_not_found(service: str) -> RequestError:
    return RequestError(
        404, f"service '{service}' not found, make sure to register the service before calling it."
    )


def handler_not_found(service: str, handler: str) -> RequestError:
    return RequestError(
        404,
        f"the service '{service}' exists, but the handler '{handler}' was not found, check that the handler "
        "exists in the latest registered service version.",
    )


def body_too_large(bytes_max: int) -> RequestError:
    return RequestError(413, f"the request body is larger than the limit of {bytes_max} bytes")


def refusal(status: int, message: str) -> tuple[int, Fields, bytes]:
    """The response for a request the ingress refused."""
    text = dumps(message, ensure_ascii=False)
    fields = [("x-restate-error-source", "ingress"), ("content-type", "application/json")]
    if status in (429, 503):
        fields.append(("retry-after", str(RETRY_AFTER_S)))
    return status, fields, f'{{"code":{status},"message":{text},"source":"ingress"}}'.encode(errors="replace")


def failed(id_text: str, failure: Failure) -> tuple[int, Fields, bytes]:
    """The response for an invocation that ended with a failure; what is no error status becomes 500."""
    code = failure.code
    metadata = ""
    if failure.metadata:
        metadata = f'"metadata":{dumps(dict(failure.metadata), ensure_ascii=False, separators=(",", ":"))},'
    text = dumps(failure.message, ensure_ascii=False)
    body = f'{{"code":{code},"message":{text},{metadata}"source":"invocation"}}'
    fields = [
        ("x-restate-id", id_text),
        ("x-restate-error-source", "invocation"),
        ("content-type", "application/json"),
    ]
    return code if 400 <= code <= 599 else 500, fields, body.encode(errors="replace")
