"""The short ways through the translator say what the general decoders say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core import commands as core
from holdfast.core import model
from holdfast.core.model import TargetKind
from holdfast.invoker.translate import TRANSLATIONS, Speaker
from holdfast.protocol import messages as wire
from holdfast.protocol.errors import MalformedMessage
from holdfast.protocol.framing import ACK_REQUESTED, MessageType, is_command

CONTENTS = st.binary(max_size=4) | st.sampled_from([b"x" * n for n in (123, 126, 127, 128, 300, 20_000)])
NEWER_FIELDS = st.sampled_from([b"", b"\xa0\x06\x01", b"\x0a\x00"])
"""Behind the message: nothing, a number and an empty chunk that only a newer peer would send."""


def _speaker(version: int) -> Speaker:
    return cast(Speaker, SimpleNamespace(version=version, held=None))


@given(CONTENTS, NEWER_FIELDS, st.sampled_from(["", "name"]))
def test_outputs(content: bytes, newer: bytes, name: str) -> None:
    body = wire.OutputCommandMessage(name, wire.Value(content)).encode() + newer
    item = TRANSLATIONS[MessageType.OUTPUT_COMMAND](_speaker(7), MessageType.OUTPUT_COMMAND, 0, body)
    decoded = wire.OutputCommandMessage.decode(body).result
    assert isinstance(decoded, wire.Value)
    assert item == core.Output(MessageType.OUTPUT_COMMAND, body, model.Success(decoded.content))
    assert decoded.content == content


@given(
    CONTENTS,
    NEWER_FIELDS,
    st.sampled_from([1, 127, 128, 70_000]),
    st.sampled_from([0, ACK_REQUESTED]),
    st.sampled_from([6, 7]),
)
def test_proposals(content: bytes, newer: bytes, completion_id: int, flags: int, version: int) -> None:
    body = wire.ProposeRunCompletionMessage(completion_id, wire.Value(content)).encode() + newer
    item = TRANSLATIONS[MessageType.PROPOSE_RUN_COMPLETION](
        _speaker(version), MessageType.PROPOSE_RUN_COMPLETION, flags, body
    )
    decoded = wire.ProposeRunCompletionMessage.decode(body)
    assert isinstance(decoded.result, wire.Value)
    ack = bool(flags) and version == 7
    assert item == core.RunProposal(decoded.result_completion_id, model.Success(decoded.result.content), ack)
    assert (decoded.result_completion_id, decoded.result.content) == (completion_id, content)


@given(
    st.text(max_size=8) | st.sampled_from(["n" * n for n in (123, 127, 128, 300)]),
    NEWER_FIELDS,
    st.sampled_from([0, 1, 127, 128, 70_000]),
)
def test_runs(name: str, newer: bytes, completion_id: int) -> None:
    body = wire.RunCommandMessage(completion_id, name).encode() + newer
    item = TRANSLATIONS[MessageType.RUN_COMMAND](_speaker(7), MessageType.RUN_COMMAND, 0, body)
    assert item == core.Plain(MessageType.RUN_COMMAND, body, completion_id)


SENT_BY_SDKS = [type_ for type_ in MessageType if is_command(type_) and type_ != MessageType.INPUT_COMMAND]


@pytest.mark.parametrize("type_", SENT_BY_SDKS, ids=lambda type_: type_.name)
def test_no_command_is_stored_that_cannot_be_read(type_: MessageType) -> None:
    """A body that is not protobuf would be replayed to every later attempt, which must refuse it."""
    promises = "PROMISE" in type_.name
    kind = TargetKind.WORKFLOW_RUN if promises else TargetKind.OBJECT_EXCLUSIVE
    target = model.Target("S", "h", "k", kind)
    speaker = cast(Speaker, SimpleNamespace(version=7, held=None, invocation=SimpleNamespace(target=target)))
    with pytest.raises(MalformedMessage):
        TRANSLATIONS[type_](speaker, type_, 0, b"\x00")
