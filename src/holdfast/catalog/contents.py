"""What the catalog holds, and every way it may change: pure, so that a dry run and the real thing agree.

A *revision* numbers a service's registrations: each registration of a new deployment, and each forced one
of a known deployment, raises the revision of all its services by one and makes that deployment the service's
latest, which gets new invocations. Older deployments stay for the invocations pinned to them. A deployment
has at most one revision of a service, since overwriting a deployment replaces what it served.

Revision numbers never go back: `counters` outlives the deletion of a service, so that a service that returns
is not mistaken for an older one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeVar

from holdfast.catalog.errors import RegistrationRefused
from holdfast.catalog.model import Deployment, Mode, Service
from holdfast.catalog.settings import Defaults, Patch, effective_handler, service_settings
from holdfast.invoker.http.api import Endpoint
from holdfast.protocol.manifest import HandlerManifest, Manifest, ProtocolMode, ServiceManifest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Discovered:
    """A deployment's answer to discovery, and how it was asked.

    `body` is the manifest as it came, kept so that a later release can read more from it. `headers` and
    `metadata` are None when whoever registers did not say; a known deployment keeps its own then.
    """

    uri: str
    endpoint: Endpoint
    http_version: str
    manifest: Manifest
    content_type: str
    body: bytes
    sdk_version: str | None = None
    headers: tuple[tuple[str, str], ...] | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """That a deployment serves revision `number` of a service, and what an operator changed on it."""

    number: int
    patch: Patch = field(default_factory=Patch)


@dataclass(frozen=True, slots=True)
class Registered:
    """A deployment with everything it brought. `revisions` are by service name."""

    deployment: Deployment
    manifest: Manifest
    content_type: str
    body: bytes
    revisions: Mapping[str, Revision]


@dataclass(frozen=True, slots=True)
class Contents:
    """Deployments by id, oldest first; by service, the `latest` deployment and the highest revision ever."""

    deployments: Mapping[str, Registered] = field(default_factory=dict)
    latest: Mapping[str, str] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)

    def current(self, service: str) -> Registered | None:
        """The deployment that gets the service's new invocations."""
        id_ = self.latest.get(service)
        return None if id_ is None else self.deployments[id_]

    def at(self, endpoint: Endpoint) -> Registered | None:
        """The deployment at this address; how it is spoken to makes no difference."""
        wanted = _address(endpoint)
        return next((d for d in self.deployments.values() if _address(d.deployment.endpoint) == wanted), None)


class Change(Enum):
    """What a registration does."""

    CREATED = "created"
    OVERWRITTEN = "overwritten"
    UNCHANGED = "unchanged"


def register(
    contents: Contents, found: Discovered, *, new_id: str, force: bool, breaking: bool, now_ms: int
) -> tuple[Contents, Registered, Change]:
    """Add a deployment or, at a known address, overwrite it (`force`) or find it unchanged.

    Raises:
        RegistrationRefused: META0004 the address serves something else and `force` is off; META0006 a service
            would change its type and neither `force` nor `breaking` is on.
    """
    known = contents.at(found.endpoint)
    if known is not None and not force:
        if _same(known, found):
            return contents, known, Change.UNCHANGED
        raise RegistrationRefused(
            "META0004",
            f"{found.uri} is registered already as {known.deployment.id} and now answers discovery "
            "differently. Deploy new versions at an address of their own, or register with force to "
            "overwrite this one (invocations in flight on it may fail)",
        )
    if not force and not breaking:
        for service in found.manifest.services:
            _check_type(contents, service)
    numbers = {s.name: contents.counters.get(s.name, 0) + 1 for s in found.manifest.services}
    registered = Registered(
        deployment=_deployment(found, known, new_id, now_ms),
        manifest=found.manifest,
        content_type=found.content_type,
        body=found.body,
        revisions={name: Revision(number) for name, number in numbers.items()},
    )
    after = _with(contents, registered, numbers)
    return after, registered, Change.CREATED if known is None else Change.OVERWRITTEN


