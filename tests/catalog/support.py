"""Manifests and deployments as the catalog's tests need them."""

from __future__ import annotations

import json

from holdfast.catalog.contents import Discovered
from holdfast.catalog.discovery import canonical_uri
from holdfast.invoker.http.api import Endpoint
from holdfast.protocol.manifest import parse_manifest

CONTENT_TYPE = "application/vnd.restate.endpointmanifest.v4+json"
JSON_OBJECT = dict[str, object]


def handler(name: str, **options: object) -> JSON_OBJECT:
    return {"name": name, **options}


def service(name: str, *handlers: JSON_OBJECT, ty: str = "SERVICE", **options: object) -> JSON_OBJECT:
    return {"name": name, "ty": ty, "handlers": list(handlers) or [handler("run")], **options}


def manifest(*services: JSON_OBJECT, versions: tuple[int, int] = (5, 7), mode: str = "BIDI_STREAM") -> bytes:
    low, high = versions
    return json.dumps(
        {
            "protocolMode": mode,
            "minProtocolVersion": low,
            "maxProtocolVersion": high,
            "services": list(services),
        }
    ).encode()


def discovered(
    *services: JSON_OBJECT,
    uri: str = "http://127.0.0.1:9080",
    versions: tuple[int, int] = (5, 7),
    headers: tuple[tuple[str, str], ...] | None = None,
    metadata: dict[str, str] | None = None,
) -> Discovered:
    """What a deployment at `uri` with these services answers."""
    body = manifest(*services, versions=versions)
    endpoint = Endpoint.parse(uri, http11=False)
    return Discovered(
        uri=canonical_uri(endpoint),
        endpoint=endpoint,
        http_version="HTTP/2.0",
        manifest=parse_manifest(CONTENT_TYPE, body),
        content_type=CONTENT_TYPE,
        body=body,
        sdk_version="restate-sdk-typescript/1.17.2",
        headers=headers,
        metadata=metadata,
    )
