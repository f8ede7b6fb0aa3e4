"""Responses of an ingress, read into results and errors (protocol, sections 7.3 to 7.6).

The header `x-restate-error-source` decides whose failure an error is: `invocation`, the handler ended with
it; anything else, the request was refused on its way, by the ingress or by a proxy that never heard of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from json import JSONDecodeError, loads
from typing import Final, NoReturn, TypeVar, cast

from holdfast.client.errors import IngressError, InvocationFailed, NotReady, UnreadableAnswer
from holdfast.client.wire import Response
from holdfast.sdk.serde import Codec, Reader

O = TypeVar("O")  # noqa: E741

NOT_READY: Final = 470
FOREIGN_TEXT_CHARS_MAX: Final = 500
"""Of an answer that is not ours, such as a proxy's page, this much goes into the error."""


class SendStatus(StrEnum):
    """Whether a send started something."""

    ACCEPTED = "Accepted"
    PREVIOUSLY_ACCEPTED = "PreviouslyAccepted"


@dataclass(frozen=True, slots=True)
class Sent:
    """A send's answer. `execution_time`: when a delayed invocation starts, None when it was not delayed."""

    invocation_id: str
    status: SendStatus
    execution_time: datetime | None


def read_result(what: str, output: Reader[O], codec: Codec | None, response: Response) -> O:
    """The value of a call, attach or output.

    Raises:
        InvocationFailed: the invocation failed.
        NotReady: it has not ended.
        IngressError: any other refusal.
        UnreadableAnswer: the value is not of the target's type.
    """
    if response.status != 200:
        raise_refusal(response)
    body = response.body
    try:
        # Nothing was encoded where there was nothing to send: a handler without an output.
        return output.deserialize(codec.decode(body) if codec is not None and body else body)
    except Exception as error:  # serdes and codecs are users' code, and may raise anything
        invocation = response.headers.get("x-restate-id", "unknown invocation")
        raise UnreadableAnswer(
            f"{what} ({invocation}) ended well, but its result cannot be read as the handler's output type: "
            f"{error}. Check that the types here are those of the deployed handler, and that both sides use "
            "the same codec"
        ) from error


def read_sent(what: str, response: Response) -> Sent:
    """The acceptance of a send. Raises IngressError, or UnreadableAnswer for another body."""
    if response.status not in (200, 202):
        raise_refusal(response)
    try:
        body = _object(response)
        time = body.get("executionTime")
        return Sent(
            str(body["invocationId"]),
            SendStatus(str(body["status"])),
            None if time is None else datetime.fromisoformat(str(time)),
        )
    except (KeyError, ValueError) as error:
        raise UnreadableAnswer(
            f"{what}: expected an object with invocationId and status, found {_excerpt(response)!r}"
        ) from error


def read_nothing(response: Response) -> None:
    """An acceptance without content. Raises IngressError."""
    if response.status not in (200, 202):
        raise_refusal(response)


def read_health(what: str, response: Response) -> list[str]:
    """Names of services, as the server orders them. Raises IngressError or UnreadableAnswer."""
    if response.status != 200:
        raise_refusal(response)
    try:
        services = _object(response)["services"]
    except (KeyError, ValueError) as error:
        raise UnreadableAnswer(
            f"{what}: expected a list of services, found {_excerpt(response)!r}"
        ) from error
    return [str(name) for name in cast("list[object]", services)] if isinstance(services, list) else []


def from_ingress(response: Response) -> bool:
    """Whether this error is about the request, not the result of an invocation."""
    return response.headers.get("x-restate-error-source") != "invocation"


def raise_refusal(response: Response) -> NoReturn:
    """Raise what an error response says."""
    status = response.status
    try:
        body = _object(response)
    except ValueError:
        body = {}
    code = body.get("code")
    message = body.get("message")
    if not isinstance(code, int) or isinstance(code, bool) or not 0 <= code <= 65535:
        code = status
    if not isinstance(message, str):
        message = _excerpt(response) or "no message"
    if not from_ingress(response):
        metadata = body.get("metadata")
        texts: dict[str, str] = {}
        if isinstance(metadata, dict):
            texts = {str(k): str(v) for k, v in cast("dict[object, object]", metadata).items()}
        raise InvocationFailed(message, code, texts, response.headers.get("x-restate-id"))
    if status == NOT_READY:
        raise NotReady(status, code, message)
    raise IngressError(status, code, message)


def _object(response: Response) -> dict[str, object]:
    """The body as a JSON object. Raises ValueError."""
    try:
        value: object = loads(response.body)
    except (JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return cast("dict[str, object]", value)


def _excerpt(response: Response) -> str:
    return response.body[:FOREIGN_TEXT_CHARS_MAX].decode(errors="replace").strip()
