"""Request bodies. Unknown fields are ignored: tools are newer than servers as often as not."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from holdfast.catalog.durations import parse_duration

BATCH_INVOCATIONS_MAX = 1000


def _encodable(text: str) -> str:
    """JSON can escape half of a surrogate pair, which is no character: no answer could repeat it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a surrogate pair, which is not text") from None
    return text


def _duration_ms(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("expected a duration as text, for example '1d'")
    return parse_duration(value)


Text = Annotated[str, AfterValidator(_encodable)]
DurationMs = Annotated[int, BeforeValidator(_duration_ms)]
"""Milliseconds, written as text such as `1d`."""

Headers = dict[Text, Text]
Byte = Annotated[int, Field(ge=0, le=255)]


class RegisterDeployment(BaseModel):
    """Where a deployment is and how to treat what is registered already (protocol, "Registering")."""

    uri: Text | None = None
    arn: Text | None = None
    additional_headers: Headers | None = None
    use_http_11: bool | None = None
    breaking: bool | None = None
    force: bool | None = None
    dry_run: bool | None = None
    metadata: dict[Text, Text] | None = None

    @model_validator(mode="after")
    def _names_a_place(self) -> RegisterDeployment:
        if self.uri is None and self.arn is None:
            raise ValueError("expected 'uri'")
        return self


class UpdateDeployment(BaseModel):
    """What to change on a deployment; `overwrite` discovers it again."""

    uri: Text | None = None
    arn: Text | None = None
    additional_headers: Headers | None = None
    use_http_11: bool | None = None
    overwrite: bool | None = None
    dry_run: bool | None = None


class ModifyService(BaseModel):
    """Settings to change until the service's next revision."""

    public: bool | None = None
    idempotency_retention: DurationMs | None = None
    workflow_completion_retention: DurationMs | None = None
    journal_retention: DurationMs | None = None
    inactivity_timeout: DurationMs | None = None
    abort_timeout: DurationMs | None = None


class ReplaceStateBody(BaseModel):
    """The whole new state of one object, values as arrays of bytes."""

    object_key: Text
    new_state: dict[Text, list[Byte]]
    version: Text | None = None
    scope: Text | None = None


class Batch(BaseModel):
    """Invocations to treat alike; `deployment` for resume and restart."""

    invocation_ids: Annotated[list[Text], Field(max_length=BATCH_INVOCATIONS_MAX)]
    deployment: Text | None = None


class ResolveEntry(BaseModel):
    """The value that completes an entry: any JSON, handed on as it is written."""

    value: Any


class RejectEntry(BaseModel):
    """The failure that completes an entry; `code` is like an HTTP status."""

    message: Text
    code: Annotated[int, Field(ge=400, le=599)] = 500


class Query(BaseModel):
    query: Text


class CreateSubscription(BaseModel):
    """A Kafka subscription, which this server does not have."""

    source: Text
    sink: Text


SimpleOperation = Literal["cancel", "kill", "purge", "purge-journal", "pause"]
BatchOperation = Literal["cancel", "kill", "purge", "purge-journal", "pause", "resume", "restart-as-new"]
