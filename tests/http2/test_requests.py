"""Header blocks: what is remembered never changes what is read."""

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.http2.fields import encode_fields
from holdfast.http2.frames import ProtocolViolation
from holdfast.http2.requests import (
    MalformedRequest,
    RefusedHeaders,
    RequestDecoder,
    plain_fields,
    response_block,
)

fields = st.tuples(
    st.sampled_from(("x", "y", "accept")), st.sampled_from(("1", "2", "a" * 200)), st.booleans()
)
steps = st.lists(
    st.tuples(
        st.sampled_from(("/a", "/b")),
        st.lists(fields, max_size=3),
        st.sampled_from((None, None, 0, 300, 4096)),
    ),
    max_size=25,
)


@settings(max_examples=200)
@given(steps)
def test_every_request_is_read_as_it_was_written(
    conversation: list[tuple[str, list[tuple[str, str, bool]], int | None]],
) -> None:
    """Goal: no block is answered from memory when the table has moved under it. Method: an encoder that
    indexes some fields, keeps others out of the table and changes the table's size."""
    encoder, decoder = Encoder(), RequestDecoder(10_000, 100)
    for path, extra, table_bytes in conversation:
        if table_bytes is not None:
            encoder.header_table_size = table_bytes
        pseudo = [(":method", "POST"), (":scheme", "http"), (":path", path)]
        block = encoder.encode([*((name, value, False) for name, value in pseudo), *extra])
        assert decoder.request(block) == ("POST", path, [(name, value) for name, value, _ in extra])


def test_a_repeated_block_is_remembered_until_the_table_changes() -> None:
    """Goal: the memory is used at all. Method: the shared list of headers is the same object."""
    encoder, decoder = Encoder(), RequestDecoder(10_000, 100)

    def read(path: str) -> list[tuple[str, str]]:
        fields = [(":method", "POST"), (":scheme", "http"), (":path", path), ("x", "1")]
        return decoder.request(encoder.encode(fields))[2]

    read("/a")  # fills the table
    remembered = read("/a")
    assert read("/a") is remembered
    read("/b")
    assert read("/a") == remembered
    assert read("/a") is not remembered


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_any_block_is_a_request_or_a_named_mistake(block: bytes) -> None:
    decoder = RequestDecoder(1000, 10)
    try:
        method, target, _ = decoder.request(block)
    except (MalformedRequest, RefusedHeaders, ProtocolViolation):
        return
    assert method
    assert target


@pytest.mark.parametrize("status", [200, 202, 404, 470, 503])
def test_responses_suit_a_client_without_a_table(status: int) -> None:
    decoder = Decoder()
    decoder.max_allowed_table_size = 0
    block = response_block(status, [("content-type", "application/json"), ("x-restate-id", "inv_1")])
    assert decoder.decode(block) == [
        (":status", str(status)),
        ("content-type", "application/json"),
        ("x-restate-id", "inv_1"),
    ]


@given(
    st.lists(st.tuples(st.text("abc-", min_size=1, max_size=200), st.text(max_size=300)), max_size=10),
    st.binary(max_size=3),
)
def test_plain_blocks_are_read_as_the_decoder_reads_them(headers: list[tuple[str, str]], junk: bytes) -> None:
    """Goal: the short way reads nothing that the long way does not. Method: blocks of our own, with a little
    of anything behind them."""
    printable = [(name, "".join(c for c in value if c.isprintable())) for name, value in headers]
    block = b"\x20\x83\x86" + encode_fields(printable) + junk
    decoder = Decoder()
    decoder.max_allowed_table_size = 4096
    try:
        expected = [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
    except HPACKError:
        expected = None
    found = plain_fields(block, 0)
    assert found is None or found == expected
    if not junk and all(len(name) < 127 for name, _ in printable):
        assert found is not None


@settings(max_examples=500)
@given(st.binary(max_size=40))
def test_any_block_that_is_read_the_short_way_means_what_the_decoder_says(block: bytes) -> None:
    found = plain_fields(block, 4096)
    if found is not None:
        decoder = Decoder()
        assert found == [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
        assert not decoder.header_table.dynamic_entries
