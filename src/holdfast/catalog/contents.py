"""What the catalog holds, and every way it may change: pure, so that a dry run and the real thing agree.

A *revision* numbers a service's registrations: each registration of a new deployment, and each forced one
of a known deployment, raises the revision of all its services by one. The highest revision that is left gets
new invocations; older deployments stay for the invocations pinned to them, and take over when newer ones are
deleted. A deployment has at most one revision of a service, since overwriting a deployment replaces what it
served.

Revision numbers are not used twice: `counters` outlives the deletion of a deployment, so that what comes
after it is not mistaken for it.
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
from holdfast.protocol.manifest import Manifest, ProtocolMode, ServiceManifest

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
    """Deployments by id, oldest first; by service, the highest revision there ever was.

    `latest` follows from them: the id of the deployment that gets a service's new invocations.
    """

    deployments: Mapping[str, Registered] = field(default_factory=dict[str, Registered])
    counters: Mapping[str, int] = field(default_factory=dict[str, int])
    latest: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        newest: dict[str, tuple[int, str]] = {}
        for id_, registered in self.deployments.items():
            for service, revision in registered.revisions.items():
                newest[service] = max(newest.get(service, (0, "")), (revision.number, id_))
        object.__setattr__(self, "latest", {service: id_ for service, (_, id_) in newest.items()})

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
    """Add a deployment; at a known address overwrite it (`force`) or leave it as it is.

    Raises:
        RegistrationRefused: META0006 a service would change its type, with neither `force` nor `breaking`.
    """
    known = contents.at(found.endpoint)
    if known is not None and not force:
        return contents, known, Change.UNCHANGED
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


def move(contents: Contents, id_: str, found: Discovered) -> tuple[Contents, Registered]:
    """Give a deployment another address, where `found` was discovered; what it serves stays as registered.

    Raises:
        RegistrationRefused: META0004 another deployment has that address; META0016 what is there does not
            serve what invocations pinned to the deployment need.
    """
    known = contents.deployments[id_]
    _check_follows(contents, known, found, services=True)
    moved = replace(
        known.deployment,
        endpoint=found.endpoint,
        uri=found.uri,
        http_version=found.http_version,
        mode=mode_of(known.manifest),
        additional_headers=_given(found.headers, known.deployment.additional_headers, ()),
    )
    return _with(contents, replace(known, deployment=moved), {}), replace(known, deployment=moved)


def set_headers(
    contents: Contents, id_: str, headers: tuple[tuple[str, str], ...]
) -> tuple[Contents, Registered]:
    """Send other headers along from now on."""
    known = contents.deployments[id_]
    changed = replace(known, deployment=replace(known.deployment, additional_headers=headers))
    return _with(contents, changed, {}), changed


def rediscover(contents: Contents, id_: str, found: Discovered) -> tuple[Contents, Registered]:
    """Replace what a deployment serves by what it answered now. Services it had keep their revision, since no
    new code version is announced; services it lost are gone from it, and what was pinned there may fail.

    Raises:
        RegistrationRefused: META0016 it no longer speaks the protocol versions that journals of invocations
            pinned to it may be written in; META0004 another deployment has that address.
    """
    known = contents.deployments[id_]
    _check_follows(contents, known, found, services=False)
    served = {s.name for s in found.manifest.services}
    kept = {name: revision for name, revision in known.revisions.items() if name in served}
    added = {name: contents.counters.get(name, 0) + 1 for name in served if name not in kept}
    updated = Registered(
        deployment=_deployment(found, known, id_, known.deployment.created_at),
        manifest=found.manifest,
        content_type=found.content_type,
        body=found.body,
        revisions={**kept, **{name: Revision(number) for name, number in added.items()}},
    )
    return _with(contents, updated, added), updated


def remove(contents: Contents, id_: str) -> Contents:
    """Forget a deployment. Its services go back to the revision before, or away when there is none."""
    kept = {other: registered for other, registered in contents.deployments.items() if other != id_}
    return Contents(kept, contents.counters)


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
        revision, deployment = registered.revisions[manifest.name], registered.deployment
        settings, cuts = service_settings(manifest, revision.patch, defaults)
        services[manifest.name] = Service(
            name=manifest.name,
            type=manifest.type,
            revision=revision.number,
            deployment=deployment.id,
            mode=deployment.mode,
            manifest=manifest,
            settings=settings,
            handlers={
                handler.name: effective_handler(manifest, handler, revision.patch, defaults, deployment.id)
                for handler in manifest.handlers
            },
            notices=tuple([("RT0022", cut) for cut in cuts]),
        )
    return services


def mode_of(manifest: Manifest) -> Mode:
    """How to talk to it: as its manifest says, over HTTP/1.1 too, whose chunked bodies may go both ways at
    once. A server that does answer only after the request has ended costs one inactivity timeout per wait."""
    if manifest.protocol_mode is ProtocolMode.BIDI_STREAM:
        return Mode.BIDI_STREAM
    return Mode.REQUEST_RESPONSE


def _with(contents: Contents, registered: Registered, numbers: Mapping[str, int]) -> Contents:
    """`registered` added or replaced, with new revision numbers of services."""
    deployments = {**contents.deployments, registered.deployment.id: registered}
    return Contents(deployments, {**contents.counters, **numbers})


def _deployment(found: Discovered, known: Registered | None, id_: str, created_at: int) -> Deployment:
    old = None if known is None else known.deployment
    return Deployment(
        id=id_ if old is None else old.id,
        uri=found.uri,
        endpoint=found.endpoint,
        mode=mode_of(found.manifest),
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


def _check_follows(contents: Contents, known: Registered, found: Discovered, *, services: bool) -> None:
    """That `found` may take the place of `known`, with all its services if `services`."""
    id_ = known.deployment.id
    other = contents.at(found.endpoint)
    if other is not None and other.deployment.id != id_:
        raise RegistrationRefused(
            "META0004", f"{found.uri} is the address of deployment {other.deployment.id} already"
        )
    problem = _lost_versions(known.manifest, found.manifest)
    if problem is None and services:
        problem = _lost_handler(known.manifest, found.manifest)
    if problem is not None:
        raise RegistrationRefused(
            "META0016",
            f"deployment {id_} cannot be updated in place: {problem}. Register it as a new deployment",
        )


def _lost_versions(before: Manifest, after: Manifest) -> str | None:
    old_min, old_max = before.min_protocol_version, before.max_protocol_version
    new_min, new_max = after.min_protocol_version, after.max_protocol_version
    if new_min <= old_min and old_max <= new_max:
        return None
    return f"it speaks protocol versions {new_min} to {new_max}, before {old_min} to {old_max}"


def _lost_handler(before: Manifest, after: Manifest) -> str | None:
    services = {service.name: service for service in after.services}
    for old in before.services:
        new = services.get(old.name)
        if new is None:
            return f"it no longer serves {old.name!r}"
        if new.type is not old.type:
            return f"service {old.name!r} is now {new.type} instead of {old.type}"
        types = {handler.name: handler.type for handler in new.handlers}
        for handler in old.handlers:
            if handler.name not in types or types[handler.name] is not handler.type:
                return f"handler {old.name}/{handler.name} is missing or of another kind"
    return None


def _address(endpoint: Endpoint) -> tuple[str, str, int, str]:
    return endpoint.scheme, endpoint.host, endpoint.port, endpoint.base_path
