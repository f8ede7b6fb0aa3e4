"""What people see of a step in the journal: the words that the UI knows."""

from ai.pydantic_ai.agents import ask
from pydantic_ai import Agent
from pydantic_ai.messages import (
    ImageUrl,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.usage import RequestUsage

from holdfast.ai.pydantic_ai import Durable
from holdfast.ai.pydantic_ai.shown import described, shown_messages

from .conftest import Provider

HISTORY = [
    ModelRequest(
        [SystemPromptPart("Be fair."), UserPromptPart(["look", ImageUrl("https://example.org/a.png")])],
        instructions="Be brief.",
    ),
    ModelResponse([ThinkingPart("hm"), TextPart("I'll ask."), ToolCallPart("look", {"n": 1}, "c1")]),
    ModelRequest([ToolReturnPart("look", {"seen": True}, "c1")], instructions="Be brief."),
]


def test_a_conversation() -> None:
    instructions, system, user, assistant, tool = shown_messages(HISTORY)
    assert instructions == {"role": "system", "content": "Be brief."}
    assert system == {"role": "system", "content": "Be fair."}
    assert user["role"] == "user"
    assert assistant == {
        "role": "assistant",
        "content": "I'll ask.",
        "tool_calls": [{"id": "c1", "name": "look", "arguments": '{"n":1}'}],
    }
    assert tool == {"role": "tool", "content": '{"seen":true}', "tool_call_id": "c1"}


def test_an_answer() -> None:
    response = ModelResponse(
        [TextPart("Done.")],
        usage=RequestUsage(input_tokens=7, output_tokens=2),
        model_name="gpt-5-dated",
        provider_name="openai",
        provider_response_id="resp_1",
        finish_reason="stop",
    )
    assert described(response) == {
        "tokens_in": 7,
        "tokens_out": 2,
        "finish_reason": "stop",
        "request_id": "resp_1",
        "provider": "openai",
        "model": "gpt-5-dated",
        "response": {"content": "Done.", "tool_calls": []},
    }


def test_steps_say_what_they_were(provider: Provider) -> None:
    provider(
        {"tool_calls": [{"name": "look", "arguments": {"where": "attic"}}], "tokens_in": 11, "tokens_out": 3},
        {"text": "Found.", "tokens_in": 20, "tokens_out": 1},
    )
    agent = Agent("openai-chat:gpt-5", name="finder", instructions="Find it.", capabilities=[Durable()])

    @agent.tool_plain
    async def look(where: str) -> str:
        return f"nothing in the {where}"

    _, journal = ask(agent, "my hat")
    asked, tool, last = (entry.metadata or {} for entry in journal if entry.metadata)
    assert asked["messages"] == [
        {"role": "system", "content": "Find it."},
        {"role": "user", "content": "my hat"},
    ]
    assert (asked["kind"], asked["framework"], asked["provider"]) == ("model", "pydantic-ai", "openai")
    assert (asked["tokens_in"], asked["tokens_out"], asked["finish_reason"]) == (11, 3, "tool_call")
    assert tool["kind"] == "tool"
    assert (tool["tool"], tool["arguments"]) == ("look", {"where": "attic"})
    assert tool["call_id"]
    assert [message["role"] for message in last["messages"]] == ["system", "user", "assistant", "tool"]
