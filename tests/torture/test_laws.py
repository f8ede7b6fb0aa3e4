"""The check of the steps finds what it is for, and lets pass what at-least-once allows."""

import pytest

from .laws import check_steps


def story(text: str) -> list[tuple[str, str]]:
    return [("inv", label.strip()) for label in text.split(",")]


@pytest.mark.parametrize(
    "text",
    [
        "begin a, step 0 a, step 1 a, done a",
        "begin a, step 0 a, begin b, step 0 b, step 1 b, done b",
        "begin a, step 0 a, step 1 a, begin b, step 1 b, done b",
        "begin a, step 0 a, step 1 a, begin z, step 0 z, begin b, step 1 b, done b",
        "begin a, step 0 a, done a, begin b, done b",
    ],
    ids=["plain", "not journaled", "the last one", "an attempt nobody waits for", "an end that was lost"],
)
def test_allowed(text: str) -> None:
    check_steps(story(text))


@pytest.mark.parametrize(
    "text",
    [
        "begin a, step 0 a, step 1 a, begin b, step 0 b, step 1 b, done b",
        "begin a, step 0 a, step 1 a, done a, begin b, step 1 b, done b",
        "begin a, step 0 a, step 0 a, done a",
        "begin a, step 0 a, step 1 a, step 2 a, begin b, step 1 b, step 2 b",
    ],
    ids=["a lost entry", "a lost last entry", "twice in one attempt", "went on"],
)
def test_a_journaled_step_that_runs_again_is_found(text: str) -> None:
    with pytest.raises(AssertionError, match="ran a"):
        check_steps(story(text))
