"""Bytes in the tables: messages between partitions, notifications, await trees, invocations."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.commands import StartRequest
from holdfast.core.messages import (
    AskOutput,
    AttachTo,
    Complete,
    DeliverSignal,
    KillCallee,
    Message,
    StartInvocation,
)
from holdfast.core.model import (
    INVOKED,
    PAUSED,
    VOID,
    AttemptFailure,
    Await,
    Combinator,
    Completed,
    Failure,
    Inboxed,
    Invocation,
    InvocationId,
    Notification,
    NotificationKind,
    Origin,
    OriginKind,
    Retention,
    Row,
    Scheduled,
    StartedId,
    StateKeys,
    Success,
    Suspended,
    Target,
    TargetKind,
    Waiter,
)
from holdfast.protocol import messages as wire
from holdfast.storage.awaiting_json import decode_await, encode_await
from holdfast.storage.blobs import Blobs
from holdfast.storage.database import Database
from holdfast.storage.invocations import Invocations, decode_invocation, encode_invocation
from holdfast.storage.messages import decode_message, encode_message
from holdfast.storage.meta import Meta
from holdfast.storage.notifications import decode_notification, encode_notification
from holdfast.storage.schema import MIGRATIONS

text = st.text(max_size=8)
number = st.integers(0, 2**31)
instant = st.integers(0, 2**62)
ids = st.binary(min_size=24, max_size=24).map(InvocationId)
successes = st.builds(Success, st.binary(max_size=20))
failures = st.builds(
    Failure, st.integers(0, 65_535), text, st.lists(st.tuples(text, text), max_size=2).map(tuple)
)
results = st.one_of(successes, failures)
signal_results = st.one_of(results, st.just(VOID))
any_result = st.one_of(
    signal_results,
    st.builds(StartedId, text),
    st.builds(StateKeys, st.lists(st.binary(max_size=5), max_size=3).map(tuple)),
)
signals = st.one_of(st.integers(0, 2**32 - 1), text)
waiters = st.builds(Waiter, ids, number, st.sampled_from(NotificationKind))
targets = st.builds(Target, text, text, st.none() | text, st.sampled_from(TargetKind))
retentions = st.builds(Retention, number, number)
origins = st.builds(Origin, st.sampled_from(OriginKind), st.none() | ids, st.none() | text)
requests = st.builds(
    StartRequest, ids, st.just(Row(0)), st.booleans(), targets, st.binary(max_size=30), retentions,
    st.none() | text, instant, origins, st.none() | text, st.none() | text, st.none() | text,
)  # fmt: skip
messages = st.one_of(
    st.builds(StartInvocation, requests, st.none() | waiters),
    st.builds(Complete, ids, st.sampled_from(NotificationKind), number, any_result),
    st.builds(DeliverSignal, ids, signals, signal_results),
    st.builds(AttachTo, ids, waiters),
    st.builds(AskOutput, ids, waiters),
    st.builds(KillCallee, ids),
)
await_trees = st.recursive(
    st.builds(
        Await,
        st.lists(number, max_size=3).map(tuple),
        st.lists(number, max_size=2).map(tuple),
        st.lists(text, max_size=2).map(tuple),
        st.just(()),
        st.sampled_from(Combinator),
    ),
    lambda inner: st.builds(
        Await,
        st.lists(number, max_size=1).map(tuple),
        st.just(()),
        st.just(()),
        st.lists(inner, max_size=2).map(tuple),
        st.sampled_from(Combinator),
    ),
    max_leaves=5,
)


@given(messages)
def test_a_message_comes_back_as_it_went(message: Message) -> None:
    assert decode_message(encode_message(message)) == message


def test_a_message_of_an_unknown_kind_is_refused() -> None:
    import msgspec

    with pytest.raises(ValueError, match="unknown kind 99"):
        decode_message(msgspec.msgpack.encode([99, bytes(24)]))


@given(await_trees)
def test_an_await_tree_comes_back_from_json(tree: Await) -> None:
    assert decode_await(encode_await(tree)) == tree


def test_the_json_of_an_await_tree_is_what_views_show() -> None:
    tree = Await((1,), (17,), ("go",), (Await((2,), combinator=Combinator.ALL_COMPLETED),))
    assert encode_await(tree) == (
        '{"FirstCompleted":[{"Single":{"CompletionId":1}},{"Single":{"SignalIndex":17}},'
        '{"Single":{"SignalName":"go"}},{"AllCompleted":[{"Single":{"CompletionId":2}}]}]}'
    )


VALUE, FAILURE = wire.Value(b"v"), wire.Failure(418, "no", (("a", "b"),))
OUR_FAILURE = Failure(418, "no", (("a", "b"),))
K = NotificationKind
EVERY_KIND: list[tuple[Notification, wire.Message]] = [
    (Notification(K.GET_LAZY_STATE, 3, VOID), wire.GetLazyStateCompletionNotificationMessage(3, wire.VOID)),
    (Notification(K.GET_LAZY_STATE, 3, Success(b"v")),
     wire.GetLazyStateCompletionNotificationMessage(3, VALUE)),
    (Notification(K.GET_LAZY_STATE_KEYS, 3, StateKeys((b"a", b"b"))),
     wire.GetLazyStateKeysCompletionNotificationMessage(3, wire.StateKeys((b"a", b"b")))),
    (Notification(K.GET_LAZY_STATE_KEYS, 3, StateKeys(())),
     wire.GetLazyStateKeysCompletionNotificationMessage(3, wire.StateKeys(()))),
    (Notification(K.GET_PROMISE, 3, Success(b"v")), wire.GetPromiseCompletionNotificationMessage(3, VALUE)),
    (Notification(K.GET_PROMISE, 3, OUR_FAILURE), wire.GetPromiseCompletionNotificationMessage(3, FAILURE)),
    (Notification(K.PEEK_PROMISE, 3, VOID), wire.PeekPromiseCompletionNotificationMessage(3, wire.VOID)),
    (Notification(K.PEEK_PROMISE, 3, Success(b"v")), wire.PeekPromiseCompletionNotificationMessage(3, VALUE)),
    (Notification(K.COMPLETE_PROMISE, 3, VOID),
     wire.CompletePromiseCompletionNotificationMessage(3, wire.VOID)),
    (Notification(K.COMPLETE_PROMISE, 3, OUR_FAILURE),
     wire.CompletePromiseCompletionNotificationMessage(3, FAILURE)),
    (Notification(K.SLEEP, 3, VOID), wire.SleepCompletionNotificationMessage(3)),
    (Notification(K.CALL, 3, Success(b"v" * 300)),
     wire.CallCompletionNotificationMessage(3, wire.Value(b"v" * 300))),
    (Notification(K.CALL, 3, Success(b"")), wire.CallCompletionNotificationMessage(3, wire.Value(b""))),
    (Notification(K.CALL, 3, OUR_FAILURE), wire.CallCompletionNotificationMessage(3, FAILURE)),
    (Notification(K.CALL_INVOCATION_ID, 300, StartedId("inv_1x")),
     wire.CallInvocationIdCompletionNotificationMessage(300, "inv_1x")),
    (Notification(K.RUN, 3, Success(b"v")), wire.RunCompletionNotificationMessage(3, VALUE)),
    (Notification(K.RUN, 3, Failure(500, "")),
     wire.RunCompletionNotificationMessage(3, wire.Failure(500, ""))),
    (Notification(K.ATTACH, 3, Success(b"v")),
     wire.AttachInvocationCompletionNotificationMessage(3, VALUE)),
    (Notification(K.GET_OUTPUT, 3, VOID),
     wire.GetInvocationOutputCompletionNotificationMessage(3, wire.VOID)),
    (Notification(K.GET_OUTPUT, 3, OUR_FAILURE),
     wire.GetInvocationOutputCompletionNotificationMessage(3, FAILURE)),
    (Notification(K.SIGNAL, 1, VOID), wire.SignalNotificationMessage(1, None, wire.VOID)),
    (Notification(K.SIGNAL, 17, Success(b"v")), wire.SignalNotificationMessage(17, None, VALUE)),
    (Notification(K.SIGNAL, "go", OUR_FAILURE), wire.SignalNotificationMessage(None, "go", FAILURE)),
]  # fmt: skip


@pytest.mark.parametrize("pair", EVERY_KIND, ids=lambda pair: f"{pair[0].kind.name} {pair[0].result}")
def test_notifications_are_stored_as_the_protocol_writes_them(
    pair: tuple[Notification, wire.Message],
) -> None:
    """Goal: a stored notification is replayed byte for byte as it was sent. Method: the codec's own bytes."""
    ours, message = pair
    assert encode_notification(ours) == message.encode()
    assert wire.decode(ours.kind, encode_notification(ours)) == message
    assert decode_notification(ours.kind, encode_notification(ours)) == ours


