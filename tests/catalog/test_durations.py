import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.catalog.durations import DURATION_MS_MAX, format_duration, parse_duration


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0s"),
        (300, "300ms"),
        (60_000, "1m"),
        (90_000, "1m 30s"),
        (86_400_000, "1d"),
        (90_061_001, "1d 1h 1m 1s 1ms"),
    ],
)
def test_it_is_written_as_the_shortest_exact_text(ms: int, text: str) -> None:
    assert format_duration(ms) == text


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1d", 86_400_000),
        ("1 day 2hours", 93_600_000),
        ("1m30s", 90_000),
        ("1.5s", 1500),
        ("300 msec", 300),
        ("1us", 1),
        ("0", 0),
        ("PT1M30S", 90_000),
        ("pt0.25s", 250),
        ("P1DT1H", 90_000_000),
        ("P2W", 1_209_600_000),
        (" 10m ", 600_000),
    ],
)
def test_people_write_it_in_many_ways(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize(
    "text", ["", " ", "10", "1 parsec", "P", "PT", "P1M", "P1Y", "-1s", "1s!", "s", "9" * 99 + "d", "1e9s"]
)
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(ms=st.integers(0, DURATION_MS_MAX))
def test_writing_and_reading_are_inverse(ms: int) -> None:
    assert parse_duration(format_duration(ms)) == ms
