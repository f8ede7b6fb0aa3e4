"""Descriptions of model and tool calls: the newest first, cut where too long, always JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.ai.metadata import (
    ARGUMENTS_BYTES_MAX,
    CUT_MARK,
    MESSAGES_BYTES_MAX,
    RESPONSE_BYTES_MAX,
    bounded_arguments,
    bounded_messages,
    bounded_response,
    bounded_text,
    plain,
)

JSON_DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.text(max_size=12), "content": st.none() | st.text() | st.lists(JSON_DATA, max_size=3)},
        optional={
            "tool_calls": st.lists(
                st.fixed_dictionaries({"id": st.text(), "name": st.text(), "arguments": JSON_DATA}),
                max_size=3,
            ),
            "tool_call_id": st.text(),
        },
    ),
    max_size=6,
)


def size(value: object) -> int:
    """As it is sent."""
    return len(msgspec.json.encode(value))


@given(messages=MESSAGES, bytes_max=st.integers(200, 2000))
def test_whatever_the_messages_they_fit_and_are_json(messages: list[dict[str, Any]], bytes_max: int) -> None:
    shown, left_out = bounded_messages(messages, bytes_max)
    assert sum(size(message) for message in shown) <= bytes_max
    assert len(shown) + left_out == len(messages)
    assert [message["role"] for message in shown] == [
        plain(message["role"]) for message in messages[left_out:]
    ]


@given(JSON_DATA | st.text())
def test_whatever_the_arguments_they_fit_and_are_json(arguments: object) -> None:
    assert size(bounded_arguments(arguments, 100)) <= 2 * 100 + 2


@given(st.text(), st.integers(10, 50))
def test_a_text_is_cut_in_whole_characters(text: str, bytes_max: int) -> None:
    shown = bounded_text(text, bytes_max)
    assert len(shown.encode()) <= max(bytes_max, len(CUT_MARK.encode()))
    assert shown == bounded_text(text, 10_000) or shown.endswith(CUT_MARK)


def test_the_newest_messages_are_kept() -> None:
    messages = [{"role": "user", "content": f"{number} " + "x" * 4000} for number in range(10)]
    shown, left_out = bounded_messages(messages)
    assert [str(message["content"])[0] for message in shown] == ["6", "7", "8", "9"]
    assert left_out == 6
    assert size(shown) <= MESSAGES_BYTES_MAX


def test_one_long_message_does_not_hide_the_rest() -> None:
    shown, left_out = bounded_messages(
        [{"role": "user", "content": "short"}, {"role": "tool", "content": "x" * 10_000_000}]
    )
    assert [message["role"] for message in shown] == ["user", "tool"]
    assert left_out == 0
    assert str(shown[1]["content"]).endswith(CUT_MARK)


def test_a_message_has_one_shape_whoever_wrote_it() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "pay", "arguments": '{"usd": 5}'}}
    shown, _ = bounded_messages(
        [
            {"role": "user", "content": [{"type": "text", "text": "see "}, {"type": "image_url"}, "this"]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "name": "pay", "arguments": {}}],
            },
            {"role": "tool", "content": {"paid": True}, "tool_call_id": "c1"},
        ]
    )
    assert shown == [
        {"role": "user", "content": "see [image_url]this"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "name": "pay", "arguments": '{"usd": 5}'}],
        },
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "name": "pay", "arguments": "{}"}]},
        {"role": "tool", "content": '{"paid": true}', "tool_call_id": "c1"},
    ]


def test_arguments_are_data_when_they_fit() -> None:
    assert bounded_arguments('{"usd": 5}') == {"usd": 5}
    assert bounded_arguments("{usd: 5") == "{usd: 5"
    assert (
        bounded_arguments({"note": "x" * 100_000}, 50)
        == '{"note": "' + "x" * (50 - 10 - len(CUT_MARK.encode())) + CUT_MARK
    )
    assert size(bounded_arguments("x" * 100_000)) <= ARGUMENTS_BYTES_MAX + 2
    deep = "[" * 100_000
    assert isinstance(bounded_arguments(deep), str)


def test_an_answer_of_ten_megabytes_is_cut() -> None:
    calls = [{"id": str(number), "name": "t", "arguments": "x" * 5000} for number in range(100)]
    response = bounded_response("y" * 10_000_000, calls)
    assert size(response) <= 2 * RESPONSE_BYTES_MAX
    assert str(response["content"]).endswith(CUT_MARK)


def test_what_is_no_json_is_shown_by_its_class() -> None:
    @dataclass
    class Secret:
        key: str = "hunter2"

    assert plain({"a": Secret(), 1: (2.5, float("nan"))}) == {
        "a": f"<{Secret.__qualname__}>",
        "1": [2.5, "nan"],
    }
    nested: list[Any] = []
    nested.append(nested)
    assert json.dumps(plain(nested))


@pytest.mark.parametrize("text", ["\ud800", "a\ud800b"])
def test_half_a_character_is_shown_as_a_question_mark(text: str) -> None:
    assert plain(text) == text.replace("\ud800", "?")
