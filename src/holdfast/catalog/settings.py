"""Effective settings of a handler, layered once at registration so that nobody asks again per invocation.

    server defaults <- the service's manifest <- an operator's patch <- the handler's manifest <- ceilings

A level that does not say leaves the value of the level before. A patch is of the service, so what a handler
insists on stays. Two values are not simply replaced: a handler is public only where both it and its service
are, so that publishing a service never exposes a handler its author kept private; and ceilings cut whatever
the other levels agreed on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

from holdfast.catalog.durations import DURATION_MS_MAX, format_duration
from holdfast.catalog.model import Handler, Settings
from holdfast.core.model import OnMaxAttempts, RetryPolicy, TargetKind
from holdfast.protocol.manifest import (
    HandlerManifest,
    HandlerType,
    Options,
    RetryPolicyManifest,
    ServiceManifest,
    ServiceType,
)
from holdfast.protocol.manifest import OnMaxAttempts as OnMaxAttemptsManifest

_DAY_MS = 86_400_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What applies where neither a manifest nor an operator says anything, and the server's ceilings.

    Durations are milliseconds. A ceiling of None does not limit.
    """

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    idempotency_retention_ms: int = _DAY_MS
    workflow_retention_ms: int = _DAY_MS
    journal_retention_ms: int = _DAY_MS
    inactivity_timeout_ms: int = 60_000
    abort_timeout_ms: int = 600_000
    enable_lazy_state: bool = False
    idempotency_retention_ms_max: int | None = None
    workflow_retention_ms_max: int | None = None
    journal_retention_ms_max: int | None = None
    retry_attempts_max: int | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """What an operator changed on a service; None leaves it. Lasts until the service's next revision."""

    public: bool | None = None
    idempotency_retention_ms: int | None = None
    workflow_retention_ms: int | None = None
    journal_retention_ms: int | None = None
    inactivity_timeout_ms: int | None = None
    abort_timeout_ms: int | None = None

    def then(self, later: Patch) -> Patch:
        """This patch with what `later` sets on top."""
        given = {f.name: getattr(later, f.name) for f in fields(later)}
        return replace(self, **{name: value for name, value in given.items() if value is not None})


def service_settings(
    service: ServiceManifest, patch: Patch, defaults: Defaults
) -> tuple[Settings, tuple[str, ...]]:
    """The service's own settings, and a line for each that a ceiling cut."""
    wanted = _at_service(service, patch, defaults)
    settings = _cut(wanted, defaults)
    return settings, tuple(
        f"{name} of {format_duration(asked)} is above the server's maximum of {format_duration(got)}"
        for name, asked, got in (
            (name, getattr(wanted, attribute), getattr(settings, attribute))
            for name, attribute in _CUT_FIELDS
        )
        if asked != got
    )


def effective_handler(
    service: ServiceManifest, handler: HandlerManifest, patch: Patch, defaults: Defaults, deployment: str
) -> Handler:
    """One handler of `deployment` with everything decided."""
    at_service = _at_service(service, patch, defaults)
    settings = _cut(_with_options(at_service, handler.options), defaults)
    return Handler(
        service=service.name,
        name=handler.name,
        service_type=service.type,
        kind=_kind(service.type, handler.type),
        deployment=deployment,
        public=at_service.public and not handler.options.ingress_private,
        input=handler.input,
        output=handler.output,
        idempotency_retention_ms=settings.idempotency_retention_ms,
        workflow_retention_ms=settings.workflow_retention_ms,
        journal_retention_ms=settings.journal_retention_ms,
        inactivity_timeout_ms=settings.inactivity_timeout_ms,
        abort_timeout_ms=settings.abort_timeout_ms,
        enable_lazy_state=settings.enable_lazy_state,
        retry=settings.retry,
    )


def _at_service(service: ServiceManifest, patch: Patch, defaults: Defaults) -> Settings:
    """The service as a whole. How long a workflow's result stays is said on its run handler and is a setting
    of the service all the same: the other handlers live as long."""
    said = _with_options(_server(defaults), service.options)
    run = next((h for h in service.handlers if h.type is HandlerType.WORKFLOW), None)
    if run is not None:
        retention_ms = _or(run.workflow_completion_retention_ms, said.workflow_retention_ms)
        said = replace(said, workflow_retention_ms=retention_ms)
    return _patched(said, patch)


_CUT_FIELDS = (
    ("idempotency_retention", "idempotency_retention_ms"),
    ("workflow_completion_retention", "workflow_retention_ms"),
    ("journal_retention", "journal_retention_ms"),
)


