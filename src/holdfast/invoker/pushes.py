"""Where an attempt goes, and what all pushes there share: handler, deployment, version, path, headers.

Looked up for every attempt, worked out once: `Pushes` keeps what it found until the catalog has another
handler or deployment in its place, which it tells by identity, since both are replaced and never changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from holdfast.catalog.model import Deployment, Handler
from holdfast.core.model import Invocation
from holdfast.invoker.http import PreparedHeaders
from holdfast.protocol.step_metadata import EXTENSIONS_HEADER, STEP_METADATA
from holdfast.protocol.versions import content_type_of, negotiate

PUSHES_KEPT_MAX = 4096


class Deployments(Protocol):
    """The catalog as the invoker reads it."""

    def handler(self, service: str, handler: str) -> Handler | None: ...
    def pinned_handler(self, deployment_id: str, service: str, handler: str) -> Handler | None: ...
    def deployment(self, id_: str) -> Deployment | None: ...


@dataclass(slots=True)
class Push:
    """One handler on one deployment at one protocol version. `path` is percent-encoded."""

    handler: Handler
    deployment: Deployment
    version: int
    path: str
    headers: PreparedHeaders
    content_type: str
    """Of both directions."""


class Pushes:
    """Finds the push of an invocation. The versions are what this server speaks."""

    def __init__(self, catalog: Deployments, version_min: int, version_max: int) -> None:
        self._catalog = catalog
        self._version_min = version_min
        self._version_max = version_max
        self._known: dict[tuple[str, str, str | None, int | None], Push] = {}

    def of(self, invocation: Invocation) -> Push | None:
        """Where its next attempt goes: to the deployment it is pinned to, else to the newest; None when there
        is none that serves its handler.

        Raises:
            UnsupportedVersion: the deployment does not speak the version it needs.
        """
        service, name, _, _ = invocation.target
        pinned, catalog = invocation.deployment, self._catalog
        if pinned is None:
            handler = catalog.handler(service, name)
        else:
            handler = catalog.pinned_handler(pinned, service, name)
        deployment = None if handler is None else catalog.deployment(pinned or handler.deployment)
        if handler is None or deployment is None:
            return None
        key = (service, name, pinned, invocation.protocol_version)
        push = self._known.get(key)
        if push is None or push.handler is not handler or push.deployment is not deployment:
            push = self._make(handler, deployment, invocation.protocol_version)
            if len(self._known) >= PUSHES_KEPT_MAX:
                self._known.clear()
            self._known[key] = push
        return push

    def _make(self, handler: Handler, deployment: Deployment, pinned_version: int | None) -> Push:
        # A pinned version comes with the journal; an operator may have moved it to where less is spoken.
        version = negotiate(
            pinned_version or self._version_min,
            pinned_version or self._version_max,
            deployment.min_protocol_version,
            deployment.max_protocol_version,
        )
        content_type = content_type_of(version)
        headers = PreparedHeaders(
            [
                ("content-type", content_type),
                ("accept", content_type),
                (EXTENSIONS_HEADER, STEP_METADATA),
                *((name.lower(), value) for name, value in deployment.additional_headers),
            ]
        )
        path = f"/invoke/{quote(handler.service)}/{quote(handler.name)}"
        return Push(handler, deployment, version, path, headers, content_type)
