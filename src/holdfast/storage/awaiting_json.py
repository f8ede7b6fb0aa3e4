"""Await trees as JSON: how they are stored, and how the SQL views show them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from holdfast.core.model import Await, Combinator

TREES_KEPT_MAX = 256

_NAMES = {
    Combinator.UNKNOWN: "Unknown",
    Combinator.FIRST_COMPLETED: "FirstCompleted",
    Combinator.ALL_COMPLETED: "AllCompleted",
    Combinator.FIRST_SUCCEEDED_OR_ALL_FAILED: "FirstSucceededOrAllFailed",
    Combinator.ALL_SUCCEEDED_OR_FIRST_FAILED: "AllSucceededOrFirstFailed",
}
_COMBINATORS = {name: combinator for combinator, name in _NAMES.items()}


def encode_await(tree: Await) -> str:
    """Compact JSON, such as `{"FirstCompleted":[{"Single":{"CompletionId":1}}]}`."""
    return msgspec.json.encode(_to_json(tree)).decode()


@lru_cache(maxsize=TREES_KEPT_MAX)
def decode_await(text: str) -> Await:
    """The inverse of `encode_await`. Most invocations wait for the one answer of their n-th command, so the
    trees met last are kept; nobody changes them."""
    return _from_json(msgspec.json.decode(text))


def _to_json(tree: Await) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"Single": {"CompletionId": c}} for c in tree.completions]
    parts += [{"Single": {"SignalIndex": s}} for s in tree.signals]
    parts += [{"Single": {"SignalName": n}} for n in tree.names]
    parts += [_to_json(child) for child in tree.children]
    return {_NAMES[tree.combinator]: parts}


def _from_json(value: dict[str, Any]) -> Await:
    ((name, parts),) = value.items()
    completions: list[int] = []
    signals: list[int] = []
    names: list[str] = []
    children: list[Await] = []
    for part in parts:
        single = part.get("Single")
        if single is None:
            children.append(_from_json(part))
        elif "CompletionId" in single:
            completions.append(single["CompletionId"])
        elif "SignalIndex" in single:
            signals.append(single["SignalIndex"])
        else:
            names.append(single["SignalName"])
    return Await(tuple(completions), tuple(signals), tuple(names), tuple(children), _COMBINATORS[name])
