"""The catalog: lookups for every invocation, changes for operators.

Lookups read two nested dictionaries that a change replaces as a whole after it is on disk, so a reader never
sees half a registration. All calls are made on the event loop; changes block it for one fsync.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes

from holdfast.catalog import contents as rules
from holdfast.catalog.contents import Change, Contents, Discovered, services_of
from holdfast.catalog.file import CatalogFile
from holdfast.catalog.model import Deployment, Handler, Service
from holdfast.catalog.settings import Defaults, Patch
from holdfast.invoker.http.api import Endpoint
from holdfast.protocol.ids import DEPLOYMENT_ID_BYTES, encode_deployment_id
from holdfast.protocol.manifest import ServiceType

_NO_HANDLERS: Mapping[str, Handler] = {}
_NO_SERVICES: Mapping[str, Service] = {}


@dataclass(frozen=True, slots=True)
class Registration:
    """What a registration did, or would do; `services` at their revisions on this deployment."""

    deployment: Deployment
    services: tuple[Service, ...]
    change: Change


class Catalog:
    """Deployments and services of one data directory."""

    def __init__(self, file: CatalogFile, partitions: int, defaults: Defaults) -> None:
        self.partitions = partitions
        self._file = file
        self._defaults = defaults
        self._contents = Contents()
        self._of_deployment: dict[str, dict[str, Service]] = {}
        self._current: dict[str, Mapping[str, Handler]] = {}
        self._show(file.load())

    @classmethod
    def open(cls, path: Path, partitions: int | None = None, defaults: Defaults | None = None) -> Catalog:
        """Open or create the file `path`.

        Args:
            partitions: fixed for ever when the file is created; None takes what is there, or 1.
        Raises:
            CatalogFileError: the file is unreadable, from a newer release, or has other partitions.
        """
        with ExitStack() as cleanup:
            file = CatalogFile(path)
            cleanup.callback(file.close)
            catalog = cls(file, file.partitions(partitions), defaults or Defaults())
            cleanup.pop_all()
        return catalog

    def close(self) -> None:
        """Close the file; lookups go on working."""
        self._file.close()

    # ------------------------------------------------------------ lookups

    def handler(self, service: str, handler: str) -> Handler | None:
        """The handler at the service's latest revision, for new invocations."""
        return self._current.get(service, _NO_HANDLERS).get(handler)

    def pinned_handler(self, deployment_id: str, service: str, handler: str) -> Handler | None:
        """The handler as `deployment_id` serves it, for invocations pinned to it."""
        found = self._of_deployment.get(deployment_id, _NO_SERVICES).get(service)
        return None if found is None else found.handlers.get(handler)

    def deployment(self, id_: str) -> Deployment | None:
        found = self._contents.deployments.get(id_)
        return None if found is None else found.deployment

    def latest_deployment(self, service: str) -> Deployment | None:
        """The deployment that gets the service's new invocations."""
        found = self._contents.current(service)
        return None if found is None else found.deployment

    def service(self, name: str) -> Service | None:
        """A service at its latest revision."""
        id_ = self._contents.latest.get(name)
        return None if id_ is None else self._of_deployment[id_][name]

    def service_type(self, service: str) -> ServiceType | None:
        id_ = self._contents.latest.get(service)
        return None if id_ is None else self._of_deployment[id_][service].type

    def service_names(self) -> list[str]:
        """Names of all services that can be called, sorted."""
        return sorted(self._contents.latest)

    def services(self) -> list[Service]:
        """All services at their latest revisions, by name."""
        return [self._of_deployment[id_][name] for name, id_ in sorted(self._contents.latest.items())]

    def services_of(self, deployment_id: str) -> list[Service]:
        """What a deployment serves, at its own revisions, in its manifest's order."""
        return list(self._of_deployment.get(deployment_id, _NO_SERVICES).values())

    def deployments(self) -> list[Deployment]:
        """All deployments, in the order they were first registered."""
        return [registered.deployment for registered in self._contents.deployments.values()]

    def at(self, endpoint: Endpoint) -> Registration | None:
        """What is registered at an address, as registering it again without force would answer."""
        known = self._contents.at(endpoint)
        if known is None:
            return None
        id_ = known.deployment.id
        return Registration(known.deployment, tuple(self.services_of(id_)), Change.UNCHANGED)

    # ------------------------------------------------------------ changes

    def register(
        self, discovered: Discovered, *, force: bool, breaking: bool, dry_run: bool, now_ms: int
    ) -> Registration:
        """Add a deployment, or overwrite (`force`) or recognise a known one.

        Raises:
            RegistrationRefused: META0006; see `contents.register`.
        """
        after, registered, change = rules.register(
            self._contents,
            discovered,
            new_id=encode_deployment_id(token_bytes(DEPLOYMENT_ID_BYTES)),
            force=force,
            breaking=breaking,
            now_ms=now_ms,
        )
        self._commit(after, dry_run)
        services = services_of(registered, self._defaults).values()
        return Registration(registered.deployment, tuple(services), change)

    def patch_service(self, name: str, change: Patch) -> Service | None:
        """Change settings of a service until its next revision; None when there is no such service."""
        if name not in self._contents.latest:
            return None
        self._commit(rules.patch(self._contents, name, change), dry_run=False)
        return self.service(name)

    def patch_deployment(
        self, id_: str, headers: tuple[tuple[str, str], ...], *, dry_run: bool = False
    ) -> Registration | None:
        """Send other headers to a deployment from now on; None when there is no such deployment."""
        return self._update(id_, lambda now: rules.set_headers(now, id_, headers), dry_run)

    def move_deployment(
        self, id_: str, discovered: Discovered, *, dry_run: bool = False
    ) -> Registration | None:
        """Give a deployment the address of `discovered`; None when there is no such deployment.

        Raises:
            RegistrationRefused: META0004, META0016.
        """
        return self._update(id_, lambda now: rules.move(now, id_, discovered), dry_run)

    def rediscover(self, id_: str, discovered: Discovered, *, dry_run: bool = False) -> Registration | None:
        """Replace what a deployment serves; None when there is no such deployment.

        Raises:
            RegistrationRefused: META0004, META0016.
        """
        return self._update(id_, lambda now: rules.rediscover(now, id_, discovered), dry_run)

    def delete_deployment(self, id_: str) -> bool:
        """Forget a deployment and the services it was the latest of; False when there is none."""
        if id_ not in self._contents.deployments:
            return False
        self._commit(rules.remove(self._contents, id_), dry_run=False)
        return True

    def _update(
        self,
        id_: str,
        change: Callable[[Contents], tuple[Contents, rules.Registered]],
        dry_run: bool,
    ) -> Registration | None:
        if id_ not in self._contents.deployments:
            return None
        after, registered = change(self._contents)
        self._commit(after, dry_run)
        services = services_of(registered, self._defaults).values()
        return Registration(registered.deployment, tuple(services), Change.OVERWRITTEN)

    def _commit(self, after: Contents, dry_run: bool) -> None:
        if dry_run or after is self._contents:
            return
        self._file.save(self._contents, after)
        self._show(after)

    def _show(self, after: Contents) -> None:
        """Make lookups answer from `after`, computing only what changed."""
        before = self._contents.deployments
        self._of_deployment = {
            id_: self._of_deployment[id_]
            if before.get(id_) is registered
            else services_of(registered, self._defaults)
            for id_, registered in after.deployments.items()
        }
        self._current = {name: self._of_deployment[id_][name].handlers for name, id_ in after.latest.items()}
        self._contents = after
