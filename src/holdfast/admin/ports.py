"""What the admin interface needs from others, and how it is configured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from holdfast import __version__


class QueryRunner(Protocol):
    """Read-only SQL over invocations, journals, state and the catalog."""

    async def run(self, sql: str, accept: str) -> tuple[str, bytes]:
        """Content type and body of the answer: JSON rows when `accept` is `application/json`, else Arrow.

        Raises:
            QueryError: the query is not valid, or not now.
        """
        ...


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """`ingress_endpoint` is the URI clients reach ingress at, told by `/version`; `version` what it calls
    this server. Pages of `cors_origins` may use the interface from a browser; `*` means any page."""

    ingress_endpoint: str = "http://localhost:8080/"
    cluster_name: str = "localcluster"
    version: str = __version__
    body_bytes_max: int = 32 * 1024 * 1024
    cors_origins: tuple[str, ...] = ()
