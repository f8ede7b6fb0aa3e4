"""Names, headers and durations, from what users write to what is sent."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.client.wire import base_url, delay_text, header, idempotency_header, segment, timeout_seconds
from holdfast.sdk.errors import UsageError

NAMES = st.text(st.characters(codec="utf-8"), min_size=1)


@given(NAMES)
def test_any_key_is_one_segment_that_reads_back_even_through_httpx(key: str) -> None:
    written = segment(key, "the key")
    assert "/" not in written
    assert "?" not in written
    assert unquote(written) == key
    path = httpx.URL(f"http://h/Counter/{written}/add").raw_path.decode()
    assert unquote(path) == f"/Counter/{key}/add"
    assert path.count("/") == 3


@pytest.mark.parametrize("key", [".", "..", "...", "a/../b", "%2E%2E", "?x", "#", " ", "é", "\x00"])
def test_keys_that_urls_like_to_misread(key: str) -> None:
    path = httpx.URL(f"http://h/Counter/{segment(key, 'the key')}/add").raw_path.decode()
    assert [unquote(part) for part in path.split("/")] == ["", "Counter", key, "add"]


@pytest.mark.parametrize("key", ["", "\ud800"])
def test_keys_no_path_can_hold(key: str) -> None:
    with pytest.raises(UsageError, match="the key"):
        segment(key, "the key")


@pytest.mark.parametrize(
    ("delay", "text"),
    [
        (0, "0ms"),
        (0.3, "300ms"),
        (1.5, "1500ms"),
        (timedelta(days=2), "172800000ms"),
        (timedelta(microseconds=1600), "2ms"),
    ],
)
def test_delays_carry_their_unit(delay: timedelta | float, text: str) -> None:
    assert delay_text(delay) == text


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), 1e12, timedelta(days=-1), True])
def test_delays_that_are_none(delay: timedelta | float) -> None:
    with pytest.raises(UsageError, match="delay"):
        delay_text(delay)


def test_a_timeout_is_some_time_or_none() -> None:
    assert timeout_seconds(None) is None
    assert timeout_seconds(timedelta(minutes=1)) == 60
    with pytest.raises(UsageError, match="timeout is 0"):
        timeout_seconds(0)


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://h", "http://", "http://h/?a=1", "", "http://h:x"])
def test_urls_that_name_no_ingress(url: str) -> None:
    with pytest.raises(UsageError, match="not the URL of an ingress"):
        base_url(url)


def test_a_prefix_of_the_ingress_is_kept() -> None:
    assert base_url("https://gateway.example/ingress/") == "https://gateway.example/ingress"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Idempotency-Key", "x"),
        ("Host", "x"),
        ("a b", "x"),
        ("", "x"),
        ("x-a", "line\r\nbreak"),
        ("x-a", "ümlaut"),
        ("x-a", ""),
    ],
)
def test_headers_that_cannot_be_given(name: str, value: str) -> None:
    with pytest.raises(UsageError, match="header"):
        header(name, value)


def test_headers_that_can() -> None:
    assert header("X-Trace", "a b") == ("x-trace", "a b")
    assert (
        idempotency_header("order 7/é".encode("ascii", "xmlcharrefreplace").decode())[1] == "order 7/&#233;"
    )
