"""What a handler may know about its invocation besides its input."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """The invocation and the attempt.

    Attributes:
        invocation_id: printable, `inv_1...`.
        key: of the object or workflow; empty in plain services.
        headers: of the call, names in lower case; where a name repeats, the last one.
        attempt_headers: of this attempt's HTTP request, likewise; they differ between attempts.
        body: the input's bytes, after the payload codec.
        idempotency_key: from protocol version 7 on and where the server sends it.
        failed_attempts: since the journal last grew. Differs between attempts: do not decide by it.
    """

    invocation_id: str
    key: str
    headers: Mapping[str, str]
    attempt_headers: Mapping[str, str]
    body: bytes
    idempotency_key: str | None
    failed_attempts: int
