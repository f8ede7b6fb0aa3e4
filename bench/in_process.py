"""One attempt in this process: the shortest ASGI server there is, which acknowledges proposals at once."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from holdfast.protocol.framing import FrameDecoder, MessageType
from holdfast.protocol.messages import (
    InputCommandMessage,
    ProposeRunCompletionAckMessage,
    ProposeRunCompletionMessage,
    StartMessage,
    Value,
    frame,
)
from holdfast.sdk.endpoint.app import App

CONTENT_TYPE = b"application/vnd.restate.invocation.v7"


def opening(value: bytes) -> bytes:
    """A journal that holds the input alone."""
    start = frame(StartMessage(bytes(24), "inv_1x", 1, random_seed=1))
    return start + frame(InputCommandMessage(value=Value(value)))


async def attempt(app: App, path: str, journal: bytes, *headers: tuple[bytes, bytes]) -> None:
    """From its opening to its end.

    Raises:
        RuntimeError: the attempt failed; carries its error message, encoded.
    """
    decoder = FrameDecoder()
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    queue.put_nowait(journal)

    async def receive() -> MutableMapping[str, Any]:
        data = await queue.get()
        return {"type": "http.request", "body": data, "more_body": bool(data)}

    async def send(message: MutableMapping[str, Any]) -> None:
        for type_, _, body in decoder.feed(message.get("body", b"")):
            if type_ == MessageType.PROPOSE_RUN_COMPLETION:
                proposal = ProposeRunCompletionMessage.decode(body)
                queue.put_nowait(frame(ProposeRunCompletionAckMessage(proposal.result_completion_id)))
            elif type_ == MessageType.END:
                queue.put_nowait(b"")
            elif type_ == MessageType.ERROR:
                raise RuntimeError(body)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": path,
        "http_version": "2",
        "headers": [(b"content-type", CONTENT_TYPE), (b"accept", CONTENT_TYPE), *headers],
    }
    await app(scope, receive, send)
