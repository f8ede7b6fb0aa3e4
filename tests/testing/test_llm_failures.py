"""The scripted provider: Anthropic's dialect, answers that go wrong, and what it knows of its callers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import pytest

from holdfast.testing.llm import ScriptedLLM, ScriptError, read

CALLS = [{"name": "look", "arguments": {"at": "it"}}, {"name": "pay", "arguments": {"usd": 5}}]


def post(llm: ScriptedLLM, path: str, body: object, timeout_s: float = 10) -> httpx.Response:
    return httpx.post(f"{llm.url}{path}", json=body, timeout=timeout_s, trust_env=False)


def chat(llm: ScriptedLLM, text: str = "hi", **more: object) -> httpx.Response:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **more}
    return post(llm, "/v1/chat/completions", body)


def events(answer: httpx.Response) -> list[dict[str, object]]:
    lines = [line for line in answer.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def messages_request(**more: object) -> dict[str, object]:
    return {"model": "claude", "max_tokens": 100, "messages": [{"role": "user", "content": "go"}], **more}


def test_anthropics_messages_whole() -> None:
    script = [{"text": "I look.", "tool_calls": CALLS, "tokens_in": 11, "tokens_out": 7}]
    with ScriptedLLM(script) as llm:
        answer = post(llm, "/v1/messages", messages_request(system="Be brief.")).json()
    text, look, pay = answer["content"]
    assert text == {"type": "text", "text": "I look."}
    assert (look["type"], look["name"], look["input"]) == ("tool_use", "look", {"at": "it"})
    assert pay["id"] != look["id"]
    assert (answer["stop_reason"], answer["usage"]) == (
        "tool_use",
        {"input_tokens": 11, "output_tokens": 7},
    )


def test_anthropics_messages_streamed_say_the_same() -> None:
    with ScriptedLLM([{"text": "I look at both.", "tool_calls": CALLS}]) as llm:
        whole = post(llm, "/v1/messages", messages_request()).json()
        told = events(post(llm, "/v1/messages", messages_request(stream=True)))
    assert (told[0]["type"], told[-1]["type"]) == ("message_start", "message_stop")
    parts: dict[int, str] = {}
    for event in told:
        if event["type"] == "content_block_delta":
            delta, index = event["delta"], event["index"]
            assert isinstance(delta, Mapping)
            assert isinstance(index, int)
            parts[index] = parts.get(index, "") + str(delta.get("text", delta.get("partial_json")))
    assert parts[0] == whole["content"][0]["text"]
    assert [json.loads(parts[index]) for index in (1, 2)] == [call["input"] for call in whole["content"][1:]]


def test_anthropics_tool_results_are_the_next_turn() -> None:
    rules = [
        {"tool_calls": CALLS},
        {"turn": 1, "last": "refused", "text": "Declined."},
        {"turn": 1, "text": "Paid."},
    ]

    def conversation(result: str) -> list[dict[str, object]]:
        used = {"type": "tool_use", "id": "t1", "name": "pay", "input": {}}
        told = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": result}]}
        return [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "text", "text": "I pay."}, used]},
            {"role": "user", "content": [told]},
        ]

    with ScriptedLLM(rules) as llm:
        answers = [
            post(llm, "/v1/messages", messages_request(messages=conversation(result))).json()
            for result in ("refused", "fine")
        ]
    assert [answer["content"][0]["text"] for answer in answers] == ["Declined.", "Paid."]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_provider_that_fails_and_recovers(path: str) -> None:
    replies = [
        {"status": 429, "headers": {"retry-after": "1"}},
        {"status": 500, "text": "oh"},
        {"text": "ok"},
    ]
    with ScriptedLLM([{"replies": replies}]) as llm:
        answers = [post(llm, path, messages_request()) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 500, 200, 200]
    assert answers[0].headers["retry-after"] == "1"
    assert "oh" in answers[1].json()["error"]["message"]
    assert [call.status for call in llm.calls] == [429, 500, 200, 200]


def test_an_answer_may_be_nonsense_or_break_off() -> None:
    with ScriptedLLM([{"replies": [{"body": "{no"}, {"text": "x" * 500, "cut_after": 10}]}]) as llm:
        assert chat(llm).text == "{no"
        with pytest.raises(httpx.TransportError):
            chat(llm)


def test_a_stream_breaks_off_after_so_many_events() -> None:
    heard: list[str] = []
    with ScriptedLLM([{"text": "word " * 50, "cut_after": 4}]) as llm:
        body = messages_request(stream=True)
        with (
            pytest.raises(httpx.TransportError),
            httpx.stream("POST", f"{llm.openai_url}/chat/completions", json=body, trust_env=False) as answer,
        ):
            heard.extend(line for line in answer.iter_lines() if line)
    assert all(line.startswith("data: ") for line in heard)


def test_arguments_that_do_not_parse_are_sent_as_they_are() -> None:
    with ScriptedLLM([{"tool_calls": [{"name": "pay", "arguments": "{usd: 5"}]}]) as llm:
        (call,) = chat(llm).json()["choices"][0]["message"]["tool_calls"]
    assert call["function"]["arguments"] == "{usd: 5"


def test_who_asks_and_what_is_asked_choose_the_rule() -> None:
    rules: Sequence[Mapping[str, object]] = [
        {"model": "small", "text": "small talk"},
        {"system": "pirate", "text": "arr"},
        {"user": "weather", "text": "rain"},
        {"user": "", "text": "anything else"},
    ]

    def said(text: str, model: str = "large", system: str = "") -> str:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
        body = {"model": model, "messages": messages}
        answer = post(llm, "/v1/chat/completions", body).json()
        return str(answer["choices"][0]["message"]["content"])

    with ScriptedLLM(rules) as llm:
        assert said("hi", model="small") == "small talk"
        assert said("hi", system="You are a pirate") == "arr"
        assert said("the weather?") == "rain"
        assert said("hi") == "anything else"


def test_a_caller_that_hung_up_got_no_answer() -> None:
    with ScriptedLLM([{"text": "late"}]) as llm:
        released = threading.Event()
        llm.hold(lambda: not released.is_set())
        with pytest.raises(httpx.TimeoutException):
            post(llm, "/v1/chat/completions", messages_request(), timeout_s=0.2)
        assert (len(llm.calls), llm.answered) == (1, 0)
        released.set()
        assert chat(llm).status_code == 200
        assert (len(llm.calls), llm.answered) == (2, 1)
        llm.forget()
        assert (llm.calls, llm.answered, llm.requests) == ([], 0, [])


def test_an_async_with_does_the_same() -> None:
    async def main() -> int:
        async with ScriptedLLM([{"text": "hello"}]) as llm:
            async with httpx.AsyncClient(trust_env=False) as client:
                body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
                answer = await client.post(f"{llm.openai_url}/chat/completions", json=body)
            assert llm.requests == [body]
            return answer.status_code

    assert asyncio.run(main()) == 200


def test_delays_end_with_the_provider() -> None:
    llm = ScriptedLLM([{"text": "late", "delay_s": 3600.0}])
    llm.start()
    caller = threading.Thread(target=lambda: chat(llm), daemon=True)
    caller.start()
    while not llm.calls:
        pass
    llm.stop()
    caller.join(10)
    assert not caller.is_alive()


@pytest.mark.parametrize(
    "script",
    ["text", {"text": "x"}, [1], [{"txt": "x"}], [{"replies": [{}]}], [{"reply": {"nope": 1}}], [{}]],
)
def test_a_script_that_is_none_is_refused(script: object) -> None:
    with pytest.raises(ScriptError, match="is not a script"):
        read(script)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"messages": 1}', b'{"messages": [1]}'])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/nothing"])
def test_requests_that_are_none_are_refused(path: str, body: bytes) -> None:
    with ScriptedLLM([{"text": "x"}]) as llm:
        answer = httpx.post(f"{llm.url}{path}", content=body, timeout=10, trust_env=False)
        assert answer.status_code == (404 if path.endswith("nothing") else 400)
        assert answer.json()["error"]
        assert llm.calls == []


@pytest.mark.e2e
def test_as_a_process_it_tells_its_address_and_its_calls(tmp_path: Path) -> None:
    script, log = tmp_path / "script.json", tmp_path / "calls.jsonl"
    script.write_text('[{"text": "hello"}]')
    process = subprocess.Popen(
        [sys.executable, "-m", "holdfast.testing.llm", str(script), "--log", str(log)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        httpx.post(f"{url}/chat/completions", json=body, timeout=10, trust_env=False).raise_for_status()
        (line,) = log.read_text().splitlines()
        assert json.loads(line)["status"] == 200
        told = httpx.get(f"{url.removesuffix('/v1')}/calls", timeout=10, trust_env=False).json()["calls"]
        assert [call["body"] for call in told] == [body]
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_a_process_without_a_script_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "holdfast.testing.llm", str(tmp_path / "none.json")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "none.json is not a script" in done.stderr
