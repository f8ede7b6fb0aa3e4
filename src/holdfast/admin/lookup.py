"""What a route has to know of an invocation before it can write the record it wants.

Core decides what happens to an invocation, but it does not know the catalog: which deployment "latest" means,
and whether that speaks the version a journal was written in, is found out here. A journal never changes its
version, so an invocation that moves on meanwhile makes the record fail in core, not go wrong.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from holdfast.admin.errors import RequestError, invalid_parameter, missing
from holdfast.admin.ports import QueryRunner
from holdfast.catalog.catalog import Catalog
from holdfast.catalog.model import Deployment
from holdfast.protocol.errors import InvalidId, UnsupportedVersion
from holdfast.protocol.ids import decode_deployment_id, encode_invocation_id
from holdfast.protocol.versions import VERSION_MAX, VERSION_MIN, negotiate

KEEP = "keep"
LATEST = "latest"
INPUT_ALONE = 1
"""Commands of a journal that has only its input."""

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Pin:
    """A deployment to run on and the protocol version to speak with it."""

    deployment: str
    protocol_version: int


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of an invocation; it is pinned to no deployment and version before its first command."""

    service: str
    deployment: str | None
    protocol_version: int | None
    journal_size: int


class InvocationLookup:
    """Reads invocations through the query interface."""

    def __init__(self, query: QueryRunner, catalog: Catalog) -> None:
        self._query = query
        self._catalog = catalog

    async def pin(self, id_: bytes, wanted: str) -> Pin | None:
        """Where `wanted` (keep, latest or a deployment id) puts the invocation; None leaves it where it is.

        Raises:
            RequestError: 404 unknown invocation or deployment; 400 the deployment does not speak the protocol
                version that the invocation's journal was written in, or does not serve its service.
        """
        if wanted == KEEP:
            return None
        if wanted != LATEST:
            _check_id(wanted)
        known = await self.known(id_)
        deployment = self._deployment(known, wanted)
        if known.service not in {service.name for service in self._catalog.services_of(deployment.id)}:
            raise invalid_parameter("deployment", f"{deployment.id} does not serve {known.service!r}")
        return Pin(deployment.id, _version(known, deployment))

    async def kept_pin(self, id_: bytes) -> Pin | None:
        """The deployment the invocation is pinned to."""
        known = await self.known(id_)
        if known.deployment is None or known.protocol_version is None:
            return None
        if self._catalog.deployment(known.deployment) is None:
            raise missing("deployment", known.deployment)
        return Pin(known.deployment, known.protocol_version)

    async def known(self, id_: bytes) -> Known:
        """What the partition has stored of an invocation.

        Raises:
            RequestError: 404 there is none.
        """
        text = encode_invocation_id(id_)
        rows = await self._rows(
            "SELECT target_service_name, pinned_deployment_id, pinned_service_protocol_version, journal_size "
            f"FROM sys_invocation_status WHERE id = '{text}'"
        )
        if not rows:
            raise missing("invocation", text)
        row = rows[0]
        return Known(
            service=str(row["target_service_name"]),
            deployment=_text(row.get("pinned_deployment_id")),
            protocol_version=_number(row.get("pinned_service_protocol_version")),
            journal_size=_number(row.get("journal_size")) or 0,
        )

    async def commands_up_to(self, id_: bytes, index: int) -> int:
        """How many commands an invocation's journal has at entry `index` and before.

        A journal that is gone counts as its input alone: core knows better words for that.

        Raises:
            RequestError: 404 unknown invocation; 400 the journal is shorter.
        """
        known = await self.known(id_)
        if known.journal_size == 0:
            return INPUT_ALONE
        if index >= known.journal_size:
            raise invalid_parameter("from", f"the journal has the entries 0 to {known.journal_size - 1}")
        rows = await self._rows(
            f"SELECT entry_type FROM sys_journal WHERE id = '{encode_invocation_id(id_)}' "
            f'AND "index" <= {index}'
        )
        return sum(str(row["entry_type"]).startswith("Command") for row in rows)

    def _deployment(self, known: Known, wanted: str) -> Deployment:
        if wanted == LATEST:
            latest = self._catalog.latest_deployment(known.service)
            if latest is None:
                raise missing("service", known.service)
            return latest
        found = self._catalog.deployment(wanted)
        if found is None:
            raise missing("deployment", wanted)
        return found

    async def _rows(self, sql: str) -> list[dict[str, object]]:
        _, body = await self._query.run(sql, _JSON)
        answer: dict[str, list[dict[str, object]]] = json.loads(body)
        return answer["rows"]


def _check_id(deployment: str) -> None:
    try:
        decode_deployment_id(deployment)
    except InvalidId as error:
        raise invalid_parameter("deployment", error.message) from None


def _version(known: Known, deployment: Deployment) -> int:
    """The version the journal has; for one not begun, the newest that both sides speak."""
    low, high = deployment.min_protocol_version, deployment.max_protocol_version
    version = known.protocol_version
    if version is None:
        try:
            return negotiate(VERSION_MIN, VERSION_MAX, low, high)
        except UnsupportedVersion as error:
            raise RequestError(400, error.message) from None
    if not low <= version <= high:
        raise RequestError(
            400,
            f"the invocation is pinned to protocol version {version}, which deployment {deployment.id} "
            f"does not support: it speaks {low} to {high}",
        )
    return version


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
