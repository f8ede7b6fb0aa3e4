"""The delay of a send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.ingress.durations import DELAY_MS_MAX, DelayError, parse_delay


@pytest.mark.parametrize(
    ("text", "delay_ms"),
    [
        ("PT60S", 60_000), ("PT1.5S", 1500), ("P1D", 86_400_000), ("1500ms", 1500), ("60sec", 60_000),
        ("1 sec", 1000), ("1h 30m", 5_400_000), ("0", 0), ("1500", 1500), (" 2s ", 2000),
    ],
)  # fmt: skip
def test_what_clients_write(text: str, delay_ms: int) -> None:
    assert parse_delay(text) == delay_ms


@given(st.integers(0, DELAY_MS_MAX))
def test_a_bare_number_is_milliseconds(delay_ms: int) -> None:
    assert parse_delay(str(delay_ms)) == parse_delay(f"{delay_ms}ms") == delay_ms


@given(st.text(max_size=30))
def test_any_text_is_a_delay_or_refused(text: str) -> None:
    try:
        outcome: int | str = parse_delay(text)
    except DelayError as error:
        outcome = str(error)
    if isinstance(outcome, int):
        assert 0 <= outcome <= DELAY_MS_MAX
    else:
        assert outcome.startswith("bad delay query parameter, must be a ISO8601 duration: ")


NOT_DELAYS = ["", "xx", "-1s", "-PT1S", "PT", "1 fortnight", "9" * 15, "P1000000D", "1e3"]


@pytest.mark.parametrize("text", NOT_DELAYS)
def test_what_is_no_delay(text: str) -> None:
    with pytest.raises(DelayError):
        parse_delay(text)
