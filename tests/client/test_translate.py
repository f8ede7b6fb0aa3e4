"""The synchronous front is the asynchronous one, translated."""

from __future__ import annotations

from client.translate import SYNC, translated


def test_the_synchronous_front_is_up_to_date() -> None:
    assert SYNC.read_text() == translated(), "run `python tests/client/translate.py`"
