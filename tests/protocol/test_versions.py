"""The newest version both speak, or a clear refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol.errors import UnsupportedVersion
from holdfast.protocol.versions import CONTENT_TYPES, content_type_of, negotiate, version_of

small = st.integers(1, 9)


@given(small, small, small, small)
def test_negotiation_finds_the_newest_common_version(a: int, b: int, c: int, d: int) -> None:
    common = set(range(a, b + 1)) & set(range(c, d + 1))
    try:
        version = negotiate(a, b, c, d)
    except UnsupportedVersion as refusal:
        assert not common
        assert f"{c} to {d}" in refusal.message  # noqa: PT017
    else:
        assert version == max(common)


def test_content_types_are_exact() -> None:
    for version in (5, 6, 7):
        assert content_type_of(version) == f"application/vnd.restate.invocation.v{version}"
        assert version_of(CONTENT_TYPES[version]) == version
    for wrong in ("application/json", "", CONTENT_TYPES[5] + "; charset=utf-8", CONTENT_TYPES[5].upper()):
        with pytest.raises(UnsupportedVersion, match="names no supported protocol version"):
            version_of(wrong)
    with pytest.raises(UnsupportedVersion, match="version 8 is not one of 5 to 7"):
        content_type_of(8)
