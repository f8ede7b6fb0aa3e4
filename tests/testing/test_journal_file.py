"""Stored journals: what is written is read again, and what is wrong with a file is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.sdk.errors import UsageError
from holdfast.testing import StoredEntry, StoredJournal

JOURNALS = st.builds(
    StoredJournal,
    service=st.text(),
    handler=st.text(),
    key=st.none() | st.text(),
    invocation_id=st.text(),
    protocol_version=st.integers(5, 7),
    random_seed=st.integers(0, 2**64 - 1),
    state=st.dictionaries(st.text(), st.binary(), max_size=3),
    entries=st.lists(st.builds(StoredEntry, st.integers(0x0400, 0xFBFF), st.binary()), max_size=5).map(tuple),
)


@given(JOURNALS)
def test_what_is_written_is_read_again(journal: StoredJournal) -> None:
    assert StoredJournal.from_json(journal.to_json()) == journal


GOOD = StoredJournal("S", "h", None, "inv_1", 7, 1, {}, (StoredEntry(0x0400, b"x"),)).to_json()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it is not JSON"),
        ("[]", "expected an object"),
        ("{}", "its format is None, this release reads format 1"),
        (GOOD.replace('"format": 1', '"format": 2'), "its format is 2"),
        (GOOD.replace('"S"', "5"), "service is 5, expected str"),
        (GOOD.replace('"key": null', '"key": 5'), "key is neither text nor null"),
        (GOOD.replace("1024", "0"), "entry 0 has type 0x0000"),
        (GOOD.replace("1024", "true"), "type is True, expected int"),
        (GOOD.replace("eA==", "e"), "entry 0 is not base64"),
        (GOOD.replace('"state": {}', '"state": {"k": 1}'), "state 'k' is 1, expected base64"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "journal.json"
    file.write_text(text)
    with pytest.raises(UsageError) as refused:
        StoredJournal.load(file)
    assert said in str(refused.value)
    assert str(file) in str(refused.value)
    assert refused.value.code == "journal_file"
