"""What all connections of one worker share: the app, its limits, and how many attempts are under way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from holdfast.http2.server_side import ConnectionLimits
from holdfast.http_server.site import HttpSite
from holdfast.sdk.endpoint.app import App
from holdfast.sdk.endpoint.routes import Invoke


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """What one worker accepts. Times in seconds."""

    connection: ConnectionLimits = field(default_factory=ConnectionLimits)
    attempts_max: int = 16_384
    """At once; more are refused, and tried again by the server."""
    connections_max: int = 10_000
    """More are closed at once."""
    header_deadline_s: float = 15.0
    """From a request's first byte to the end of its headers."""
    replay_deadline_s: float = 60.0
    """How long the journal may stop coming before all of it is here."""
    keep_alive_s: float = 300.0
    """How long a connection may sit without a request."""
    write_deadline_s: float = 120.0
    """How long a client may take nothing of what waits for it."""
    discard_s: float = 5.0
    """How long a request may go on behind its response."""


class Site(HttpSite[ServingLimits]):
    """Shared by the connections of one `HandlerServer`.

    Attributes:
        attempts: under way.
        heads: header blocks of this second's responses, by the identity of what is invoked: see `http2`.
    """

    def __init__(self, app: App, limits: ServingLimits, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limits, loop)
        self.app = app
        self.attempts = 0
        self.heads: dict[int, tuple[Invoke, bytes]] = {}

    @property
    def has_room(self) -> bool:
        """Whether one more attempt may begin."""
        return self.attempts < self.limits.attempts_max

    def new_tick(self) -> None:
        self.heads.clear()
