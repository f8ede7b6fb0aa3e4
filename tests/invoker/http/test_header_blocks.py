"""Request blocks as an HPACK decoder reads them, and what is refused before it reaches a wire."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.http2.fields import HeaderError, encode_fields
from holdfast.http2.frames import ProtocolViolation
from holdfast.invoker.http.header_blocks import (
    RESPONSE_CACHE_ENTRIES_MAX,
    PreparedHeaders,
    RequestEncoder,
    ResponseCache,
    ResponseDecoder,
)

names = st.from_regex(r"(x-[a-z0-9-]{0,30}|accept|authorization|content-type|[a-z]{1,3})", fullmatch=True)
values = st.text(
    st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=("Cs",)), max_size=400
)


@given(headers=st.lists(st.tuples(names, values), max_size=10))
def test_any_headers_come_back_from_an_independent_decoder(headers: list[tuple[str, str]]) -> None:
    decoded = hpack.Decoder(max_header_list_size=2**20).decode(encode_fields(headers), raw=True)
    assert [(name.decode(), value.decode()) for name, value in decoded] == headers


def test_blocks_need_no_state_and_accept_a_peer_without_a_table() -> None:
    encoder = RequestEncoder("https", "api.test", "/v1")
    prepared = PreparedHeaders((("content-type", "a/b"), ("accept", "a/b")))
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = 0
    for _ in range(2):
        fields = decoder.decode(
            encoder.encode("POST", "/invoke/S/h", (("x-id", "7" * 5_000),), prepared), raw=True
        )
        assert list(fields) == [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", b"api.test"),
            (b":path", b"/v1/invoke/S/h"),
            (b"content-type", b"a/b"),
            (b"accept", b"a/b"),
            (b"x-id", b"7" * 5_000),
        ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Upper", "x"),
        ("", "x"),
        ("with space", "x"),
        (":path", "x\r\n"),
        ("transfer-encoding", "chunked"),
        ("host", "elsewhere"),
        ("ok", "line\r\nx-injected: 1"),
        ("ok", "nul\0"),
    ],
)
def test_headers_that_would_change_the_request_are_refused(name: str, value: str) -> None:
    with pytest.raises(HeaderError):
        encode_fields(((name, value),))


@pytest.mark.parametrize("name", [":path", ":status", ":authority"])
def test_callers_cannot_add_pseudo_headers(name: str) -> None:
    encoder = RequestEncoder("http", "h", "")
    with pytest.raises(HeaderError):
        encoder.encode("GET", "/", ((name, "/other"),), None)
    with pytest.raises(HeaderError):
        PreparedHeaders(((name, "/other"),))


@pytest.mark.parametrize("method", ["get", "", "GET /", "HEAD", "CONNECT", "P\r\n"])
def test_methods_are_plain_words_whose_answer_has_a_body(method: str) -> None:
    with pytest.raises(HeaderError):
        RequestEncoder("http", "h", "").encode(method, "/", (), None)


@pytest.mark.parametrize("path", ["no-slash", "/with space", "/\r\nx", "/ü", ""])
def test_paths_must_be_ready_for_the_wire(path: str) -> None:
    with pytest.raises(HeaderError):
        RequestEncoder("http", "h", "").encode("GET", path, (), None)


def test_repeated_fields_are_joined() -> None:
    block = b"\x88\x00\x01a\x011\x00\x01a\x012\x00\x06cookie\x01x\x00\x06cookie\x01y"
    assert ResponseDecoder(ResponseCache()).decode(block) == (200, {"a": "1, 2", "cookie": "x; y"})


def test_the_cache_is_bounded_and_only_filled_after_the_acknowledgement() -> None:
    cache = ResponseCache()
    decoder = ResponseDecoder(cache)
    decoder.decode(b"\x88")
    assert cache.heads == {}
    decoder.table_size_acknowledged()
    for number in range(3 * RESPONSE_CACHE_ENTRIES_MAX):
        decoder.decode(b"\x88\x00\x01d\x04%04d" % number)
    assert 0 < len(cache.heads) <= RESPONSE_CACHE_ENTRIES_MAX
    decoder.decode(b"\x88" + b"\x00\x01d\x7e" + b"x" * 126 + b"\x89" * 0)
    with pytest.raises(ProtocolViolation):
        decoder.decode(b"\x3f\xe1\x1f\x88")  # asks for a table again


@given(block=st.binary(max_size=60), acknowledged=st.booleans())
def test_random_blocks_only_ever_violate_the_protocol(block: bytes, acknowledged: bool) -> None:
    decoder = ResponseDecoder(ResponseCache())
    if acknowledged:
        decoder.table_size_acknowledged()
    try:
        status, _ = decoder.decode(block)
    except ProtocolViolation:
        return
    assert -1 <= status <= 999
