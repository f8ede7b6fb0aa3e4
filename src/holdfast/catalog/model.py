"""What is registered: deployments, and the services and handlers of their newest revisions.

All of it is immutable; a registration or an operator's patch makes new values. Durations are milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from holdfast.core.model import Retention, RetryPolicy, Target, TargetKind
from holdfast.invoker.http.api import Endpoint
from holdfast.protocol.manifest import InputRule, OutputRule, ServiceManifest, ServiceType


class Mode(StrEnum):
    """How a deployment talks (protocol, "Bidirectional and request/response mode")."""

    BIDI_STREAM = "BidiStream"
    REQUEST_RESPONSE = "RequestResponse"


@dataclass(frozen=True, slots=True)
class Deployment:
    """An immutable version of somebody's code, reachable at `endpoint`."""

    id: str
    uri: str
    endpoint: Endpoint
    mode: Mode
    http_version: str
    min_protocol_version: int
    max_protocol_version: int
    created_at: int
    sdk_version: str | None = None
    additional_headers: tuple[tuple[str, str], ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler with its effective settings: server default, then service, then the operator's
    patch of the service, then what the handler itself insists on."""

    service: str
    name: str
    service_type: ServiceType
    kind: TargetKind
    deployment: str
    public: bool
    input: InputRule | None
    output: OutputRule | None
    idempotency_retention_ms: int
    workflow_retention_ms: int
    journal_retention_ms: int
    inactivity_timeout_ms: int
    abort_timeout_ms: int
    enable_lazy_state: bool
    retry: RetryPolicy
    # What every invocation needs and all share, made once.
    target: Target = field(init=False, repr=False, compare=False)
    """Of an invocation without key."""
    _retentions: tuple[Retention, Retention] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", Target(self.service, self.name, None, self.kind))
        object.__setattr__(self, "_retentions", (self._retention(False), self._retention(True)))

    def retention(self, *, idempotent: bool) -> Retention:
        """How long one invocation's result and journal stay. What can be asked for again (a workflow run,
        an idempotent call) keeps its result for its own time and the journal no longer than that; for the
        rest the result stays as long as the journal."""
        return self._retentions[idempotent]

    def _retention(self, idempotent: bool) -> Retention:
        if self.kind is TargetKind.WORKFLOW_RUN:
            completion = self.workflow_retention_ms
        elif idempotent:
            completion = self.idempotency_retention_ms
        else:
            return Retention(self.journal_retention_ms, self.journal_retention_ms)
        return Retention(completion, min(completion, self.journal_retention_ms))


@dataclass(frozen=True, slots=True)
class Settings:
    """Effective settings of a service as a whole, or of one handler."""

    public: bool
    idempotency_retention_ms: int
    workflow_retention_ms: int
    journal_retention_ms: int
    inactivity_timeout_ms: int
    abort_timeout_ms: int
    enable_lazy_state: bool
    retry: RetryPolicy


@dataclass(frozen=True, slots=True)
class Service:
    """A service at the revision that one deployment serves.

    `manifest` is what the deployment said, `settings` and `handlers` (by name, in the manifest's order) what
    became of it. `notices` are (code, message) pairs for operators, such as a retention the server cut.
    """

    name: str
    type: ServiceType
    revision: int
    deployment: str
    mode: Mode
    manifest: ServiceManifest
    settings: Settings
    handlers: Mapping[str, Handler]
    notices: tuple[tuple[str, str], ...] = ()
