"""Step metadata on the stream: announced, whole however it is cut, refused where it breaks a rule."""

from __future__ import annotations

import json

import pytest
from invoker.support import Stage, stage
from partition.support import handler, turns
from partition.support import run as go

from holdfast.core.commands import StartRequest
from holdfast.core.model import Activity, RetryPolicy
from holdfast.protocol import messages as wire
from holdfast.protocol.step_metadata import EXTENSIONS_HEADER, METADATA_BYTES_MAX, STEP_METADATA, announces
from holdfast.storage.step_metadata import step_metadata_of

GREET = handler(retry=RetryPolicy(initial_ms=3_600_000, max_ms=3_600_000))
RUN, DONE = wire.RunCommandMessage, wire.ProposeRunCompletionMessage


def about(completion_id: int, metadata: object) -> wire.StepMetadataMessage:
    return wire.StepMetadataMessage(completion_id, json.dumps(metadata).encode())


def kept(s: Stage, request: StartRequest) -> dict[int, object]:
    """By journal index, as committed and about to be."""
    tables = s.e.engine.owner(request.id).tables
    return {index: one.metadata for index, one in step_metadata_of(tables.database.rows, request.row).items()}


def test_every_push_announces_it() -> None:
    async def story() -> None:
        async with stage(GREET) as s:
            s.call(GREET)
            assert announces((await s.push()).headers, STEP_METADATA)
            assert EXTENSIONS_HEADER == "x-holdfast-extensions"

    go(story())


@pytest.mark.parametrize("size", [1, 7, 20, 10_000])
def test_it_is_stored_with_its_frame_however_the_bytes_are_cut(size: int) -> None:
    said = (
        about(1, {"kind": "model"}),
        RUN(1, "a"),
        RUN(2, "b"),
        about(1, {"tokens_in": 5}),
        DONE(1, wire.Value(b"7")),
        about(2, {"x": [None]}),
        DONE(2, wire.Failure(500, "no")),
    )

    async def story() -> None:
        async with stage(GREET) as s:
            request = s.call(GREET)
            push = (await s.push()).accept()
            data = b"".join(map(wire.frame, said))
            for start in range(0, len(data), size):
                push.listener.on_data(data[start : start + size])
                await turns()
            await s.journal(request, 0x411, 0x411, 0x8011, 0x8011)
            assert kept(s, request) == {1: {"kind": "model", "tokens_in": 5}, 2: {"x": [None]}}

    go(story())


def test_what_the_stream_cut_off_is_forgotten() -> None:
    """The proposal did not come, so nothing is known of its result, and nothing said of it."""

    async def story() -> None:
        async with stage(handler()) as s:
            request = s.call(handler())
            first = (await s.push()).accept()
            first.say(about(1, {"at": "start"}), RUN(1, "a"))
            first.say(about(1, {"tokens_in": 5}))
            first.lose()
            await s.journal(request, 0x411)
            assert kept(s, request) == {1: {"at": "start"}}

    go(story())


WRONG: dict[str, tuple[wire.Message, ...]] = {
    "no JSON": (wire.StepMetadataMessage(1, b"{"), RUN(1, "a")),
    "not UTF-8": (wire.StepMetadataMessage(1, b'{"a":"\xff"}'), RUN(1, "a")),
    "no object": (wire.StepMetadataMessage(1, b"[1]"), RUN(1, "a")),
    "nothing": (wire.StepMetadataMessage(1, b""), RUN(1, "a")),
    "nested without end": (wire.StepMetadataMessage(1, b'{"a":' + b"[" * 30_000), RUN(1, "a")),
    "too large": (wire.StepMetadataMessage(1, b'{"a":"%s"}' % (b"x" * METADATA_BYTES_MAX)), RUN(1, "a")),
    "another step's": (about(2, {}), RUN(1, "a")),
    "twice": (about(1, {}), about(1, {}), RUN(1, "a")),
    "no such step": (about(7, {}), DONE(7, wire.Value(b""))),
    "no completion id": (about(0, {}), RUN(0, "a")),
    "in front of the end": (
        about(1, {}),
        wire.OutputCommandMessage(result=wire.Value(b"")),
        wire.EndMessage(),
    ),
    "in front of a suspension": (about(1, {}), wire.SuspensionMessage(wire.Future((1,)))),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_breaks_a_rule_fails_the_attempt(name: str) -> None:
    async def story() -> None:
        async with stage(GREET) as s:
            request = s.call(GREET)
            push = (await s.push()).accept()
            push.say(*WRONG[name])
            invocation = await s.failed(request)
            assert s.code(request) == "RT0012"
            assert invocation.failure is not None
            assert "metadata" in invocation.failure.message
            assert invocation.activity is Activity.BACKING_OFF
            await turns()
            assert push.was_reset
            assert list(s.runner.running) == []
            assert kept(s, request) == {}

    go(story())
