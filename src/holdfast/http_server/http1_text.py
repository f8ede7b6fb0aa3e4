"""The words of HTTP/1.1 that every server of it needs."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


def origin_form(target: str) -> str:
    """Path and query of a request target, which proxies may send with scheme and authority."""
    if target[:1] == "/" or "://" not in target:
        return target
    _, _, rest = target.partition("://")
    slash = rest.find("/")
    return rest[slash:] if slash >= 0 else "/"


def framing_head(headers: Sequence[tuple[str, str]], *, old: bool) -> str:
    """A head that says of another one's body only where it ends.

    A parser takes everything behind a head that asks for another protocol, as Java's client does, for that
    protocol. A fresh one that is told this instead reads the body as HTTP/1.1 all the same.

    Args:
        old: it is HTTP/1.0.
    """
    lines = ["POST / HTTP/1.0" if old else "POST / HTTP/1.1"]
    for name, value in headers:
        if name in ("content-length", "transfer-encoding"):
            lines.append(f"{name}: {value}")
        elif name == "connection" and "close" in value.lower():
            lines.append("connection: close")
    return "\r\n".join((*lines, "", ""))
