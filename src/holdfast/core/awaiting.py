"""Is what an invocation waits for here? Evaluation of await trees (protocol, "Suspension" and "Future").

Waking too early is always safe, since the SDK replays and suspends again; never waking is not. So wherever
the outcome of a node cannot be told the whole tree counts as satisfied: a done UNKNOWN node, or a
first-completed node of which children with different outcomes are done.

The trap is the opposite one: a signal can come several times. One that the attempt had already been told of
(journal index below `known`) was consumed by an earlier wait; counting it would wake, replay and suspend the
invocation in a circle.
"""

from __future__ import annotations

from holdfast.core.model import Await, Combinator, Refs


class _Unclear(Exception):
    """A done node whose success or failure the server cannot know."""


def is_satisfied(tree: Await, refs: Refs, known: int) -> bool:
    """Whether the tree's root is done, given what the journal was notified of.

    Args:
        known: journal entries the attempt had been told of when it suspended.
    """
    if not tree.children and tree.combinator <= Combinator.FIRST_COMPLETED:
        # The shape nearly every suspension has: any leaf.
        completions, signals = refs.completions, refs.signals
        return (
            any(c in completions for c in tree.completions)
            or any(s in signals and signals[s][0] >= known for s in tree.signals)
            or any(n in signals and signals[n][0] >= known for n in tree.names)
        )
    try:
        return _outcome(tree, refs, known) is not None
    except _Unclear:
        return True


def awaits(tree: Await, ref: int | str, *, is_signal: bool) -> bool:
    """Whether `ref` is a leaf anywhere in the tree."""
    if is_signal:
        here = ref in tree.names if isinstance(ref, str) else ref in tree.signals
    else:
        here = ref in tree.completions
    return here or any(awaits(child, ref, is_signal=is_signal) for child in tree.children)


def _outcome(tree: Await, refs: Refs, known: int) -> bool | None:
    """True: done and succeeded, False: done and failed, None: not done."""
    outcomes: list[bool | None] = [refs.completions.get(c) for c in tree.completions]
    signals: list[int | str] = [*tree.signals, *tree.names]
    for signal in signals:
        index, succeeded = refs.signals.get(signal, (-1, False))
        outcomes.append(succeeded if index >= known else None)
    outcomes += [_outcome(child, refs, known) for child in tree.children]
    done = [o for o in outcomes if o is not None]
    match tree.combinator:
        case Combinator.UNKNOWN:
            if done:
                raise _Unclear
            return None
        case Combinator.FIRST_COMPLETED:
            if True in done and False in done:
                raise _Unclear
            return done[0] if done else None
        case Combinator.ALL_COMPLETED:
            return True if len(done) == len(outcomes) else None
        case Combinator.FIRST_SUCCEEDED_OR_ALL_FAILED:
            if True in done:
                return True
            return False if len(done) == len(outcomes) else None
        case Combinator.ALL_SUCCEEDED_OR_FIRST_FAILED:
            if False in done:
                return False
            return True if len(done) == len(outcomes) else None
