"""LiteLLM's calls in a handler: journaled, described, and failing as the engine wants it."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

import holdfast
from holdfast import testing
from holdfast.testing.llm import ScriptedLLM

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
litellm = pytest.importorskip("litellm")

from holdfast.ai.litellm import acompletion, aresponses  # noqa: E402 - imports LiteLLM

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
service = holdfast.Service("Chat")
addresses: dict[str, str] = {}


@service.handler()
async def whole(ctx: holdfast.Context, model: str) -> dict[str, Any]:
    answer = await acompletion(model, MESSAGES, **options(model), max_retries=5)
    await ctx.sleep(timedelta(minutes=1))
    message = answer.choices[0].message
    calls = [[call.id, call.function.name, call.function.arguments] for call in message.tool_calls or ()]
    return {"class": type(answer).__name__, "text": message.content, "calls": calls, "usage": tokens(answer)}


@service.handler()
async def streamed(ctx: holdfast.Context, model: str) -> dict[str, Any]:
    chunks = await acompletion(
        model=model,
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
        **options(model),
    )
    texts = [chunk.choices[0].delta.content async for chunk in chunks if chunk.choices]
    await ctx.sleep(timedelta(minutes=1))
    return {"chunks": len(texts), "text": "".join(text or "" for text in texts)}


@service.handler()
async def responses(ctx: holdfast.Context, model: str) -> str:
    answer = await aresponses("hi", model, instructions="Be brief.", **options(model))
    await ctx.sleep(timedelta(minutes=1))
    return str(answer.output[0].content[0].text)


@service.handler()
async def responses_streamed(ctx: holdfast.Context) -> str:
    with pytest.raises(holdfast.UsageError, match="stream_unsupported") as caught:
        await aresponses("hi", "openai/gpt-x", stream=True)
    return caught.value.code


@service.handler()
async def fails(ctx: holdfast.Context) -> dict[str, Any]:
    try:
        await acompletion("openai/gpt-x", MESSAGES, **options("openai/gpt-x"))
    except holdfast.TerminalError as error:
        return {"message": error.message, "metadata": dict(error.metadata)}
    raise AssertionError("it answered")


def options(model: str) -> dict[str, Any]:
    return {"api_base": addresses["anthropic" if "claude" in model else "openai"], "api_key": "any"}


def tokens(answer: Any) -> list[int]:
    return [answer.usage.prompt_tokens, answer.usage.completion_tokens]


class Play:
    """The handlers on an engine, and a provider with a script."""

    def __init__(self, script: Sequence[Mapping[str, object]]) -> None:
        self.llm = ScriptedLLM(script)

    def call(self, handler: Any, argument: object = None, **harness: Any) -> Any:
        """What the handler returns; its journal and the time it took are kept."""

        async def scenario(env: testing.Harness) -> Any:
            began = env.now
            answer = await env.call(handler, argument)
            self.took = env.now - began
            self.journal = env.journal(handler)
            return answer

        addresses.update(openai=self.llm.openai_url, anthropic=self.llm.url)
        with self.llm:
            return testing.run(service, scenario, **harness)

    def metadata(self) -> Mapping[str, Any]:
        """Of the model step; there is one."""
        (found,) = (entry.metadata for entry in self.journal if entry.type == "Run" and entry.metadata)
        return found


ANSWER = {
    "text": "Good day to you, and to everybody else.",
    "tool_calls": [{"name": "look", "arguments": {"at": "it"}}],
    "tokens_in": 12,
    "tokens_out": 34,
}
MODELS = pytest.mark.parametrize(
    ("model", "name", "provider"),
    [
        ("openai/gpt-x", "gpt-x", "openai"),
        ("anthropic/claude-3-haiku-20240307", "claude-3-haiku-20240307", "anthropic"),
    ],
)
REPLAY = pytest.mark.parametrize("always_replay", [False, True], ids=["straight", "replayed"])


@MODELS
@REPLAY
def test_a_call_is_one_step_with_litellms_own_answer(
    model: str, name: str, provider: str, always_replay: bool
) -> None:
    play = Play([ANSWER])
    answer = play.call(whole, model, always_replay=always_replay)
    assert answer["class"] == "ModelResponse"
    assert answer["text"] == ANSWER["text"]
    assert [call[1:] for call in answer["calls"]] == [["look", '{"at": "it"}']]
    assert answer["usage"] == [12, 34]
    assert len(play.llm.calls) == 1
    assert play.journal.steps == [name]
    told = play.metadata()
    assert {key: told[key] for key in ("kind", "provider", "model", "framework")} == {
        "kind": "model",
        "provider": provider,
        "model": name,
        "framework": "litellm",
    }
    assert told["messages"] == MESSAGES
    assert (told["tokens_in"], told["tokens_out"], told["finish_reason"]) == (12, 34, "tool_calls")
    assert told["response"]["content"] == ANSWER["text"]
    (call,) = told["response"]["tool_calls"]
    assert (call["name"], call["arguments"]) == ("look", '{"at": "it"}')


@MODELS
@REPLAY
def test_a_stream_is_recorded_and_given_again(
    model: str, name: str, provider: str, always_replay: bool
) -> None:
    play = Play([ANSWER])
    answer = play.call(streamed, model, always_replay=always_replay)
    assert answer["text"] == ANSWER["text"]
    assert answer["chunks"] > 2
    assert len(play.llm.calls) == 1
    assert play.journal.steps == [name]
    told = play.metadata()
    assert (told["tokens_in"], told["tokens_out"], told["finish_reason"]) == (12, 34, "tool_calls")
    assert told["response"]["content"] == ANSWER["text"]


@REPLAY
def test_responses_are_one_step(always_replay: bool) -> None:
    play = Play([{"text": "hello", "tokens_in": 3, "tokens_out": 1}])
    assert play.call(responses, "openai/gpt-x", always_replay=always_replay) == "hello"
    assert len(play.llm.calls) == 1
    told = play.metadata()
    assert (told["tokens_in"], told["tokens_out"], told["response"]["content"]) == (3, 1, "hello")
    assert told["messages"] == MESSAGES


def test_a_stream_of_responses_is_refused_before_it_begins() -> None:
    play = Play([])
    assert play.call(responses_streamed) == "stream_unsupported"
    assert play.llm.calls == []


def test_limits_errors_cuts_and_nonsense_are_retried_by_the_engine() -> None:
    """The provider says 429, then 500, breaks the connection, and answers with what is no JSON."""
    replies = [
        {"status": 429, "headers": {"retry-after": "30"}},
        {"status": 500},
        {"cut_after": 20},
        {"body": "{so"},
    ]
    play = Play([{"replies": [*replies, ANSWER]}])
    assert play.call(whole, "openai/gpt-x")["text"] == ANSWER["text"]
    assert [call.status for call in play.llm.calls] == [429, 500, 200, 200, 200]
    assert play.took >= timedelta(seconds=90), "the provider asked for 30 seconds; the handler sleeps for 60"


def test_a_stream_that_breaks_is_read_anew() -> None:
    replies = [{"status": 429, "headers": {"retry-after-ms": "30000"}}, {**ANSWER, "cut_after": 3}, ANSWER]
    play = Play([{"replies": replies}])
    answer = play.call(streamed, "openai/gpt-x")
    assert answer["text"] == ANSWER["text"]
    assert len(play.llm.calls) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_the_provider_refuses_for_good_is_terminal(status: int) -> None:
    play = Play([{"status": status, "text": "no such key"}])
    answer = play.call(fails)
    assert answer["metadata"] == {"provider_status": str(status)}
    assert "no such key" in answer["message"]
    assert len(play.llm.calls) == 1


def test_outside_a_handler_it_is_litellms_own_call() -> None:
    async def main(llm: ScriptedLLM) -> tuple[Any, Any]:
        options = {"api_base": llm.openai_url, "api_key": "any", "max_retries": 0}
        answer = await acompletion("openai/gpt-x", MESSAGES, **options)
        stream = await acompletion("openai/gpt-x", MESSAGES, stream=True, **options)
        return answer, stream

    with ScriptedLLM([ANSWER]) as llm:
        answer, stream = asyncio.run(main(llm))
    assert answer.choices[0].message.content == ANSWER["text"]
    assert type(stream).__name__ == "CustomStreamWrapper"


def test_without_litellm_the_import_says_what_to_install() -> None:
    program = "import sys; sys.modules['litellm'] = None; import holdfast.ai, holdfast.ai.litellm"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "pip install 'holdfast[litellm]'" in done.stderr.splitlines()[-1]


def test_importing_the_core_imports_no_framework() -> None:
    program = (
        "import sys, holdfast.ai, holdfast.testing.llm; "
        "print({'litellm', 'agents', 'pydantic_ai', 'openai', 'httpx', 'pydantic'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "set()"


def test_arguments_are_those_of_litellm() -> None:
    ours, theirs = inspect.signature(acompletion), inspect.signature(litellm.acompletion)
    assert list(ours.parameters) == list(theirs.parameters)


def test_litellm_called_past_us_in_a_handler_is_found() -> None:
    service = holdfast.Service("Forgotten")

    @service.handler()
    async def unjournaled(ctx: holdfast.Context) -> None:
        await litellm.acompletion("openai/gpt-x", MESSAGES, api_base="http://127.0.0.1:9/v1", api_key="x")

    async def scenario(env: testing.Harness) -> str:
        sent = await env.send(unjournaled)
        await env.settle()
        failure = env.invocation_view(sent).failure
        await env.kill(sent)
        return str(failure)

    assert "outside a step" in testing.run(service, scenario)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    litellm.suppress_debug_info = True
    yield
    addresses.clear()
