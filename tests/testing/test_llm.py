"""The scripted endpoint, asked by the official `openai` client in both of its dialects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from openai.types.responses import ResponseFunctionToolCall, ResponseInputParam

from holdfast.testing.llm import Endpoint
from holdfast.testing.llm.script import Message, Script, ScriptError, load, newest_text

RULES = [
    {
        "user": "pay (?P<amount>\\d+) to (?P<name>\\w+)",
        "turn": 0,
        "reply": {
            "text": "I check both.",
            "tool_calls": [
                {"name": "check", "arguments": {"amount": "$amount", "name": "$name"}},
                {"name": "look_up", "arguments": {"exact": True}},
            ],
        },
    },
    {"turn": 1, "last": "refused", "reply": {"text": "Declined."}},
    {"user": "(?P<name>Ada)", "turn": 1, "reply": {"text": "Paid to $name, as she asked for."}},
]
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "pay 25 to Ada"}]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    path = tmp_path / "script.json"
    path.write_text(json.dumps(RULES))
    return load(path)


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """The endpoint's log of calls."""
    return tmp_path / "calls.jsonl"


@pytest.fixture
def client(script: Script, calls: Path) -> Iterator[openai.OpenAI]:
    """The official client, with an endpoint behind it; its own retries are off, to count calls."""
    with Endpoint(("127.0.0.1", 0), script, calls, piece_delay_s=0) as endpoint:
        thread = Thread(target=endpoint.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{endpoint.server_port}/v1"
        try:
            with openai.OpenAI(api_key="none", base_url=url, max_retries=0, timeout=10) as client:
                yield client
        finally:
            endpoint.shutdown()
            thread.join(10)


def test_one_answer_may_ask_for_several_tools(client: openai.OpenAI) -> None:
    choice = client.chat.completions.create(model="m", messages=QUESTION).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "I check both."
    called = [call.function for call in choice.message.tool_calls or [] if call.type == "function"]
    assert [(call.name, json.loads(call.arguments)) for call in called] == [
        ("check", {"amount": 25, "name": "Ada"}),
        ("look_up", {"exact": True}),
    ]


def test_a_streamed_answer_says_the_same_as_a_whole_one(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="m", messages=QUESTION)
    with client.chat.completions.stream(
        model="m", messages=QUESTION, stream_options={"include_usage": True}
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        streamed = stream.get_final_completion()
    said, streamed_said = whole.choices[0].message, streamed.choices[0].message
    assert len(deltas) > 1
    assert "".join(deltas) == said.content == streamed_said.content
    assert [call.id for call in streamed_said.tool_calls or []] == [c.id for c in said.tool_calls or []]
    assert [call.function.arguments for call in streamed_said.tool_calls or []] == [
        call.function.arguments for call in said.tool_calls or [] if call.type == "function"
    ]
    assert streamed.usage == whole.usage


def test_the_answer_depends_on_the_conversation_alone(client: openai.OpenAI) -> None:
    """Goal: restarts and repeats change nothing. Method: ask out of order, and twice."""
    asked = client.chat.completions.create(model="m", messages=QUESTION)
    later: list[ChatCompletionMessageParam] = [
        *QUESTION,
        {"role": "assistant", "content": "I check both."},
        {"role": "tool", "tool_call_id": "a", "content": "fine"},
    ]
    refused: list[ChatCompletionMessageParam] = [
        *later[:-1],
        {"role": "tool", "tool_call_id": "a", "content": "refused"},
        {"role": "tool", "tool_call_id": "b", "content": "fine"},
    ]
    answers = [
        client.chat.completions.create(model="m", messages=messages).choices[0].message.content
        for messages in (later, refused, later)
    ]
    assert answers == ["Paid to Ada, as she asked for.", "Declined.", "Paid to Ada, as she asked for."]
    assert client.chat.completions.create(model="m", messages=QUESTION) == asked


def test_responses_asks_for_tools_and_goes_on_with_their_results(client: openai.OpenAI) -> None:
    first = client.responses.create(model="m", input="pay 25 to Ada")
    wanted = [item for item in first.output if isinstance(item, ResponseFunctionToolCall)]
    assert first.output_text == "I check both."
    assert [(item.name, json.loads(item.arguments)) for item in wanted] == [
        ("check", {"amount": 25, "name": "Ada"}),
        ("look_up", {"exact": True}),
    ]
    history: ResponseInputParam = [{"role": "user", "content": "pay 25 to Ada"}]
    for item in wanted:
        history.append(
            {
                "type": "function_call",
                "call_id": item.call_id,
                "name": item.name,
                "arguments": item.arguments,
            }
        )
    for item in wanted:
        history.append({"type": "function_call_output", "call_id": item.call_id, "output": "fine"})
    assert client.responses.create(model="m", input=history).output_text == "Paid to Ada, as she asked for."


def test_responses_streams_the_same_as_it_answers(client: openai.OpenAI) -> None:
    whole = client.responses.create(model="m", input="pay 25 to Ada")
    with client.responses.stream(model="m", input="pay 25 to Ada") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == whole.output_text
    assert final.output_text == whole.output_text
    assert final.usage == whole.usage
    assert [
        (item.call_id, item.name, item.arguments) for item in final.output if item.type == "function_call"
    ] == [(item.call_id, item.name, item.arguments) for item in whole.output if item.type == "function_call"]


def test_every_call_leaves_a_line_and_a_refused_one_none(client: openai.OpenAI, calls: Path) -> None:
    client.chat.completions.create(model="m", messages=QUESTION)
    client.responses.create(model="m", input="pay 25 to Ada")
    with pytest.raises(openai.BadRequestError, match="no rule matches turn 0"):
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
    with pytest.raises(openai.BadRequestError, match="send the whole conversation"):
        client.responses.create(model="m", input="more", previous_response_id="resp_1")
    lines = [json.loads(line) for line in calls.read_text().splitlines()]
    assert [(line["path"], line["turn"], line["stream"]) for line in lines] == [
        ("/v1/chat/completions", 0, False),
        ("/v1/responses", 0, False),
    ]
    assert lines[0]["conversation"] == lines[1]["conversation"]


def test_the_newest_text_is_all_tool_results_at_the_end() -> None:
    user, assistant = Message("user", "u"), Message("assistant", "a")
    assert newest_text((user, assistant, Message("tool", "1"), Message("tool", "2"))) == "1\n2"
    assert newest_text((user, assistant)) == "a"
    assert newest_text(()) == ""


@pytest.mark.parametrize(
    "text", ["{", '[{"user": "(", "reply": {}}]', '[{"reply": {}, "whne": 1}]', '[{"turn": 0}]']
)
def test_a_broken_script_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(ScriptError, match=r"broken\.json is not a script"):
        load(path)
