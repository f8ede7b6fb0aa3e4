"""Whole responses: everything that is not an attempt."""

import json
from dataclasses import dataclass

from holdfast.sdk.version import VERSION

SERVER_NAME = f"holdfast-python/{VERSION}"

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    content_type: str
    body: bytes

    @property
    def headers(self) -> Headers:
        """For ASGI."""
        return [
            (b"content-type", self.content_type.encode()),
            (b"content-length", str(len(self.body)).encode()),
            (b"x-restate-server", SERVER_NAME.encode()),
        ]

    @property
    def text_headers(self) -> list[tuple[str, str]]:
        """For RSGI."""
        return [(name.decode(), value.decode()) for name, value in self.headers]


def problem(status: int, message: str) -> Answer:
    """An error in words."""
    return Answer(status, "application/json", json.dumps({"message": message}).encode())