def move(
    contents: Contents, id_: str, *, endpoint: Endpoint, uri: str, headers: tuple[tuple[str, str], ...]
) -> tuple[Contents, Registered]:
    """Give a deployment another address or other headers; what it serves stays.

    Raises:
        RegistrationRefused: META0004 another deployment has that address.
    """
    known = contents.deployments[id_]
    _check_free(contents, id_, endpoint, uri)
    http_version = known.deployment.http_version
    if endpoint.http11 != known.deployment.endpoint.http11:
        http_version = "HTTP/1.1" if endpoint.http11 else "HTTP/2.0"
    if endpoint.http11 and known.deployment.mode is Mode.BIDI_STREAM:
        raise RegistrationRefused(
            "META0015",
            f"deployment {id_} was discovered as bidirectional, which HTTP/1.1 cannot carry; "
            "update it with overwrite, so that it is discovered again",
        )
    moved = replace(
        known,
        deployment=replace(
            known.deployment,
            endpoint=endpoint,
            uri=uri,
            http_version=http_version,
            additional_headers=headers,
        ),
    )
    return _with(contents, moved, {}), moved


def rediscover(contents: Contents, id_: str, found: Discovered) -> tuple[Contents, Registered]:
    """Replace what a deployment serves by what it answered now, keeping its revisions.

    Invocations are pinned to it with their journals, so it must still serve what it served, in the versions
    it spoke.

    Raises:
        RegistrationRefused: META0016 it does not; META0004 another deployment has that address.
    """
    known = contents.deployments[id_]
    _check_free(contents, id_, found.endpoint, found.uri)
    problem = _incompatibility(known.manifest, found.manifest)
    if problem is not None:
        raise RegistrationRefused(
            "META0016",
            f"deployment {id_} cannot be updated in place: {problem}. Register it as a new deployment",
        )
    added = {
        s.name: contents.counters.get(s.name, 0) + 1
        for s in found.manifest.services
        if s.name not in known.revisions
    }
    updated = Registered(
        deployment=_deployment(found, known, id_, known.deployment.created_at),
        manifest=found.manifest,
        content_type=found.content_type,
        body=found.body,
        revisions={**known.revisions, **{name: Revision(number) for name, number in added.items()}},
    )
    return _with(contents, updated, added), updated


def remove(contents: Contents, id_: str) -> Contents:
    """Forget a deployment. A service whose newest revision it served is gone with it: falling back to older
    code unasked would be worse than a clear "not found"."""
    return Contents(
        deployments={other: d for other, d in contents.deployments.items() if other != id_},
        latest={service: latest for service, latest in contents.latest.items() if latest != id_},
        counters=contents.counters,
    )


def patch(contents: Contents, service: str, change: Patch) -> Contents:
    """Put an operator's change on the latest revision of a service that exists."""
    id_ = contents.latest[service]
    known = contents.deployments[id_]
    revision = known.revisions[service]
    patched = replace(revision, patch=revision.patch.then(change))
    return _with(contents, replace(known, revisions={**known.revisions, service: patched}), {})


def services_of(registered: Registered, defaults: Defaults) -> dict[str, Service]:
    """What a deployment serves, by name, with all settings decided."""
    services: dict[str, Service] = {}
    for manifest in registered.manifest.services:
        revision, id_ = registered.revisions[manifest.name], registered.deployment.id
        settings, cuts = service_settings(manifest, revision.patch, defaults)
        services[manifest.name] = Service(
            name=manifest.name,
            type=manifest.type,
            revision=revision.number,
            deployment=id_,
            manifest=manifest,
            settings=settings,
            handlers={
                h.name: effective_handler(manifest, h, revision.patch, defaults, id_)
                for h in manifest.handlers
            },
            notices=tuple([("RT0022", cut) for cut in cuts]),
        )
    return services


