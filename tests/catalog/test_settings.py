"""Which level decides a setting."""

from __future__ import annotations

from holdfast.catalog.durations import DURATION_MS_MAX
from holdfast.catalog.model import Handler, Settings
from holdfast.catalog.settings import Defaults, Patch, effective_handler, service_settings
from holdfast.core.model import OnMaxAttempts, Retention, RetryPolicy

from .support import JSON_OBJECT, discovered, handler, service

DAY_MS = 86_400_000


def effective(
    described: JSON_OBJECT, patch: Patch | None = None, defaults: Defaults | None = None
) -> tuple[Settings, Handler]:
    """The settings of a service and of its first handler."""
    manifest = discovered(described).manifest.services[0]
    patch, defaults = patch or Patch(), defaults or Defaults()
    own = effective_handler(manifest, manifest.handlers[0], patch, defaults, "dp")
    return service_settings(manifest, patch, defaults)[0], own


def test_the_server_decides_where_nobody_else_does() -> None:
    whole, own = effective(service("S"))
    assert own.retry == whole.retry == RetryPolicy(500, 2.0, 60_000, 70, OnMaxAttempts.PAUSE)
    assert own.idempotency_retention_ms == own.workflow_retention_ms == own.journal_retention_ms == DAY_MS
    assert (own.inactivity_timeout_ms, own.abort_timeout_ms) == (60_000, 600_000)
    assert (own.public, own.enable_lazy_state) == (True, False)


def test_handler_over_service_over_server() -> None:
    whole, own = effective(
        service(
            "S",
            handler("h", inactivityTimeout=2, retryPolicyMaxAttempts=3, retryPolicyOnMaxAttempts="KILL"),
            inactivityTimeout=1,
            abortTimeout=1,
            retryPolicyInitialInterval=9,
            retryPolicyExponentiationFactor=1.5,
            enableLazyState=True,
        )
    )
    assert (whole.inactivity_timeout_ms, own.inactivity_timeout_ms, own.abort_timeout_ms) == (1, 2, 1)
    assert own.retry == RetryPolicy(9, 1.5, 60_000, 3, OnMaxAttempts.KILL)
    assert whole.retry == RetryPolicy(9, 1.5, 60_000, 70, OnMaxAttempts.PAUSE)
    assert own.enable_lazy_state


def test_an_operator_overrules_the_service_and_not_what_a_handler_insists_on() -> None:
    described = service("S", handler("h", abortTimeout=1), journalRetention=2)
    patch = Patch(journal_retention_ms=0, idempotency_retention_ms=4, abort_timeout_ms=9)
    whole, own = effective(described, patch)
    assert whole.journal_retention_ms == own.journal_retention_ms == 0
    assert own.idempotency_retention_ms == 4
    assert (whole.abort_timeout_ms, own.abort_timeout_ms) == (9, 1)


def test_publishing_a_service_does_not_expose_a_private_handler() -> None:
    private = service("S", handler("h"), ingressPrivate=True)
    assert [s.public for s in effective(private)] == [False, False]
    assert [s.public for s in effective(private, Patch(public=True))] == [True, True]
    guarded = service("S", handler("h", ingressPrivate=True))
    assert [s.public for s in effective(guarded, Patch(public=True))] == [True, False]
    assert [s.public for s in effective(service("S"), Patch(public=False))] == [False, False]


def test_a_workflow_keeps_its_result_as_long_as_its_run_handler_says() -> None:
    run = handler("run", ty="WORKFLOW", workflowCompletionRetention=5000)
    whole, own = effective(service("W", run, handler("peek", ty="SHARED"), ty="WORKFLOW"))
    assert whole.workflow_retention_ms == own.workflow_retention_ms == 5000
    assert own.retention(idempotent=False) == Retention(5000, 5000)
    whole, own = effective(service("W", run, ty="WORKFLOW"), Patch(workflow_retention_ms=1))
    assert whole.workflow_retention_ms == own.workflow_retention_ms == 1


def test_ceilings_cut_and_say_so() -> None:
    defaults = Defaults(
        journal_retention_ms_max=1000, idempotency_retention_ms_max=DAY_MS, retry_attempts_max=5
    )
    manifest = discovered(service("S", handler("h", journalRetention=10))).manifest.services[0]
    whole, cuts = service_settings(manifest, Patch(), defaults)
    assert (whole.journal_retention_ms, whole.retry.max_attempts) == (1000, 5)
    assert cuts == ("journal_retention of 1d is above the server's maximum of 1s",)
    own = effective_handler(manifest, manifest.handlers[0], Patch(), defaults, "dp")
    assert own.journal_retention_ms == 10
    unlimited = Defaults(retry=RetryPolicy(max_attempts=None), retry_attempts_max=5)
    assert effective(service("S"), defaults=unlimited)[1].retry.max_attempts == 5


def test_absurd_durations_stay_storable() -> None:
    _, own = effective(service("S", handler("h", journalRetention=2**62, retryPolicyMaxInterval=2**62)))
    assert own.journal_retention_ms == own.retry.max_ms == DURATION_MS_MAX
