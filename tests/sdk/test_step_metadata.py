"""What a step says about itself: when it is sent, to whom, and what becomes of what cannot be said."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import holdfast
import holdfast.testing as testing
from holdfast import Context
from holdfast.protocol import messages as m
from holdfast.protocol.framing import FrameDecoder
from holdfast.protocol.step_metadata import EXTENSIONS_HEADER, METADATA_BYTES_MAX
from holdfast.sdk.context.payloads import Payloads
from holdfast.sdk.endpoint.running import make_attempt
from holdfast.sdk.step_metadata import LEFT_OUT, PART_BYTES_MAX, encode_metadata
from tests.sdk.attempts import Fed, ack, served

RUN = m.RunCommandMessage
ASKED = {"kind": "model", "model": "m-1"}
calls: list[str] = []


@holdfast.step(metadata=ASKED, describe=lambda answer: {"tokens_in": len(answer), "model": "m-1-large"})
async def ask(question: str) -> str:
    calls.append(question)
    return question.upper()


@holdfast.step(metadata={"kind": "tool", "tool": "wire"}, describe=lambda _: {}["no such key"])
async def badly_described() -> str:
    calls.append("badly")
    return "done"


service = holdfast.Service("Talk")


@service.handler
async def talk(ctx: Context, question: str) -> str:
    return await ask(question) + await ctx.run("again", ask, "b") + await ctx.run(plain)


@service.handler
async def bad(ctx: Context) -> str:
    return await ctx.run(badly_described)


def plain() -> str:
    return "."


async def one(ctx: Context) -> str:
    return await ctx.run(ask, "a")


# On the wire.


def told(header: str | None, *stored: m.Message) -> Fed:
    fed = served(one)
    headers = {} if header is None else {EXTENSIONS_HEADER: header}
    fed.attempt = make_attempt(holdfast.Service("Story").handler(one), 7, fed.payloads, fed.port, headers)
    return fed.begin(b"", *stored)


@pytest.mark.parametrize("header", ["step-metadata", "streams, Step-Metadata", "a,step-metadata ,b"])
def test_it_stands_in_front_of_the_command(header: str) -> None:
    metadata, command = told(header).said()
    assert isinstance(metadata, m.StepMetadataMessage)
    assert (metadata.result_completion_id, json.loads(metadata.json)) == (1, ASKED)
    assert command == RUN(1, "ask")


@pytest.mark.parametrize("header", [None, "", "streams", "step-metadata-2"])
def test_nothing_is_said_where_nobody_listens(header: str | None) -> None:
    assert told(header).names() == ["Run"]


def test_a_replayed_command_is_not_described_again() -> None:
    fed = told("step-metadata", RUN(1, "ask"))
    assert fed.said() == []
    assert fed.steps == ["ask"]


def test_the_metadata_takes_no_part_in_replay_checks() -> None:
    fed = told("step-metadata", RUN(1, "ask"), m.RunCompletionNotificationMessage(1, m.Value(b'"x"')))
    assert fed.result() == "x"


# With a server, which the test environment is. It takes metadata.


@pytest.mark.parametrize("always_replay", [False, True])
def test_a_journal_shows_it(always_replay: bool) -> None:
    calls.clear()

    async def scenario(env: testing.Harness) -> None:
        assert await env.call(talk, "a?") == "A?B."
        journal = env.journal(talk)
        steps = [entry for entry in journal if entry.type == "Run" and not entry.is_notification]
        assert [entry.metadata for entry in steps] == [
            {"kind": "model", "model": "m-1-large", "tokens_in": 2},
            {"kind": "model", "model": "m-1-large", "tokens_in": 1},
            None,
        ]
        assert "m-1-large" in str(journal)

    testing.run([service], scenario, always_replay=always_replay)
    assert calls == ["a?", "b"]


def test_a_crash_anywhere_counts_nothing_twice() -> None:
    """Method: the service dies at every point in turn; a step's metadata is what its stored result says."""

    async def scenario(env: testing.Harness) -> None:
        assert await env.call(talk, "a?") == "A?B."
        found = [entry.metadata for entry in env.journal(talk) if entry.metadata is not None]
        assert [one.get("tokens_in") for one in found] == [2, 1]
        assert all(one["kind"] == "model" for one in found)

    assert len(testing.crash_everywhere([service], scenario)) > 5


@dataclass
class Pair:
    left: int
    right: int


def test_describe_sees_what_the_handler_sees() -> None:
    """The result as it comes back from its bytes, not the object that the step returned."""
    seen: list[Pair] = []
    given = Pair(1, 2)

    def describe(result: Pair) -> dict[str, int]:
        seen.append(result)
        return {}

    @holdfast.step(describe=describe)
    def pair() -> Pair:
        return given

    story = holdfast.Service("Pairs")

    async def use(ctx: Context) -> int:
        return (await pair()).right

    handler = story.handler(use)

    async def scenario(env: testing.Harness) -> None:
        assert await env.call(handler) == 2

    testing.run([story], scenario)
    assert seen == [given]
    assert seen[0] is not given


