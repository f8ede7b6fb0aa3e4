"""The script: which answer a conversation gets.

A script is a list of rules, tried from the top; the first that matches answers. A rule sees only the
conversation in the request, so the same question gets the same answer, also after the server was killed. That
is what makes a count of model calls mean something: a repeated call is a call that was really repeated.

    [{"name":  "check first",
      "user":  "pay (?P<amount>\\d+)",          searched in the text of the user's messages
      "system": "You pay claims",               searched in the instructions
      "model": "gpt",                           searched in the model's name
      "turn":  0,                               how many times the model has answered so far
      "last":  "declined",                      searched in the newest message (or newest tool results)
      "reply": {"tool_calls": [{"name": "check", "arguments": {"amount": "$amount"}}]}}]

Every condition may be left out. A reply says what is answered and how:

    text, tool_calls         what the model says; several tool calls are asked for at once
    finish_reason            in the words of Chat Completions; `tool_calls` or `stop` when not given
    tokens_in, tokens_out    usage; words are counted when not given
    status, headers, error   an HTTP error in place of an answer, such as 429 with {"retry-after": "1"}
    delay_s                  wait before answering
    piece_delay_s            wait after each piece of a stream
    cut_after                break the connection after so many events of a stream, or bytes of an answer
    body                     this very text in place of an answer, to see what a client makes of it

`$name` in text and arguments is replaced by the group of that name from the `user` pattern. An argument that
is nothing but a number after the replacement is sent as a number. Arguments given as text are sent as they
are, also when they are no JSON.

`"replies": [...]` in place of `"reply"` are given one after the other when the very same conversation is
asked again, the last one for ever: how a provider that fails and recovers is written. A rule that has none of
the conditions answers the turn of its place in the list, and one may leave out `"reply":`, so that the
shortest script is `[{"tool_calls": [...]}, {"text": "Done."}]`.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from string import Template
from typing import cast

NUMBER = re.compile(r"-?\d+(\.\d+)?")

CONDITIONS = frozenset(["name", "user", "system", "model", "turn", "last"])
REPLY_FIELDS = frozenset(
    ["text", "tool_calls", "finish_reason", "tokens_in", "tokens_out", "status", "headers", "error",
     "delay_s", "piece_delay_s", "cut_after", "body"]
)  # fmt: skip


class ScriptError(Exception):
    """The script cannot be read, or holds no rule for a conversation. The message says what to change."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation in any dialect. `role`: system, user, assistant or tool."""

    role: str
    text: str


@dataclass(frozen=True)
class ToolCall:
    """The model asks for a tool. `arguments` is JSON text, as on the wire."""

    name: str
    arguments: str


@dataclass(frozen=True)
class Reply:
    """What is answered, and how; the module's text explains the fields."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    error: str = "scripted"
    delay_s: float | None = None
    piece_delay_s: float | None = None
    cut_after: int | None = None
    body: str | None = None

    @property
    def reason(self) -> str:
        """Why the model stopped: to have tools run, or because it is done."""
        return self.finish_reason or ("tool_calls" if self.tool_calls else "stop")


@dataclass(frozen=True)
class Rule:
    """Replies and the conditions under which they are given; see the module's text for each field."""

    name: str
    user: re.Pattern[str]
    system: re.Pattern[str] | None
    model: re.Pattern[str] | None
    turn: int | None
    last: re.Pattern[str] | None
    replies: tuple[Mapping[str, object], ...]

    def match(self, conversation: tuple[Message, ...], model: str) -> dict[str, str] | None:
        """The variables for the reply, or None when this rule does not apply."""
        if self.turn is not None and self.turn != turns_so_far(conversation):
            return None
        if self.model is not None and not self.model.search(model):
            return None
        if self.system is not None and not self.system.search(text_by(conversation, "system")):
            return None
        if self.last is not None and not self.last.search(newest_text(conversation)):
            return None
        found = self.user.search(text_by(conversation, "user"))
        return None if found is None else {name: value or "" for name, value in found.groupdict().items()}


@dataclass(frozen=True)
class Script:
    """Rules in the order in which they are tried."""

    rules: tuple[Rule, ...]

    def answer(
        self, conversation: tuple[Message, ...], model: str = "", asked: int = 0
    ) -> tuple[Rule, Reply]:
        """The first rule that applies, and its reply with the variables filled in.

        Args:
            asked: how often this very conversation was asked before.
        Raises:
            ScriptError: no rule applies; names the turn and the newest message.
        """
        for rule in self.rules:
            variables = rule.match(conversation, model)
            if variables is not None:
                return rule, fill(rule.replies[min(asked, len(rule.replies) - 1)], variables)
        raise ScriptError(
            f"no rule matches turn {turns_so_far(conversation)} whose newest message is "
            f"{newest_text(conversation)[:200]!r}; add a rule for it to the script"
        )


