"""Header blocks: what is remembered never changes what is read."""

import pytest
from hpack import Decoder, Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.http2.frames import ProtocolViolation
from holdfast.http2.requests import MalformedRequest, RefusedHeaders, RequestDecoder, response_block

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
