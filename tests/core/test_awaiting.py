"""Await trees: never miss a wake-up, and never wake for nothing at all.

The model enumerates what each node may be by the protocol's table (protocol, "Future"): not done, succeeded
or failed, or several of these where the server cannot know. Waking early is allowed, missing one is not.
"""

from __future__ import annotations

import itertools

import pytest
from core.harness import SERVICE, World, sleep
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.awaiting import awaits, is_satisfied
from holdfast.core.commands import Suspend
from holdfast.core.model import Await, Combinator, Failure, Refs, Result, Success, Suspended

IDS = range(1, 5)
SIGNALS = (1, 17)
NAMES = ("go",)
KNOWN = 10

leaves = st.builds(
    Await,
    st.lists(st.sampled_from(IDS), max_size=3).map(tuple),
    st.lists(st.sampled_from(SIGNALS), max_size=1).map(tuple),
    st.lists(st.sampled_from(NAMES), max_size=1).map(tuple),
    st.just(()),
    st.sampled_from(Combinator),
)
trees = st.recursive(
    leaves,
    lambda children: st.builds(
        lambda leaf, nested: Await(
            leaf.completions, leaf.signals, leaf.names, tuple(nested), leaf.combinator
        ),
        leaves,
        st.lists(children, max_size=3),
    ),
    max_leaves=6,
)
refs = st.builds(
    Refs,
    st.dictionaries(st.sampled_from(IDS), st.booleans()),
    st.dictionaries(st.sampled_from([*SIGNALS, *NAMES]), st.tuples(st.integers(0, 2 * KNOWN), st.booleans())),
)

Outcomes = frozenset[bool | None]
NOT_DONE: Outcomes = frozenset({None})


def possible(tree: Await, found: Refs, known: int) -> Outcomes:
    """Every outcome the node may have: None not done, True succeeded, False failed."""
    children = [possible(child, found, known) for child in tree.children]
    children += [frozenset({found.completions.get(id_)}) for id_ in tree.completions]
    for signal in (*tree.signals, *tree.names):
        index, succeeded = found.signals.get(signal, (-1, False))
        children.append(frozenset({succeeded if index >= known else None}))
    if tree.combinator is Combinator.UNKNOWN:
        some_done = any(outcomes != NOT_DONE for outcomes in children)
        return frozenset({True, False}) if some_done else NOT_DONE
    return frozenset().union(*(_of(tree.combinator, case) for case in itertools.product(*children)))


def _of(combinator: Combinator, outcomes: tuple[bool | None, ...]) -> set[bool | None]:
    """Outcomes of a node whose children have exactly these; several where their order decides."""
    done = {o for o in outcomes if o is not None}
    pending = None in outcomes
    match combinator:
        case Combinator.FIRST_COMPLETED:
            return set(done) or {None}
        case Combinator.ALL_COMPLETED:
            return {None} if pending else {True}
        case Combinator.FIRST_SUCCEEDED_OR_ALL_FAILED:
            return {True} if True in done else {None} if pending else {False}
        case Combinator.ALL_SUCCEEDED_OR_FIRST_FAILED:
            return {False} if False in done else {None} if pending else {True}
        case _:
            raise AssertionError(combinator)


def ids_in(tree: Await) -> set[int | str]:
    """Leaves of the whole tree; signals as text with a mark, so that they differ from completions."""
    here: set[int | str] = {*tree.completions}
    here |= {f"s{s}" for s in tree.signals} | {f"n{n}" for n in tree.names}
    return here.union(*(ids_in(child) for child in tree.children))


@settings(max_examples=250, deadline=None)
@given(trees, refs)
def test_what_may_be_done_is_satisfied(tree: Await, found: Refs) -> None:
    """Goal: never miss a wake-up. Method: brute force over what every node may be."""
    if possible(tree, found, KNOWN) != NOT_DONE:
        assert is_satisfied(tree, found, KNOWN)


@settings(max_examples=60, deadline=None)
@given(trees)
def test_nothing_that_came_satisfies_nothing(tree: Await) -> None:
    if ids_in(tree) and not _has_empty_all(tree):
        assert not is_satisfied(tree, Refs(), KNOWN)


def _has_empty_all(tree: Await) -> bool:
    """A node of no children that is done by having none left to wait for."""
    empty = not (tree.completions or tree.signals or tree.names or tree.children)
    return (empty and tree.combinator > Combinator.FIRST_COMPLETED) or any(map(_has_empty_all, tree.children))


@settings(max_examples=60, deadline=None)
@given(trees, refs)
def test_consumed_signals_count_for_nothing(tree: Await, found: Refs) -> None:
    stale = Refs(found.completions, {ref: (KNOWN - 1, ok) for ref, (_, ok) in found.signals.items()})
    assert is_satisfied(tree, stale, KNOWN) == is_satisfied(tree, Refs(found.completions), KNOWN)


