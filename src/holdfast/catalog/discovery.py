"""Discovery: asking a deployment what it serves (protocol, "Discovery").

One GET, repeated a few times while the deployment looks as if it were still starting: whoever registers has
often started it a second ago. Everything about the answer is judged here and in `protocol.manifest`, so that
what reaches the catalog can be registered.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, cast
from urllib.parse import quote

from holdfast.catalog.contents import Discovered
from holdfast.catalog.errors import DiscoveryError
from holdfast.catalog.model import Deployment
from holdfast.invoker.http.api import Endpoint, RequestFailed, Response
from holdfast.protocol.errors import ManifestError
from holdfast.protocol.identity import RequestSigner
from holdfast.protocol.manifest import DISCOVERY_ACCEPT, parse_manifest
from holdfast.protocol.manifest_json import MANIFEST_BYTES_MAX

DISCOVERY_PATH = "/discover"
ATTEMPTS_MAX = 4
FIRST_PAUSE_S = 0.1
REQUEST_TIMEOUT_S = 10.0
MANIFEST_DEPTH_MAX = 200
DEADLINE_S = 30.0

_RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_SHOWN_BODY_CHARS_MAX = 500
_SERVER_HEADER = "x-restate-server"


class HttpRequests(Protocol):
    """The part of `HttpClient` that discovery needs."""

    async def request(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        body: bytes = b"",
        *,
        timeout_s: float,
        max_body_bytes: int,
    ) -> Response: ...


class Discovery:
    """Asks deployments.

    Args:
        http: carries the request.
        now_s: the wall clock in whole seconds, for signatures.
        signer: signs the request when deployments check identities.
        cluster_name: sent along, for the deployment's logs.
        first_pause_s: before the second attempt; doubled for each further one.
        deadline_s: for all attempts together.
    """

    def __init__(
        self,
        http: HttpRequests,
        now_s: Callable[[], int],
        *,
        signer: RequestSigner | None = None,
        cluster_name: str = "localcluster",
        first_pause_s: float = FIRST_PAUSE_S,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._http = http
        self._now_s = now_s
        self._signer = signer
        self._cluster_name = cluster_name
        self._first_pause_s = first_pause_s
        self._deadline_s = deadline_s

    async def discover(
        self,
        endpoint: Endpoint,
        *,
        headers: tuple[tuple[str, str], ...] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Discovered:
        """The deployment's manifest, checked.

        Args:
            headers: sent along, now and with every invocation; None when whoever registers gave none.
        Raises:
            DiscoveryError: META0003 no usable answer; META0014 it speaks HTTP/1.1 only.
            ManifestError: META0005, META0012, META0013 the answer cannot be registered.
        """
        try:
            async with asyncio.timeout(self._deadline_s):
                response = await self._ask(endpoint, headers or ())
        except TimeoutError:
            raise DiscoveryError(
                "META0003",
                f"{canonical_uri(endpoint)} gave no answer to discovery within {self._deadline_s:g} s",
            ) from None
        sdk_version = response.headers.get(_SERVER_HEADER)
        content_type = response.headers.get("content-type", "")
        manifest = parse_manifest(content_type, response.body, sdk_version=sdk_version)
        _check_showable(response.body)
        return Discovered(
            uri=canonical_uri(endpoint),
            endpoint=endpoint,
            http_version=response.http_version,
            manifest=manifest,
            content_type=content_type,
            body=response.body,
            sdk_version=sdk_version,
            headers=headers,
            metadata=metadata,
        )

    async def _ask(self, endpoint: Endpoint, headers: Iterable[tuple[str, str]]) -> Response:
        """A response with status 200; the last failure when the attempts are used up."""
        pause_s, attempt = self._first_pause_s, 0
        while True:
            attempt += 1
            try:
                response = await self._request(endpoint, headers)
            except RequestFailed as failed:
                error = _unreachable(endpoint, failed)
                if error.code != "META0003" or attempt == ATTEMPTS_MAX:
                    raise error from failed
            else:
                if response.status == 200:
                    return response
                if response.status not in _RETRIED_STATUSES or attempt == ATTEMPTS_MAX:
                    raise _bad_status(endpoint, response)
            await asyncio.sleep(pause_s)
            pause_s *= 2

    async def preview(
        self, deployment: Deployment, path: str, content_type: str | None, body: bytes
    ) -> Response:
        """A deployment's answer to a payload preview; its path below `/serdes/`, percent-encoded here.

        Raises:
            RequestFailed: no answer within the deadline of one request, or one over the manifest's bound.
        """
        encoded = quote(path)
        headers = [] if content_type is None else [("content-type", content_type)]
        if self._signer is not None:
            headers += self._signer.headers(encoded, None, self._now_s())
        return await self._http.request(
            deployment.endpoint,
            "POST",
            encoded,
            [*headers, *deployment.additional_headers],
            body,
            timeout_s=REQUEST_TIMEOUT_S,
            max_body_bytes=MANIFEST_BYTES_MAX,
        )

    async def _request(self, endpoint: Endpoint, extra: Iterable[tuple[str, str]]) -> Response:
        headers = [("accept", DISCOVERY_ACCEPT), ("x-restate-cluster-name", self._cluster_name)]
        if self._signer is not None:
            headers += self._signer.headers(DISCOVERY_PATH, None, self._now_s())
        return await self._http.request(
            endpoint,
            "GET",
            DISCOVERY_PATH,
            [*headers, *extra],
            timeout_s=REQUEST_TIMEOUT_S,
            max_body_bytes=MANIFEST_BYTES_MAX,
        )


def _check_showable(body: bytes) -> None:
    """Refuse what could not be told on: its schemas and texts are part of every answer about services."""
    pending: list[tuple[object, int]] = [(json.loads(body), 0)]
    while pending:
        value, depth = pending.pop()
        if depth > MANIFEST_DEPTH_MAX:
            raise ManifestError("META0013", f"the manifest is nested deeper than {MANIFEST_DEPTH_MAX} levels")
        if isinstance(value, dict):
            pending += [
                (part, depth + 1) for pair in cast("dict[str, object]", value).items() for part in pair
            ]
        elif isinstance(value, list):
            pending += [(part, depth + 1) for part in cast("list[object]", value)]
        elif isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ManifestError(
                    "META0013",
                    f"the manifest holds half a surrogate pair, which is not text: {value[:200]!a}",
                ) from None


def canonical_uri(endpoint: Endpoint) -> str:
    """The one way this endpoint's URI is written: scheme and host in lower case, a trailing slash."""
    return f"{endpoint.scheme}://{endpoint.authority}{endpoint.base_path}/"


def _unreachable(endpoint: Endpoint, failed: RequestFailed) -> DiscoveryError:
    """The client's reason names its code where it knows that the peer speaks HTTP/1.1 only."""
    reason = str(failed)
    code = "META0014" if "META0014" in reason else "META0003"
    return DiscoveryError(code, f"error when calling '{canonical_uri(endpoint)}': {reason}")


def _bad_status(endpoint: Endpoint, response: Response) -> DiscoveryError:
    body = response.body.decode("utf-8", "replace")[:_SHOWN_BODY_CHARS_MAX]
    return DiscoveryError(
        "META0003",
        f"'{canonical_uri(endpoint)}' answered discovery with status {response.status}. Make sure the URI "
        f"has the path where the SDK endpoint is mounted, and that it accepts this server's signature. "
        f"Body: {body}",
    )
