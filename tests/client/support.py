"""Targets, codec and responses the client's tests share."""

from __future__ import annotations

import json

from holdfast.client.wire import Response
from holdfast.sdk.remote import remote

GREET = remote("Greeter", "greet", input=str, output=str, keyed=False)
PING = remote("Greeter", "ping", keyed=False)
ADD = remote("Counter", "add", input=int, output=int, keyed=True)
RUN = remote("Flow", "run", input=str, output=dict[str, object], keyed=True)
ANYWHERE = remote("Any", "where", input=bytes, output=bytes)


class Backwards:
    """A codec whose work is easy to see."""

    def encode(self, data: bytes) -> bytes:
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


def response(status: int, body: object = b"", source: str | None = None, **headers: str) -> Response:
    """A response; a body that is not bytes becomes JSON. `retry_after=` is the header `retry-after`."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if source is not None:
        fields["x-restate-error-source"] = source
    return Response(status, fields, body if isinstance(body, bytes) else json.dumps(body).encode())
