"""The short way to open an attempt writes what the general one writes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.model import INVOKED, Invocation, InvocationId, Retention, Row, Target, TargetKind
from holdfast.invoker.replay import has_state, opening, plain_opening
from holdfast.protocol.framing import MessageType
from holdfast.protocol.ids import encode_invocation_id


@given(
    id_=st.binary(min_size=24, max_size=24),
    kind=st.sampled_from(TargetKind),
    key=st.none() | st.text(max_size=5),
    idempotency_key=st.none() | st.just("key"),
    retries=st.sampled_from([0, 0, 0, 3]),
    replayed=st.lists(st.tuples(st.sampled_from([0x040C, 0x800C]), st.binary(max_size=300)), max_size=200),
    version=st.sampled_from([5, 6, 7]),
)
def test_the_plain_opening_is_the_general_one_or_none(
    id_: bytes,
    kind: TargetKind,
    key: str | None,
    idempotency_key: str | None,
    retries: int,
    replayed: list[tuple[int, bytes]],
    version: int,
) -> None:
    target = Target("Service", "handler", None if kind is TargetKind.SERVICE else key, kind)
    invocation = Invocation(
        Row(1), InvocationId(id_), target, INVOKED, 1_000, 1_000, Retention(0, 0),
        idempotency_key=idempotency_key, retry_count=retries, length=1, progress_at=1_000,
    )  # fmt: skip
    id_text = encode_invocation_id(id_)
    frames = [(MessageType.INPUT_COMMAND.value, b"input"), *replayed]
    short = plain_opening(invocation, id_text, frames)
    state = {} if has_state(kind) else None
    if short is not None:
        assert short == opening(invocation, id_text, frames, state, 1_000, 2_000, version)
    usual = kind is TargetKind.SERVICE and idempotency_key is None and not retries
    assert (short is not None) == (usual and id_[16:] != bytes(8))