def _with(contents: Contents, registered: Registered, numbers: Mapping[str, int]) -> Contents:
    """`registered` added or replaced, and made the latest of the services it has new revision numbers of."""
    id_ = registered.deployment.id
    kept = {
        service: latest
        for service, latest in contents.latest.items()
        if latest != id_ or service in registered.revisions
    }
    return Contents(
        deployments={**contents.deployments, id_: registered},
        latest={**kept, **dict.fromkeys(numbers, id_)},
        counters={**contents.counters, **numbers},
    )


def _deployment(found: Discovered, known: Registered | None, id_: str, created_at: int) -> Deployment:
    old = None if known is None else known.deployment
    streams = found.manifest.protocol_mode is ProtocolMode.BIDI_STREAM
    return Deployment(
        id=id_ if old is None else old.id,
        uri=found.uri,
        endpoint=found.endpoint,
        mode=Mode.BIDI_STREAM if streams else Mode.REQUEST_RESPONSE,
        http_version=found.http_version,
        min_protocol_version=found.manifest.min_protocol_version,
        max_protocol_version=found.manifest.max_protocol_version,
        created_at=created_at,
        sdk_version=found.sdk_version,
        additional_headers=_given(found.headers, None if old is None else old.additional_headers, ()),
        metadata=_given(found.metadata, None if old is None else old.metadata, {}),
    )


def _given(said: T | None, known: T | None, otherwise: T) -> T:
    if said is not None:
        return said
    return otherwise if known is None else known


def _same(known: Registered, found: Discovered) -> bool:
    """Whether registering again would change anything that matters to invocations."""
    return (
        _by_name(known.manifest) == _by_name(found.manifest)
        and known.manifest.protocol_mode is found.manifest.protocol_mode
        and known.manifest.min_protocol_version == found.manifest.min_protocol_version
        and known.manifest.max_protocol_version == found.manifest.max_protocol_version
        and known.deployment.endpoint == found.endpoint
        and found.headers in (None, known.deployment.additional_headers)
    )


def _by_name(manifest: Manifest) -> dict[str, tuple[ServiceManifest, dict[str, HandlerManifest]]]:
    """Services and handlers without their order, which has no meaning."""
    return {s.name: (replace(s, handlers=()), {h.name: h for h in s.handlers}) for s in manifest.services}


def _check_type(contents: Contents, service: ServiceManifest) -> None:
    current = contents.current(service.name)
    if current is None:
        return
    before = next(s.type for s in current.manifest.services if s.name == service.name)
    if before is not service.type:
        raise RegistrationRefused(
            "META0006",
            f"service {service.name!r} is registered as {before} and this deployment has it as "
            f"{service.type}. Give it another name, or register with breaking if no caller minds",
        )


def _check_free(contents: Contents, id_: str, endpoint: Endpoint, uri: str) -> None:
    other = contents.at(endpoint)
    if other is not None and other.deployment.id != id_:
        raise RegistrationRefused(
            "META0004", f"{uri} is the address of deployment {other.deployment.id} already"
        )


def _incompatibility(before: Manifest, after: Manifest) -> str | None:
    """What invocations pinned to `before` would miss in `after`."""
    if (
        after.min_protocol_version > before.min_protocol_version
        or after.max_protocol_version < before.max_protocol_version
    ):
        return (
            f"it speaks protocol versions {after.min_protocol_version} to {after.max_protocol_version}, "
            f"before {before.min_protocol_version} to {before.max_protocol_version}"
        )
    services = {s.name: s for s in after.services}
    for old in before.services:
        new = services.get(old.name)
        if new is None:
            return f"it no longer serves {old.name!r}"
        if new.type is not old.type:
            return f"service {old.name!r} is now {new.type} instead of {old.type}"
        kept = {h.name: h.type for h in new.handlers}
        for handler in old.handlers:
            if handler.name not in kept or kept[handler.name] is not handler.type:
                return f"handler {old.name}/{handler.name} is missing or of another kind"
    return None


def _address(endpoint: Endpoint) -> tuple[str, str, int, str]:
    return endpoint.scheme, endpoint.host, endpoint.port, endpoint.base_path
