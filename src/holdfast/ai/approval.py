"""A person's word inside an agent: wait for it at no cost, take it over HTTP, stop waiting at a deadline.

    run  ask <name>     its value and metadata name the awakeable; whoever is to be told is told here
    awakeable           resolved by a person, over HTTP or in the UI
    sleep               the deadline, if there is one

The race this file exists for: a person may answer in the moment the time runs out. So the end of the time is
an answer too: the handler completes the awakeable itself, as expired, and then takes whichever came first.
Nobody is told "approved" whose word came too late, and a word that came in time counts.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from holdfast.ai.metadata import Json, bounded_arguments, bounded_text
from holdfast.ai.steps import described_step
from holdfast.sdk.context.ambient import current
from holdfast.sdk.durations import Duration, seconds_of
from holdfast.sdk.errors import InvocationCancelled, TerminalError
from holdfast.sdk.retry import Retry
from holdfast.sdk.serde.plain import JSON

REASON_BYTES_MAX = 4096
"""Of what a person writes; it reaches the model."""

Outcome = Literal["approved", "denied", "expired"]

_EXPIRED: dict[str, Json] = {"approved": False, "expired": True, "reason": "nobody answered in time"}


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of asking. True when it was approved.

    Attributes:
        outcome: "approved", "denied", or "expired" when nobody answered in time.
        reason: what the person wrote, empty if nothing; says why when the answer could not be read.
        by: who answered, as far as the answer says.
        arguments: the arguments as the person changed them; None when they did not.
    """

    outcome: Outcome
    reason: str = ""
    by: str = ""
    arguments: Mapping[str, Any] | None = field(default=None)

    @property
    def approved(self) -> bool:
        """Whether to go on."""
        return self.outcome == "approved"

    def __bool__(self) -> bool:
        return self.approved


async def approval(
    name: str,
    *,
    timeout: Duration | None,  # noqa: ASYNC109 - durable: it outlives the process
    details: object = None,
    notify: Callable[[str], Awaitable[object]] | None = None,
) -> Decision:
    """Ask a person, and wait for the answer: for days, through restarts, without a process.

    The answer is JSON, `true`, `false` or
    `{"approved": bool, "reason"?: str, "by"?: str, "arguments"?: {}}`, given at the ingress,
    `POST /restate/awakeables/{id}/resolve`, or in the UI; `/reject` with a text
    is a denial. Anything else that is sent is a denial too, whose reason says what was expected.

    Args:
        name: of what is asked, for people: "wire 900 USD to Bob".
        timeout: how long to wait, timedelta or seconds; None for ever.
        details: JSON data for whoever decides, such as the tool's arguments; shown in the journal.
        notify: called once, in a step, with the awakeable's id: to send it to whoever decides.
    Raises:
        UsageError: `no_context`, outside a handler or in a step: a tool that asks must not be a step itself.
        InvocationCancelled: while waiting.
    """
    context = current()
    timeout_s = None if timeout is None else seconds_of(timeout, "timeout")
    awakeable = context.awakeable(bytes)

    async def ask() -> dict[str, str]:
        if notify is not None:
            await notify(awakeable.id)
        return {"awakeable_id": awakeable.id}

    metadata: dict[str, Json] = {
        "kind": "approval",
        "approval": bounded_text(name, REASON_BYTES_MAX),
        "awakeable_id": awakeable.id,
        "details": bounded_arguments(details),
        "timeout_s": timeout_s,
    }
    asked = context.run(described_step(f"ask {name}", ask, JSON, Retry(), metadata))
    # Awaited first: an answer that comes meanwhile waits in the journal.
    await asked
    if timeout_s is not None:
        await asyncio.wait([awakeable.future], timeout=timeout_s)
        if not awakeable.future.done():
            context.resolve_awakeable(awakeable.id, _EXPIRED)
    try:
        return _decision(await awakeable)
    except InvocationCancelled:
        raise
    except TerminalError as error:
        return Decision("denied", bounded_text(error.message, REASON_BYTES_MAX))


def _decision(data: bytes) -> Decision:
    # Read here, not by the awakeable's type: what a person sent must never be what an attempt fails with.
    shown = bounded_text(data.decode(errors="replace"), 200)
    try:
        answer = cast(object, json.loads(data))
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, bool):
        return Decision("approved" if answer else "denied")
    if isinstance(answer, Mapping):
        fields = cast(Mapping[str, object], answer)
        approved, arguments = fields.get("approved"), fields.get("arguments")
        if isinstance(approved, bool) and (arguments is None or isinstance(arguments, Mapping)):
            outcome: Outcome = "approved" if approved else "denied"
            return Decision(
                "expired" if fields == _EXPIRED else outcome,
                bounded_text(str(fields.get("reason") or ""), REASON_BYTES_MAX),
                bounded_text(str(fields.get("by") or ""), REASON_BYTES_MAX),
                cast("Mapping[str, Any] | None", arguments),
            )
    return Decision(
        "denied",
        f"the answer could not be read: {shown}; expected true, false or an object "
        'with "approved": true or false, and perhaps "reason", "by" and "arguments" (an object)',
    )
