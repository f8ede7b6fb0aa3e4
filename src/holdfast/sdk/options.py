"""What can be set on services and handlers, besides what their code does.

None means that the code does not say, and the level above decides: the service for its handlers, the server
for services. Durations are timedeltas or seconds. Which options apply where is checked by `services`, since
it depends on the kind of both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Literal, TypedDict, TypeGuard

from holdfast.sdk.durations import Duration, duration_ms
from holdfast.sdk.retry import check_attempts, check_factor
from holdfast.sdk.serde.api import Serde


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationRetry:
    """How the server retries whole invocations of a handler; None leaves a part to the server.

    Attributes:
        initial_interval, max_interval: timedelta or seconds.
        factor: growth of the interval, at least 1.
        max_attempts: attempts in all, the first included.
        on_max_attempts: "pause" keeps the invocation for a person to resume, "kill" fails it.
    Raises:
        TypeError, ValueError: a value outside these.
    """

    initial_interval: Duration | None = None
    max_interval: Duration | None = None
    factor: float | None = None
    max_attempts: int | None = None
    on_max_attempts: Literal["pause", "kill"] | None = None

    def __post_init__(self) -> None:
        for name in ("initial_interval", "max_interval"):
            value: Duration | None = getattr(self, name)
            if value is not None:
                duration_ms(value, name)
        check_attempts(self.max_attempts)
        check_factor(self.factor)
        if self.on_max_attempts not in (None, "pause", "kill"):
            raise ValueError(f'on_max_attempts is {self.on_max_attempts!r}; expected "pause" or "kill"')


class ServiceKeywords(TypedDict, total=False):
    """The options of a service as keywords; meaning as in `ServiceOptions`."""

    inactivity_timeout: Duration
    abort_timeout: Duration
    journal_retention: Duration
    idempotency_retention: Duration
    workflow_retention: Duration
    lazy_state: bool
    private: bool
    retry: InvocationRetry
    metadata: Mapping[str, str]
    documentation: str


class HandlerKeywords(ServiceKeywords, total=False):
    """The options of a handler as keywords; meaning as in `HandlerOptions`."""

    accept: str
    content_type: str
    input_serde: Serde[Any]
    output_serde: Serde[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """Options of a service, which its handlers may override.

    Attributes:
        inactivity_timeout: how long an attempt may be silent before it is asked to suspend.
        abort_timeout: how long it may take to suspend before it is aborted.
        journal_retention: how long the journal of a completed invocation is kept.
        idempotency_retention: how long an idempotency key is remembered after completion.
        workflow_retention: how long a workflow's key, state and promises are kept after it completed.
        lazy_state: read state when the handler asks, instead of sending it with each attempt.
        private: not callable from ingress.
        retry: how invocations are retried.
        metadata: shown by the admin API.
        documentation: shown by the admin API; a handler's docstring by default.
    Raises:
        TypeError, ValueError: a value of the wrong kind, naming the option.
    """

    inactivity_timeout: Duration | None = None
    abort_timeout: Duration | None = None
    journal_retention: Duration | None = None
    idempotency_retention: Duration | None = None
    workflow_retention: Duration | None = None
    lazy_state: bool | None = None
    private: bool | None = None
    retry: InvocationRetry | None = None
    metadata: Mapping[str, str] | None = None
    documentation: str | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            check_option(field.name, getattr(self, field.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerOptions(ServiceOptions):
    """Options of one handler, before those of its service.

    Attributes:
        accept: content type that ingress lets through for the input, `a/b`, `a/*` or `*/*`; the input's own
            by default.
        content_type: of the output at ingress; the output's own by default.
        input_serde, output_serde: used instead of what the annotations ask for.
    """

    accept: str | None = None
    content_type: str | None = None
    input_serde: Serde[Any] | None = None
    output_serde: Serde[Any] | None = None


def check_option(name: str, value: object) -> None:
    """Raises TypeError or ValueError unless the value suits the option of this name, or is None."""
    if value is None:
        return
    match name:
        case (
            "inactivity_timeout"
            | "abort_timeout"
            | "journal_retention"
            | "idempotency_retention"
            | "workflow_retention"
        ):
            if not isinstance(value, timedelta | int | float):
                raise TypeError(f"{name} is {value!r}; expected a timedelta or seconds")
            duration_ms(value, name)
        case "lazy_state" | "private":
            if not isinstance(value, bool):
                raise TypeError(f"{name} is {value!r}; expected True or False")
        case "retry":
            if not isinstance(value, InvocationRetry):
                raise TypeError(f"{name} is {value!r}; expected an InvocationRetry")
        case "metadata":
            if not _is_text_map(value):
                raise TypeError(f"{name} is {value!r}; expected a mapping of text to text")
        case "documentation" | "accept" | "content_type":
            if not isinstance(value, str):
                raise TypeError(f"{name} is {value!r}; expected text")
        case _:
            if not isinstance(value, Serde):
                raise TypeError(
                    f"{name} is {value!r}; expected content_type, serialize, deserialize and schema"
                )


def _is_text_map(value: object) -> bool:
    return _is_mapping(value) and all(
        isinstance(key, str) and isinstance(item, str) for key, item in value.items()
    )


def _is_mapping(value: object) -> TypeGuard[Mapping[object, object]]:
    return isinstance(value, Mapping)