def _server(defaults: Defaults) -> Settings:
    return Settings(
        public=True,
        idempotency_retention_ms=defaults.idempotency_retention_ms,
        workflow_retention_ms=defaults.workflow_retention_ms,
        journal_retention_ms=defaults.journal_retention_ms,
        inactivity_timeout_ms=defaults.inactivity_timeout_ms,
        abort_timeout_ms=defaults.abort_timeout_ms,
        enable_lazy_state=defaults.enable_lazy_state,
        retry=defaults.retry,
    )


def _with_options(base: Settings, options: Options) -> Settings:
    return Settings(
        public=base.public if options.ingress_private is None else not options.ingress_private,
        idempotency_retention_ms=_or(options.idempotency_retention_ms, base.idempotency_retention_ms),
        workflow_retention_ms=base.workflow_retention_ms,
        journal_retention_ms=_or(options.journal_retention_ms, base.journal_retention_ms),
        inactivity_timeout_ms=_or(options.inactivity_timeout_ms, base.inactivity_timeout_ms),
        abort_timeout_ms=_or(options.abort_timeout_ms, base.abort_timeout_ms),
        enable_lazy_state=_or(options.enable_lazy_state, base.enable_lazy_state),
        retry=_retry(base.retry, options.retry_policy),
    )


def _retry(base: RetryPolicy, said: RetryPolicyManifest) -> RetryPolicy:
    on_max = base.on_max_attempts
    if said.on_max_attempts is not None:
        pauses = said.on_max_attempts is OnMaxAttemptsManifest.PAUSE
        on_max = OnMaxAttempts.PAUSE if pauses else OnMaxAttempts.KILL
    return RetryPolicy(
        initial_ms=_or(said.initial_interval_ms, base.initial_ms),
        factor=_or(said.exponentiation_factor, base.factor),
        max_ms=_or(said.max_interval_ms, base.max_ms),
        max_attempts=base.max_attempts if said.max_attempts is None else max(1, said.max_attempts),
        on_max_attempts=on_max,
    )


def _patched(base: Settings, patch: Patch) -> Settings:
    return replace(
        base,
        public=_or(patch.public, base.public),
        idempotency_retention_ms=_or(patch.idempotency_retention_ms, base.idempotency_retention_ms),
        workflow_retention_ms=_or(patch.workflow_retention_ms, base.workflow_retention_ms),
        journal_retention_ms=_or(patch.journal_retention_ms, base.journal_retention_ms),
        inactivity_timeout_ms=_or(patch.inactivity_timeout_ms, base.inactivity_timeout_ms),
        abort_timeout_ms=_or(patch.abort_timeout_ms, base.abort_timeout_ms),
    )


def _cut(wanted: Settings, defaults: Defaults) -> Settings:
    attempts = wanted.retry.max_attempts
    if defaults.retry_attempts_max is not None:
        attempts = min(_or(attempts, defaults.retry_attempts_max), defaults.retry_attempts_max)
    return replace(
        wanted,
        idempotency_retention_ms=_lower(
            wanted.idempotency_retention_ms, defaults.idempotency_retention_ms_max
        ),
        workflow_retention_ms=_lower(wanted.workflow_retention_ms, defaults.workflow_retention_ms_max),
        journal_retention_ms=_lower(wanted.journal_retention_ms, defaults.journal_retention_ms_max),
        inactivity_timeout_ms=_lower(wanted.inactivity_timeout_ms, None),
        abort_timeout_ms=_lower(wanted.abort_timeout_ms, None),
        retry=replace(
            wanted.retry,
            initial_ms=_lower(wanted.retry.initial_ms, None),
            max_ms=_lower(wanted.retry.max_ms, None),
            max_attempts=attempts,
        ),
    )


def _lower(wanted_ms: int, ceiling_ms: int | None) -> int:
    return min(wanted_ms, _or(ceiling_ms, DURATION_MS_MAX))


def _or(value: T | None, otherwise: T) -> T:
    return otherwise if value is None else value


def _kind(service: ServiceType, handler: HandlerType | None) -> TargetKind:
    match service:
        case ServiceType.SERVICE:
            return TargetKind.SERVICE
        case ServiceType.VIRTUAL_OBJECT:
            shared = handler is HandlerType.SHARED
            return TargetKind.OBJECT_SHARED if shared else TargetKind.OBJECT_EXCLUSIVE
        case ServiceType.WORKFLOW:
            shared = handler is HandlerType.SHARED
            return TargetKind.WORKFLOW_SHARED if shared else TargetKind.WORKFLOW_RUN