def test_every_kind_is_compared() -> None:
    assert {ours.kind for ours, _ in EVERY_KIND} == set(NotificationKind)


statuses = st.one_of(
    st.just(INVOKED),
    st.just(PAUSED),
    st.builds(Scheduled, instant),
    st.builds(Inboxed, number),
    st.builds(Suspended, await_trees, number),
    st.builds(Completed, results, instant),
)
attempt_failures = st.builds(
    AttemptFailure,
    number,
    text,
    text,
    text,
    st.none() | number,
    st.none() | text,
    st.none() | number,
    instant,
)
invocations = st.builds(
    Invocation, number.map(Row), ids, targets, statuses, instant, instant, retentions, origins,
    st.none() | waiters, st.none() | text, st.none() | text, st.none() | st.integers(5, 7), number, number,
    number, st.none() | instant, st.none() | attempt_failures, instant, st.none() | instant,
    st.none() | instant, st.none() | instant, st.none() | instant, st.booleans(), st.booleans(),
    st.booleans(), st.booleans(), st.none() | text, st.none() | text, st.none() | text, st.booleans(), number,
)  # fmt: skip


@settings(max_examples=200)
@given(invocations)
def test_an_invocation_comes_back_from_its_row(invocation: Invocation) -> None:
    assert decode_invocation(encode_invocation(invocation)) == invocation


