"""`meta.sqlite`: the catalog on disk.

One connection, used on the event loop: writes are rare (registrations, patches) and small, so the few
milliseconds of their fsync are spent where they stand instead of in a thread. WAL with synchronous=FULL: what
`save` returned from survives a power cut. The file's format has a number, `PRAGMA user_version`; older files
are brought forward by numbered migrations, each in its own transaction, newer ones are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import apsw

from holdfast.catalog.contents import Contents, Registered, Revision, mode_of
from holdfast.catalog.errors import CatalogFileError
from holdfast.catalog.model import Deployment
from holdfast.catalog.settings import Patch
from holdfast.invoker.http.api import Endpoint
from holdfast.protocol.errors import ManifestError
from holdfast.protocol.manifest import parse_manifest

_BUSY_TIMEOUT_MS = 5_000
_ANY_VERSION_MAX = 2**31 - 1

MIGRATIONS = (
    """
    CREATE TABLE setting (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
    CREATE TABLE deployment (
        ordinal INTEGER PRIMARY KEY,  -- order of first registration
        id TEXT NOT NULL UNIQUE,
        uri TEXT NOT NULL,
        http11 INTEGER NOT NULL,
        http_version TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        sdk_version TEXT,
        headers TEXT NOT NULL,        -- JSON [[name, value], ...]
        metadata TEXT NOT NULL,       -- JSON object
        content_type TEXT NOT NULL,
        manifest BLOB NOT NULL        -- as the deployment sent it
    ) STRICT;
    CREATE TABLE revision (
        deployment TEXT NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
        service TEXT NOT NULL,
        number INTEGER NOT NULL,
        patch TEXT NOT NULL,          -- JSON object of what an operator set
        PRIMARY KEY (deployment, service)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE service (
        name TEXT PRIMARY KEY,
        counter INTEGER NOT NULL      -- highest revision ever
    ) STRICT, WITHOUT ROWID;
    """,
)
"""Entry n brings a file from version n to n + 1. Released entries are never edited."""


class _DeploymentRow(NamedTuple):
    id: str
    uri: str
    http11: int
    http_version: str
    created_at: int
    sdk_version: str | None
    headers: str
    metadata: str
    content_type: str
    manifest: bytes


class CatalogFile:
    """An open `meta.sqlite`."""

    def __init__(self, path: Path) -> None:
        """Open or create, and bring to this release's format.

        Raises:
            CatalogFileError: not a database, not readable, or written by a newer release.
        """
        self._path = path
        self._db: apsw.Connection | None = None
        try:
            self._db = apsw.Connection(str(path))
            self._db.set_busy_timeout(_BUSY_TIMEOUT_MS)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA foreign_keys=ON")
            self._migrate(self._db)
        except apsw.Error as error:
            self.close()
            raise _unreadable(path, error) from error
        except CatalogFileError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file. Harmless when called twice."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def partitions(self, wanted: int | None) -> int:
        """The number of partitions fixed when the file was created: `wanted`, or 1, the first time.

        Raises:
            CatalogFileError: the file was created with another number, or is damaged.
        """
        insert = "INSERT INTO setting VALUES ('partitions', ?) ON CONFLICT DO NOTHING"
        try:
            with self._open as db:
                db.execute(insert, (wanted or 1,))
            stored = db.execute("SELECT value FROM setting WHERE name = 'partitions'").get
        except apsw.Error as error:
            raise _unreadable(self._path, error) from error
        if wanted is not None and stored != wanted:
            raise CatalogFileError(
                "HF0017",
                f"{self._path} was created with {stored} partitions and the configuration asks for {wanted}. "
                "The number is fixed when a data directory is created: "
                f"configure {stored}, or use a new directory",
            )
        return int(stored)

    def load(self) -> Contents:
        """Everything that was saved.

        Raises:
            CatalogFileError: the file is damaged, or a stored manifest cannot be read any more.
        """
        try:
            return self._load()
        except (apsw.Error, ValueError, TypeError) as error:
            # Damage need not break the file's structure: what it says can have become nonsense.
            raise _unreadable(self._path, error) from error

    def _load(self) -> Contents:
        revisions: dict[str, dict[str, Revision]] = {}
        for deployment, service, number, patch in self._open.execute(
            "SELECT deployment, service, number, patch FROM revision"
        ):
            revisions.setdefault(deployment, {})[service] = Revision(number, Patch(**json.loads(patch)))
        deployments: dict[str, Registered] = {}
        for row in self._open.execute(
            "SELECT id, uri, http11, http_version, created_at, sdk_version, headers, metadata, content_type, "
            "manifest FROM deployment ORDER BY ordinal"
        ):
            registered = self._registered(_DeploymentRow(*row), revisions.get(row[0], {}))
            deployments[registered.deployment.id] = registered
        return Contents(deployments, dict(self._open.execute("SELECT name, counter FROM service")))

    def save(self, before: Contents, after: Contents) -> None:
        """Make `after` durable; only what differs from `before`, which is on disk, is written.

        Raises:
            CatalogFileError: nothing was written, for example because the disk is full.
        """
        try:
            with self._open as db:
                self._write(db, before, after)
        except apsw.Error as error:
            code = "HF0013" if isinstance(error, apsw.FullError) else "HF0014"
            raise CatalogFileError(
                code, f"{self._path} cannot be written, nothing was changed: {error}"
            ) from error

    @staticmethod
    def _write(db: apsw.Connection, before: Contents, after: Contents) -> None:
        for id_ in before.deployments.keys() - after.deployments.keys():
            db.execute("DELETE FROM deployment WHERE id = ?", (id_,))
        for id_, registered in after.deployments.items():
            if before.deployments.get(id_) is not registered:
                _put(db, registered)
        for name, counter in after.counters.items():
            if before.counters.get(name) != counter:
                db.execute(
                    "INSERT INTO service VALUES (?1, ?2) ON CONFLICT DO UPDATE SET counter = ?2",
                    (name, counter),
                )

    @property
    def _open(self) -> apsw.Connection:
        if self._db is None:
            raise CatalogFileError("HF0012", f"{self._path} is closed: the server is shutting down")
        return self._db

    def _migrate(self, db: apsw.Connection) -> None:
        version = db.pragma("user_version")
        if version > len(MIGRATIONS):
            raise CatalogFileError(
                "HF0011",
                f"{self._path} has format {version} and this release reads up to {len(MIGRATIONS)}. "
                "It was written by a newer release: start that one, or restore a backup",
            )
        for number in range(version, len(MIGRATIONS)):
            with db:
                db.execute(MIGRATIONS[number])
                db.pragma("user_version", number + 1)

    def _registered(self, row: _DeploymentRow, revisions: Mapping[str, Revision]) -> Registered:
        try:
            # What was accepted once stays readable: a version range that this release no longer speaks is for
            # the invoker to report, on the invocations that need it.
            manifest = parse_manifest(
                row.content_type,
                row.manifest,
                sdk_version=row.sdk_version,
                server_min=1,
                server_max=_ANY_VERSION_MAX,
            )
        except ManifestError as error:
            raise CatalogFileError(
                "HF0010",
                f"the manifest of deployment {row.id} in {self._path} cannot be read: {error.message}",
            ) from error
        endpoint = Endpoint.parse(row.uri, bool(row.http11))
        deployment = Deployment(
            id=row.id,
            uri=row.uri,
            endpoint=endpoint,
            mode=mode_of(manifest),
            http_version=row.http_version,
            min_protocol_version=manifest.min_protocol_version,
            max_protocol_version=manifest.max_protocol_version,
            created_at=row.created_at,
            sdk_version=row.sdk_version,
            additional_headers=tuple([(name, value) for name, value in json.loads(row.headers)]),
            metadata=json.loads(row.metadata),
        )
        return Registered(deployment, manifest, row.content_type, row.manifest, revisions)


def _unreadable(path: Path, error: Exception) -> CatalogFileError:
    """The file was opened, or not even that, and does not hold what it should."""
    if isinstance(error, apsw.Error) and not isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return CatalogFileError("HF0012", f"{path} cannot be used: {error}; check path, permissions and disk")
    return CatalogFileError(
        "HF0010", f"{path} is damaged or not a Holdfast file ({error}); restore it from a backup"
    )


def _put(db: apsw.Connection, registered: Registered) -> None:
    deployment = registered.deployment
    db.execute(
        "INSERT INTO deployment (id, uri, http11, http_version, created_at, sdk_version, headers, metadata, "
        "content_type, manifest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) "
        "DO UPDATE SET uri = ?2, http11 = ?3, http_version = ?4, created_at = ?5, sdk_version = ?6, "
        "headers = ?7, metadata = ?8, content_type = ?9, manifest = ?10",
        (
            deployment.id,
            deployment.uri,
            deployment.endpoint.http11,
            deployment.http_version,
            deployment.created_at,
            deployment.sdk_version,
            json.dumps(deployment.additional_headers),
            json.dumps(dict(deployment.metadata)),
            registered.content_type,
            registered.body,
        ),
    )
    db.execute("DELETE FROM revision WHERE deployment = ?", (deployment.id,))
    for service, revision in registered.revisions.items():
        said = {name: value for name, value in asdict(revision.patch).items() if value is not None}
        db.execute(
            "INSERT INTO revision VALUES (?, ?, ?, ?)",
            (deployment.id, service, revision.number, json.dumps(said)),
        )