def turns_so_far(conversation: tuple[Message, ...]) -> int:
    """How many times the model has answered."""
    return sum(message.role == "assistant" for message in conversation)


def text_by(conversation: tuple[Message, ...], role: str) -> str:
    """Everything that this role said."""
    return "\n".join(message.text for message in conversation if message.role == role)


def newest_text(conversation: tuple[Message, ...]) -> str:
    """The text of the newest message, or of all tool results that ended the conversation together."""
    results = list(takewhile(lambda message: message.role == "tool", reversed(conversation)))
    newest = results or list(conversation[-1:])
    return "\n".join(message.text for message in reversed(newest))


def fill(reply: Mapping[str, object], variables: Mapping[str, str]) -> Reply:
    """Put the variables into a rule's reply."""
    options = {name: value for name, value in reply.items() if name not in ("text", "tool_calls")}
    calls = cast(list[dict[str, object]], reply.get("tool_calls", []))
    return Reply(
        text=Template(str(reply.get("text", ""))).safe_substitute(variables),
        tool_calls=tuple(
            ToolCall(str(call["name"]), fill_arguments(call.get("arguments", {}), variables))
            for call in calls
        ),
        **options,  # type: ignore[arg-type] # checked when the script was read
    )


def fill_arguments(arguments: object, variables: Mapping[str, str]) -> str:
    """The arguments of a call as they are sent; text stays as it is."""
    if isinstance(arguments, str):
        return arguments
    filled = {
        name: fill_argument(value, variables) for name, value in cast(dict[str, object], arguments).items()
    }
    return json.dumps(filled)


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
        entries = cast(object, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ScriptError(f"{path} is not a script: {error!r}; see holdfast.testing.llm.script") from error
    return read(entries, str(path))


def read(entries: object, origin: str = "the script") -> Script:
    """A script from its JSON data.

    Args:
        origin: names it in errors.
    Raises:
        ScriptError: not a list of rules, or a rule's pattern does not compile.
    """
    try:
        if not isinstance(entries, Iterable) or isinstance(entries, str | Mapping):
            raise TypeError("not a list")
        listed = cast(Iterable[Mapping[str, object]], entries)
        return Script(tuple(read_rule(number, entry) for number, entry in enumerate(listed)))
    except (ValueError, KeyError, TypeError, AttributeError, re.error) as error:
        raise ScriptError(f"{origin} is not a script: {error!r}; see holdfast.testing.llm.script") from error


def read_rule(number: int, entry: Mapping[str, object]) -> Rule:
    """One entry of the script's list, checked and compiled."""
    conditional = (CONDITIONS - {"name"}) & set(entry)
    turn = entry.get("turn") if conditional else number
    if "reply" in entry or "replies" in entry:
        unknown = set(entry) - CONDITIONS - {"reply", "replies"}
        replies = entry["replies"] if "replies" in entry else [entry["reply"]]
    else:
        unknown = set(entry) - CONDITIONS - REPLY_FIELDS
        replies = [{name: value for name, value in entry.items() if name in REPLY_FIELDS}]
    if unknown:
        raise ValueError(f"rule {number} has unknown fields {sorted(unknown)}")
    return Rule(
        name=str(entry.get("name", f"rule {number}")),
        user=re.compile(str(entry.get("user", ""))),
        system=_pattern(entry.get("system")),
        model=_pattern(entry.get("model")),
        turn=None if turn is None else int(str(turn)),
        last=_pattern(entry.get("last")),
        replies=tuple(read_reply(number, reply) for reply in cast(Sequence[object], replies)),
    )


def read_reply(number: int, reply: object) -> Mapping[str, object]:
    """One reply, checked."""
    if not isinstance(reply, Mapping):
        raise TypeError(f"a reply of rule {number} is {reply!r}, not an object")
    fields = cast(Mapping[str, object], reply)
    unknown = set(fields) - REPLY_FIELDS
    if unknown:
        raise ValueError(f"a reply of rule {number} has unknown fields {sorted(unknown)}")
    if not fields:
        raise ValueError(f"a reply of rule {number} is empty")
    fill(fields, {})
    return fields


def _pattern(text: object) -> re.Pattern[str] | None:
    return None if text is None else re.compile(str(text))
