"""The script: which answer a conversation gets.

A script is a JSON list of rules, tried from the top; the first that matches answers. A rule sees only the
conversation in the request, never what was asked before, so the answers are a function of the request
alone. That is what makes a count of model calls mean something: a repeated call is a call that was really
repeated.

    [{"name":  "check first",
      "user":  "pay (?P<amount>\\d+)",          searched in the text of the user's messages
      "turn":  0,                               how many times the model has answered so far
      "last":  "declined",                      searched in the newest message (or newest tool results)
      "reply": {"tool_calls": [{"name": "check", "arguments": {"amount": "$amount"}}]}}]

`user`, `turn` and `last` may each be left out. A reply has `text`, `tool_calls`, or both; `$name` in it
is replaced by the group of that name from the `user` pattern. An argument that is nothing but a number
after the replacement is sent as a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from string import Template
from typing import cast

NUMBER = re.compile(r"-?\d+(\.\d+)?")


class ScriptError(Exception):
    """The script cannot be read, or holds no rule for a conversation. The message says what to change."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation in either dialect. `role`: system, user, assistant or tool."""

    role: str
    text: str


@dataclass(frozen=True)
class ToolCall:
    """The model asks for a tool. `arguments` is JSON text, as on the wire."""

    name: str
    arguments: str


@dataclass(frozen=True)
class Reply:
    """What the model answers: text, tool calls to run (in parallel when several), or both."""

    text: str
    tool_calls: tuple[ToolCall, ...]


@dataclass(frozen=True)
class Rule:
    """A reply and the conditions under which it is given; see the module's text for each field."""

    name: str
    user: re.Pattern[str]
    turn: int | None
    last: re.Pattern[str] | None
    reply: Mapping[str, object]

    def match(self, conversation: tuple[Message, ...]) -> dict[str, str] | None:
        """The variables for the reply, or None when this rule does not apply."""
        if self.turn is not None and self.turn != turns_so_far(conversation):
            return None
        if self.last is not None and not self.last.search(newest_text(conversation)):
            return None
        asked = "\n".join(message.text for message in conversation if message.role == "user")
        found = self.user.search(asked)
        return None if found is None else {name: value or "" for name, value in found.groupdict().items()}


@dataclass(frozen=True)
class Script:
    """Rules in the order in which they are tried."""

    rules: tuple[Rule, ...]

    def answer(self, conversation: tuple[Message, ...]) -> tuple[Rule, Reply]:
        """The first rule that applies, and its reply with the variables filled in.

        Raises:
            ScriptError: no rule applies; names the turn and the newest message.
        """
        for rule in self.rules:
            variables = rule.match(conversation)
            if variables is not None:
                return rule, fill(rule.reply, variables)
        raise ScriptError(
            f"no rule matches turn {turns_so_far(conversation)} whose newest message is "
            f"{newest_text(conversation)[:200]!r}; add a rule for it to the script"
        )


def turns_so_far(conversation: tuple[Message, ...]) -> int:
    """How many times the model has answered."""
    return sum(message.role == "assistant" for message in conversation)


def newest_text(conversation: tuple[Message, ...]) -> str:
    """The text of the newest message, or of all tool results that ended the conversation together."""
    results = list(takewhile(lambda message: message.role == "tool", reversed(conversation)))
    newest = results or list(conversation[-1:])
    return "\n".join(message.text for message in reversed(newest))


def fill(reply: Mapping[str, object], variables: Mapping[str, str]) -> Reply:
    """Put the variables into a rule's reply."""
    calls = cast(list[dict[str, object]], reply.get("tool_calls", []))
    return Reply(
        text=Template(str(reply.get("text", ""))).safe_substitute(variables),
        tool_calls=tuple(
            ToolCall(
                name=str(call["name"]),
                arguments=json.dumps(
                    {
                        name: fill_argument(value, variables)
                        for name, value in cast(dict[str, object], call.get("arguments", {})).items()
                    }
                ),
            )
            for call in calls
        ),
    )


def fill_argument(value: object, variables: Mapping[str, str]) -> object:
    """One argument with its variables replaced; text that became a plain number is sent as a number."""
    if not isinstance(value, str) or "$" not in value:
        return value
    text = Template(value).safe_substitute(variables)
    if not NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


def load(path: Path) -> Script:
    """Read a script.

    Raises:
        ScriptError: the file is not a JSON list of rules, or a rule's pattern does not compile.
    """
    try:
        entries = cast(list[dict[str, object]], json.loads(path.read_text(encoding="utf-8")))
        return Script(tuple(read_rule(number, entry) for number, entry in enumerate(entries)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, re.error) as error:
        raise ScriptError(
            f"{path} is not a script: {error!r}; see examples/scripted_llm/script.py"
        ) from error


def read_rule(number: int, entry: Mapping[str, object]) -> Rule:
    """One entry of the script's list, checked and compiled."""
    unknown = set(entry) - {"name", "user", "turn", "last", "reply"}
    if unknown:
        raise ValueError(f"rule {number} has unknown fields {sorted(unknown)}")
    turn, last = entry.get("turn"), entry.get("last")
    return Rule(
        name=str(entry.get("name", f"rule {number}")),
        user=re.compile(str(entry.get("user", ""))),
        turn=None if turn is None else int(str(turn)),
        last=None if last is None else re.compile(str(last)),
        reply=cast(Mapping[str, object], entry["reply"]),
    )
