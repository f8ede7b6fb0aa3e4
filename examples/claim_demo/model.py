"""The model: one streamed call with the official `openai` client, and the words around it.

The client reads OPENAI_BASE_URL and OPENAI_API_KEY by itself; OPENAI_MODEL names the model. Nothing here
is durable: the agent makes a call durable by running `ask_model` as a step.
"""

from __future__ import annotations

import json
import os
from typing import TypeAlias

import openai
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolUnionParam
from pydantic import BaseModel

import holdfast

Message: TypeAlias = ChatCompletionMessageParam

INSTRUCTIONS = (
    "You decide insurance claims. First look up the policy and check for fraud, both at once. If the claim "
    "is covered and not suspicious, call pay_out with the claimed amount; approval is handled for you. If it "
    "is refused, or you cannot pay, decline. End with one sentence that begins with Approved or Declined."
)


class ToolRequest(BaseModel):
    """A tool the model wants to have run. `arguments` is JSON text, as the model wrote it."""

    id: str
    name: str
    arguments: str

    def number(self, argument: str) -> int | None:
        """A whole number among the arguments; None when the model wrote something else."""
        try:
            value = json.loads(self.arguments)[argument]
        except (ValueError, KeyError, TypeError):
            return None
        return value if isinstance(value, int) else None


class Answer(BaseModel):
    """One answer of the model: text, tools to run, or both."""

    text: str
    tools: list[ToolRequest]


def opening(claim: str) -> list[Message]:
    """The conversation before the model has said anything."""
    return [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": claim}]


async def ask_model(conversation: list[Message]) -> Answer:
    """One streamed model call. The client's own retries are off: the server retries, and remembers."""
    async with openai.AsyncOpenAI(max_retries=0) as client:
        try:
            async with client.chat.completions.stream(
                model=os.environ.get("OPENAI_MODEL", "gpt-4o-mini"), messages=conversation, tools=TOOLS
            ) as stream:
                message = (await stream.get_final_completion()).choices[0].message
        except (openai.BadRequestError, openai.AuthenticationError) as error:
            raise holdfast.TerminalError(f"the model endpoint refused the call: {error}") from error
    return Answer(
        text=message.content or "",
        tools=[
            ToolRequest(id=call.id, name=call.function.name, arguments=call.function.arguments)
            for call in message.tool_calls or []
        ],
    )


def as_message(answer: Answer) -> Message:
    """An answer, as the conversation carries it on."""
    return {
        "role": "assistant",
        "content": answer.text,
        "tool_calls": [
            {"id": tool.id, "type": "function", "function": {"name": tool.name, "arguments": tool.arguments}}
            for tool in answer.tools
        ],
    }


def tool(name: str, description: str, argument: str, kind: str) -> ChatCompletionToolUnionParam:
    """A tool with one argument, described for the model."""
    parameters: dict[str, object] = {
        "type": "object",
        "properties": {argument: {"type": kind}},
        "required": [argument],
        "additionalProperties": False,
    }
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters, "strict": True},
    }


TOOLS = [
    tool("look_up_policy", "Says whether a policy exists and what it covers.", "policy", "string"),
    tool("check_fraud", "Says whether a claim of this amount looks suspicious.", "amount", "integer"),
    tool("pay_out", "Pays the customer this amount in EUR.", "amount", "integer"),
]