def test_a_describe_that_raises_fails_the_attempt_by_name_and_the_step_is_not_done_again() -> None:
    calls.clear()

    async def scenario(env: testing.Harness) -> None:
        sent = await env.send(bad)
        await env.settle()
        view = env.invocation_view(sent)
        assert view.status == "backing-off"
        failure = view.failure or ""
        assert "step badly_described raised KeyError" in failure
        assert "[describe_failed]" in failure
        assert await sent.attach() == "done"
        [step] = [entry for entry in env.journal(bad) if entry.type == "Run" and not entry.is_notification]
        assert step.metadata == {"kind": "tool", "tool": "wire"}

    testing.run([service], scenario)
    assert calls == ["badly"]


@pytest.mark.parametrize("returned", [None, [1], {"a": object()}, {1: 2j}])
def test_a_describe_that_returns_no_json_object_is_told_so(returned: Any) -> None:
    step = holdfast.step(name="odd", describe=lambda _: returned)(plain)
    story = holdfast.Service("Odd")

    async def odd(ctx: Context) -> str:
        return await ctx.run(step)

    handler = story.handler(odd)

    async def scenario(env: testing.Harness) -> None:
        sent = await env.send(handler)
        await env.settle()
        assert "[describe_failed]" in (env.invocation_view(sent).failure or "")

    testing.run([story], scenario)


# Values.


@pytest.mark.parametrize("metadata", [[1], "text", {"a": object()}])
def test_metadata_that_is_no_json_object_is_refused_where_it_is_written(metadata: Any) -> None:
    with pytest.raises(holdfast.UsageError, match=r"step plain .*\[bad_step_metadata\]"):
        holdfast.step(metadata=metadata)(plain)


def test_the_largest_values_go_first_and_are_named() -> None:
    data = encode_metadata({"kind": "model", "a": "x" * 20_000, "b": "y" * 30_000, "tokens_in": 3})
    assert len(data) <= PART_BYTES_MAX
    found = json.loads(data)
    assert found == {"kind": "model", "a": "x" * 20_000, "tokens_in": 3, LEFT_OUT: ["b"]}


@given(st.dictionaries(st.text(max_size=60), st.text().map(lambda text: text * 1000), max_size=40))
def test_two_parts_always_fit_a_server(metadata: dict[str, str]) -> None:
    assert len(encode_metadata(metadata)) * 2 <= METADATA_BYTES_MAX


def test_many_small_values_fit_too() -> None:
    data = encode_metadata({f"\u0001{'n' * 200}{n}": n for n in range(10_000)})
    assert len(data) <= PART_BYTES_MAX
    assert len(json.loads(data)[LEFT_OUT]) == 16


# By Lambda, in whole requests.


def test_a_lambda_function_says_it_too() -> None:
    app = holdfast.app(service)
    handler = holdfast.lambda_handler(app)
    opening = m.StartMessage(bytes(24), "inv_1x", 1, random_seed=1)
    body = b"".join(map(m.frame, (opening, m.InputCommandMessage(value=m.Value(b'"a?"')))))
    event = {
        "path": "/invoke/Talk/talk",
        "httpMethod": "POST",
        "headers": {
            "content-type": "application/vnd.restate.invocation.v7",
            EXTENSIONS_HEADER: "step-metadata",
        },
        "body": b64encode(body).decode(),
        "isBase64Encoded": True,
    }
    answered = b64decode(handler(event)["body"])
    said = [m.decode(type_, inner) for type_, _, inner in FrameDecoder().feed(answered)]
    names = [type(one).__name__.removesuffix("Message") for one in said]
    assert names == ["StepMetadata", "RunCommand", "StepMetadata", "ProposeRunCompletion", "Suspension"]


def test_outside_a_handler_a_step_is_the_plain_function() -> None:
    assert asyncio.run(_awaited()) == "Q"


async def _awaited() -> str:
    return await ask("q")


def test_an_acknowledged_step_goes_on() -> None:
    fed = told("step-metadata")
    fed.said()
    fed.finish_step()
    fed.feed(ack(1))
    assert fed.result() == "A"


def test_payload_codecs_are_not_asked() -> None:
    """It is for people and for sums, so it is not encrypted: whoever encrypts payloads leaves secrets out."""

    class Backwards:
        def encode(self, data: bytes) -> bytes:
            return data[::-1]

        def decode(self, data: bytes) -> bytes:
            return data[::-1]

    fed = served(one)
    fed.attempt = make_attempt(
        holdfast.Service("Story").handler(one),
        7,
        Payloads(Backwards()),
        fed.port,
        {EXTENSIONS_HEADER: "step-metadata"},
    )
    metadata, _ = fed.begin(b"").said()
    assert isinstance(metadata, m.StepMetadataMessage)
    assert json.loads(metadata.json) == ASKED