plain_invocations = st.builds(
    Invocation, number.map(Row), ids, targets, st.sampled_from([INVOKED, Completed(Success(b"v"), 5)]),
    instant, instant, retentions, deployment=st.none() | text, protocol_version=st.none() | st.integers(5, 7),
    length=number, commands=number, progress_at=instant, running_at=st.none() | instant, attempt=number,
)  # fmt: skip
stored_fields = [name for name in Invocation.__struct_fields__ if name not in ("activity", "output", "refs")]


@settings(max_examples=300)
@given(plain_invocations, invocations, st.none() | st.sampled_from(stored_fields))
def test_a_row_says_the_same_however_few_columns_it_takes(
    plain: Invocation, other: Invocation, differs: str | None
) -> None:
    """Goal: rows without anything unusual are written in a short form; no field of the rest may get lost, and
    nothing of the row that was there before may stay. Method: plain invocations with at most one field of an
    arbitrary one, over the row of that arbitrary one."""
    if differs is not None:
        setattr(plain, differs, getattr(other, differs))
    other.row = plain.row
    with Database(None, MIGRATIONS) as database:
        for invocation in (other, plain):
            table = Invocations(database, Meta(database), Blobs(database))
            table.put(invocation)
            table.flush()
            table.committed()
        stored = Invocations(database, Meta(database), Blobs(database)).get(plain.row)
    assert stored == plain
