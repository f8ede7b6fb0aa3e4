"""Step metadata on its way in: held until the frame it belongs to has come, which is the next one.

Only then does core hear of it, as one item, so that the two are stored together however the bytes were cut on
their way. What is held when the stream breaks is forgotten, like the frame that did not come.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from holdfast.core import commands as core
from holdfast.core.model import RetryPolicy
from holdfast.invoker import failures
from holdfast.invoker.failures import Refusal
from holdfast.protocol.messages import StepMetadataMessage
from holdfast.protocol.step_metadata import METADATA_BYTES_MAX

_object: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


class Holder(Protocol):
    """The attempt, as far as metadata goes. `held` waits for the frame it belongs to."""

    held: StepMetadataMessage | None

    def on_refusal(self) -> tuple[RetryPolicy, float]:
        """Policy and jitter of its failure, should core refuse an item."""
        ...


def hold(of: Holder, _: int, __: int, body: bytes) -> None:
    """A StepMetadata frame has come.

    Raises:
        Refusal: it is no JSON object, too large, or another one is held already.
        ProtocolError: the body cannot be read.
    """
    refuse_held(of, "more step metadata")
    message = StepMetadataMessage.decode(body)
    which = f"the metadata of step {message.result_completion_id}"
    if len(message.json) > METADATA_BYTES_MAX:
        raise Refusal(
            failures.PROTOCOL,
            f"{which} is {len(message.json)} bytes, at most {METADATA_BYTES_MAX} are kept; send less",
        )
    try:
        _object.decode(message.json)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(failures.PROTOCOL, f"{which} is no JSON object: {error}") from error
    of.held = message


def with_metadata(of: Holder, item: core.Plain | core.RunProposal, completion_id: int) -> core.Item:
    """The item together with what is held for it.

    Raises:
        Refusal: what is held belongs to another step.
    """
    held, of.held = of.held, None
    if held is None:
        return item
    if held.result_completion_id != completion_id:
        raise Refusal(
            failures.PROTOCOL,
            f"the metadata of step {held.result_completion_id} stands in front of step {completion_id}; "
            "expected in front of its own command or proposal",
        )
    return core.Described(item, completion_id, held.json, *of.on_refusal())


def refuse_held(of: Holder, following: str) -> None:
    """Something comes that no metadata belongs to.

    Raises:
        Refusal: some is held.
    """
    if of.held is not None:
        raise Refusal(
            failures.PROTOCOL,
            f"the metadata of step {of.held.result_completion_id} is followed by {following}; expected the "
            "step's command or proposal",
        )