@settings(max_examples=60, deadline=None)
@given(trees)
def test_awaits_finds_every_leaf(tree: Await) -> None:
    inside = ids_in(tree)
    for id_ in IDS:
        assert awaits(tree, id_, is_signal=False) == (id_ in inside)
    for signal in SIGNALS:
        assert awaits(tree, signal, is_signal=True) == (f"s{signal}" in inside)
    for name in NAMES:
        assert awaits(tree, name, is_signal=True) == (f"n{name}" in inside)


@settings(max_examples=60, deadline=None)
@given(
    trees,
    st.lists(st.tuples(st.sampled_from([*IDS, "1", "17", "go"]), st.booleans()), max_size=8),
    st.booleans(),
)
def test_a_suspended_invocation_is_woken_in_time(
    tree: Await, arrivals: list[tuple[int | str, bool]], between: bool
) -> None:
    """Goal: the same law where it matters, an invocation whose notifications come one by one, some of them
    between its decision to suspend and the suspension's arrival."""
    world = World()
    id_ = world.start(SERVICE)
    calls = {n: world.call(id_, SERVICE, n * 2) for n in IDS}
    tree = _renumbered(tree)
    known, found, parked = world.known(id_), Refs(), not between
    if parked:
        world.report(id_, Suspend(tree, known))
    for position, (ref, ok) in enumerate([*arrivals, (0, True)]):
        if not parked and position == len(arrivals) // 2:
            world.report(id_, Suspend(tree, known))
            parked = True
        result: Result = Success(b"") if ok else Failure(418, "no")
        if isinstance(ref, int) and ref in calls:
            callee = calls.pop(ref)
            world.report(callee, *_ended(result))
            found.completions[ref * 2] = ok
        elif isinstance(ref, str):
            signal = ref if ref == "go" else int(ref)
            world.signal(id_, signal, result)
            found.signals[signal] = (known + position, ok)
        if parked and possible(tree, found, known) != NOT_DONE:
            assert world.is_running(id_), f"missed at {position}"
            break
    world.close()


def _renumbered(tree: Await) -> Await:
    """Completion n of the model is result 2n of a call."""
    nested = tuple(_renumbered(child) for child in tree.children)
    return Await(tuple(2 * n for n in tree.completions), tree.signals, tree.names, nested, tree.combinator)


def _ended(result: Result) -> tuple[object, ...]:
    from core.harness import output

    from holdfast.core.commands import End

    return output(result), End()


@pytest.mark.parametrize(
    ("combinator", "results", "wakes_at"),
    [
        (Combinator.FIRST_COMPLETED, "sss", 0),
        (Combinator.ALL_COMPLETED, "sfs", 2),
        (Combinator.FIRST_SUCCEEDED_OR_ALL_FAILED, "ffs", 2),
        (Combinator.FIRST_SUCCEEDED_OR_ALL_FAILED, "fff", 2),
        (Combinator.FIRST_SUCCEEDED_OR_ALL_FAILED, "fsf", 1),
        (Combinator.ALL_SUCCEEDED_OR_FIRST_FAILED, "sss", 2),
        (Combinator.ALL_SUCCEEDED_OR_FIRST_FAILED, "sfs", 1),
        (Combinator.UNKNOWN, "sss", 0),
    ],
)
def test_each_combinator_wakes_at_its_moment(combinator: Combinator, results: str, wakes_at: int) -> None:
    found = Refs()
    tree = Await((1, 2, 3), combinator=combinator)
    satisfied = []
    for id_, result in enumerate(results, 1):
        found.completions[id_] = result == "s"
        satisfied.append(is_satisfied(tree, found, 0))
    assert satisfied.index(True) == wakes_at


def test_the_shape_every_sdk_sends_wakes_on_the_inner_tree_and_on_cancellation() -> None:
    """First of (all of 1 and 2) and the cancel signal."""
    for arrival in ("inner", "cancel"):
        world = World()
        id_ = world.start(SERVICE)
        world.report(id_, sleep(1, world.now + 10), sleep(2, world.now + 20))
        inner = Await((1, 2), combinator=Combinator.ALL_COMPLETED)
        tree = Await(signals=(1,), children=(inner,), combinator=Combinator.FIRST_COMPLETED)
        world.report(id_, Suspend(tree, world.known(id_)))
        world.pass_time(10)
        assert isinstance(world.status(id_), Suspended)
        if arrival == "inner":
            world.pass_time(10)
        else:
            world.cancel(id_)
        assert world.started(id_)
        world.close()
