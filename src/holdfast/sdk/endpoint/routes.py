"""What a request asks for: discovery, an invocation, health, or nothing we have.

Only the end of the path counts, so that an app works under any mount point (protocol, "Paths").
"""

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from holdfast.protocol.errors import ProtocolError
from holdfast.protocol.versions import VERSION_MAX, VERSION_MIN, version_of
from holdfast.sdk.discovery import discover
from holdfast.sdk.endpoint.answers import SERVER_NAME, Answer, Headers, problem
from holdfast.sdk.endpoint.identity import IdentityCheck
from holdfast.sdk.errors import UsageError
from holdfast.sdk.handlers import Handler, ServiceDefinition
from holdfast.sdk.services import check_services

INVOKES_KEPT_MAX = 1024
"""Paths whose meaning is remembered; the server sends the same few."""


@dataclass(frozen=True, slots=True)
class Invoke:
    """An attempt to run."""

    handler: Handler[Any, Any]
    version: int
    response_headers: Headers
    text_headers: list[tuple[str, str]]
    """The same for RSGI."""


class Routes:
    """The services by path; see `App` for the arguments."""

    def __init__(
        self,
        services: Iterable[ServiceDefinition],
        identity_keys: Iterable[str],
        bidirectional: bool | None,
        max_protocol_version: int = VERSION_MAX,
    ) -> None:
        if not VERSION_MIN <= max_protocol_version <= VERSION_MAX:
            raise UsageError(
                "bad_protocol_version",
                f"max_protocol_version is {max_protocol_version}; expected {VERSION_MIN} to {VERSION_MAX}",
            )
        self.services = tuple(services)
        check_services(self.services)
        self._handlers = {
            (service.name, name): handler
            for service in self.services
            for name, handler in service.handlers.items()
        }
        self._identity = IdentityCheck(identity_keys)
        self._bidirectional = bidirectional
        self._max_protocol_version = max_protocol_version
        self._lambda_compression: str | None = None
        self._invokes: dict[tuple[str, str], Invoke] = {}

    def for_lambda(self, compression: str | None) -> "Routes":
        """The same for a function that is invoked with whole requests.

        Args:
            compression: of requests, as discovery announces it; None: it reads none.
        """
        routes = copy(self)
        routes._bidirectional = False
        routes._lambda_compression = compression
        routes._invokes = {}
        return routes

    def route(
        self, method: str, path: str, content_type: str, headers: Mapping[str, str], full_duplex: bool
    ) -> Answer | Invoke:
        """What to do with a request.

        Args:
            path: as the client sent it, with or without percent-encoding.
            content_type: of the request.
            headers: all of them, names in lower case; looked at where the path alone does not decide.
            full_duplex: the connection can carry both bodies at once.
        """
        known = self._invokes.get((path, content_type))
        if known is not None and method == "POST":
            return self._identity.refusal(path, headers) or known
        parts = path.rstrip("/").split("/")
        if parts[-1] == "health":
            return Answer(200, "application/json", b'{"status":"ok"}')
        refused = self._identity.refusal(path, headers)
        if refused is not None:
            return refused
        if parts[-1] == "discover":
            return self._discover(method, headers, full_duplex)
        if len(parts) >= 3 and parts[-3] == "invoke":
            return self._invoke(method, path, content_type, unquote(parts[-2]), unquote(parts[-1]))
        return problem(
            404,
            f"{path} is no path of this endpoint; expected .../discover, .../health or "
            ".../invoke/{service}/{handler}",
        )

    def _discover(self, method: str, headers: Mapping[str, str], full_duplex: bool) -> Answer:
        if method != "GET":
            return problem(405, f"discovery is asked for with GET, not {method}")
        bidirectional = full_duplex if self._bidirectional is None else self._bidirectional
        try:
            content_type, body = discover(
                self.services,
                headers.get("accept", ""),
                bidirectional,
                max_protocol_version=self._max_protocol_version,
                lambda_compression=self._lambda_compression,
            )
        except ProtocolError as error:
            return problem(415, error.message)
        except UsageError as error:
            return problem(500, error.message)
        return Answer(200, content_type, body)

    def _invoke(self, method: str, path: str, content_type: str, service: str, name: str) -> Answer | Invoke:
        if method != "POST":
            return problem(405, f"an invocation is sent with POST, not {method}")
        handler = self._handlers.get((service, name))
        if handler is None:
            return problem(404, f"this deployment has no handler {service}/{name}")
        try:
            version = version_of(content_type)
        except ProtocolError as error:
            return problem(415, error.message)
        invoke = Invoke(
            handler,
            version,
            [(b"content-type", content_type.encode()), (b"x-restate-server", SERVER_NAME.encode())],
            [("content-type", content_type), ("x-restate-server", SERVER_NAME)],
        )
        self._invokes[path, content_type] = invoke
        if len(self._invokes) > INVOKES_KEPT_MAX:
            self._invokes.clear()
        return invoke
