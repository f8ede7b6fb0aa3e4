"""The account: what the demo saw, the facts that follow, and whether each of them holds.

Four witnesses are compared, and none of them is the demo itself: the effects log (what the agent's code
executed), the journal (what the server remembers), and the outside world (the bank's ledger, the model
endpoint's call log).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from examples.claim_demo.bank import Payment
from examples.claim_demo.effects import Effect
from examples.claim_demo.server_view import JournaledStep, Json

INTERRUPTED = "pay_out"  # the step in whose middle the last kill falls


@dataclass(frozen=True)
class Facts:
    """What one run of the demo found out. `pids` has one entry per start, oldest first."""

    amount: int
    outcome: Json
    effects: Sequence[Effect]
    journal: Sequence[JournaledStep]
    journal_at_last_kill: Sequence[JournaledStep]
    status_while_waiting: str
    status_after_restart: str
    service_gone_at_approval: bool
    attempts_before_approval: int
    model_calls: int | None  # None: a real model, whose calls nobody else counted
    payments: Sequence[Payment]
    server_pids: Sequence[int]
    service_pids: Sequence[int]


@dataclass(frozen=True)
class StepStory:
    """What happened to one step. `started` and `finished` hold the pids that ran its body."""

    name: str
    started: Sequence[int]
    finished: Sequence[int]
    replays: int
    command_index: float  # infinity when the journal does not know it
    result_index: int | None


@dataclass(frozen=True)
class Check:
    """One claim about the run and whether it held."""

    holds: bool
    claim: str


def stories(facts: Facts) -> list[StepStory]:
    """One story per step, in the order of the journal.

    A step is found in the journal by name; where a framework gives several steps one name, the first of them
    is the first in the journal, and so on.
    """
    unread = list(facts.journal)
    names = dict.fromkeys((effect.step, effect.journal) for effect in facts.effects if effect.step)
    told: list[StepStory] = []
    for step, journal_name in names:
        entry = next((entry for entry in unread if entry.name == journal_name), None)
        if entry is not None:
            unread.remove(entry)
        told.append(
            StepStory(
                name=step,
                started=[e.pid for e in facts.effects if e.step == step and e.event == "started"],
                finished=[e.pid for e in facts.effects if e.step == step and e.event == "finished"],
                replays=sum(e.step == step and e.event == "replayed" for e in facts.effects),
                command_index=inf if entry is None else entry.command_index,
                result_index=None if entry is None else entry.result_index,
            )
        )
    return sorted(told, key=lambda story: story.command_index)


def checks(facts: Facts) -> Iterator[Check]:
    """Every fact the demo promises, each with whether it held this time."""
    told = stories(facts)
    others = [story for story in told if story.name != INTERRUPTED]
    interrupted = [story for story in told if story.name == INTERRUPTED]
    model_steps = [story for story in told if story.name.startswith("model")]
    moved = [payment for payment in facts.payments if payment.moved]
    decision = str(facts.outcome.get("decision"))

    yield Check(
        decision.startswith("Approved") and facts.outcome.get("paid") == facts.amount,
        f'The claim ended as it should: "{decision}"',
    )
    yield Check(
        facts.status_while_waiting == facts.status_after_restart == "suspended",
        "While it waited for the human it was suspended, before the server was killed and after.",
    )
    yield Check(
        facts.attempts_before_approval == 0,
        "After the restart no agent code ran until the human answered: waiting costs no process.",
    )
    yield Check(
        facts.service_gone_at_approval,
        "The human's answer was taken while there was no process of the agent.",
    )
    kills = len(facts.service_pids) - 1
    yield Check(
        bool(others) and all(len(story.started) == len(story.finished) == 1 for story in others),
        f"{len(others)} of {len(told)} steps ran exactly once, in spite of {kills} kills.",
    )
    yield Check(
        [(len(story.started), len(story.finished)) for story in interrupted] == [(2, 1)],
        f"{INTERRUPTED} began twice and finished once: the kill came before its result was journaled.",
    )
    yield Check(
        any(step.name == INTERRUPTED and step.result_index is None for step in facts.journal_at_last_kill),
        f"The journal at that kill agrees: {INTERRUPTED} was begun and had no result.",
    )
    yield Check(
        len(facts.payments) == 2
        and len({payment.key for payment in facts.payments}) == 1
        and [payment.amount for payment in moved] == [facts.amount],
        f"The bank was asked {times(len(facts.payments))} under one idempotency key; "
        f"the money moved {times(len(moved))}.",
    )
    yield Check(
        all(story.result_index is not None for story in told) and len(facts.journal) == len(told),
        f"All {len(told)} steps have their result in the journal, and the journal has no others.",
    )
    if facts.model_calls is not None:
        yield Check(
            facts.model_calls == len(model_steps) == 3,
            f"The model endpoint got {facts.model_calls} calls, one for each of {len(model_steps)} turns.",
        )


def table(facts: Facts) -> Iterator[str]:
    """The steps, a line each: where the body ran, where its result is, how often it was replayed."""
    lives = {pid: number for number, pid in enumerate(facts.service_pids, start=1)}
    rows = [("step", "its code ran", "result", "replayed")]
    for story in stories(facts):
        where = ", then again in ".join(f"service {lives.get(pid, pid)}" for pid in story.started)
        result = "missing" if story.result_index is None else f"journal entry {story.result_index}"
        rows.append((story.name, f"{times(len(story.started))}: {where}", result, times(story.replays)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def times(count: int) -> str:
    """A count as one says it."""
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")
