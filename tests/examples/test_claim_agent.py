"""The demo for real: `holdfast dev`, the Python agent, kill -9 three times; an account that notices lies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from examples.claim_demo.account import Facts, checks, stories, table
from examples.claim_demo.bank import Payment
from examples.claim_demo.effects import Effect, EffectLog, Event
from examples.claim_demo.server_view import JournaledStep
from tests.examples.performance import ROOT, Performance, environment, perform

STEPS = ["model turn 1", "look_up_policy", "check_fraud", "model turn 2", "pay_out", "model turn 3"]


@pytest.mark.e2e
@pytest.mark.slow
def test_three_kills_cost_one_repeated_step_and_no_second_payment(tmp_path: Path) -> None:
    """Goal: nothing that was journaled runs again. Method: the demo itself, then its witnesses one by one."""
    shown = perform("python", tmp_path / "facts.json")
    assert_the_story_held(shown)
    assert shown.facts["model_calls"] == 3


def assert_the_story_held(shown: Performance) -> None:
    """What both agents owe: exact counts, the outcome, and nothing running while it waits."""
    assert shown.code == 0, shown.account
    assert shown.facts["outcome"] == {
        "claim": "claim-7",
        "decision": "Approved: 1800 EUR were paid on policy home-77.",
        "paid": 1800,
        "approved_by": "Ada",
    }
    assert Counter(shown.steps("finished")) == Counter(STEPS)
    assert Counter(shown.steps("started")) == Counter([*STEPS, "pay_out"])
    assert Counter(shown.steps("replayed")) >= Counter(STEPS[:4] * 2)  # more when an attempt was cut short
    assert shown.facts["payments"] == [
        {"key": "claim-7/payout", "amount": 1800, "moved": True},
        {"key": "claim-7/payout", "amount": 1800, "moved": False},
    ]
    assert shown.facts["status_while_waiting"] == shown.facts["status_after_restart"] == "suspended"
    assert shown.facts["service_gone_at_approval"] is True
    assert shown.facts["attempts_before_approval"] == 0
    assert "[FAIL]" not in shown.account
    assert "Every fact held." in shown.account


@pytest.mark.e2e
@pytest.mark.slow
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    """Goal: no process and no folder outlives the demo. Method: interrupt it once the first claim is in."""
    command = [sys.executable, "-m", "examples.claim_demo.demo"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(TMPDIR=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        seen = []
        for line in demo.stdout:
            seen.append(line)
            if "customer" in line:
                break
        children = psutil.Process(demo.pid).children(recursive=True)
        demo.send_signal(signal.SIGINT)
        rest, _ = demo.communicate(timeout=60)
    assert len(children) >= 4, "".join(seen) + rest
    assert demo.returncode == 130, rest
    assert not [child for child in children if is_alive(child)]
    assert list(tmp_path.iterdir()) == []


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs. An orphan that was killed is a zombie until the system's first process looks at it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def effect(event: Event, step: str, pid: int = 1) -> Effect:
    return Effect(0.0, pid, "inv", event, step, "calling model" if step.startswith("model") else step)


GOOD = Facts(
    amount=1800,
    outcome={"decision": "Approved: paid.", "paid": 1800},
    effects=[
        *[effect(event, step) for step in STEPS[:4] for event in ("started", "finished")],
        *[effect("replayed", step, pid=2) for step in STEPS[:4]],
        effect("started", "pay_out", pid=2),
        *[effect("replayed", step, pid=3) for step in STEPS[:4]],
        *[effect(event, step, pid=3) for step in STEPS[4:] for event in ("started", "finished")],
    ],
    journal=[
        JournaledStep("calling model" if step.startswith("model") else step, 2 * index, 2 * index + 1)
        for index, step in enumerate(STEPS)
    ],
    journal_at_last_kill=[JournaledStep("pay_out", 8, None)],
    status_while_waiting="suspended",
    status_after_restart="suspended",
    service_gone_at_approval=True,
    attempts_before_approval=0,
    model_calls=3,
    payments=[Payment("k", 1800, moved=True), Payment("k", 1800, moved=False)],
    server_pids=[11, 12, 13],
    service_pids=[1, 2, 3],
)


def test_the_account_of_a_good_run_holds() -> None:
    assert all(check.holds for check in checks(GOOD))
    assert [story.name for story in stories(GOOD)] == STEPS
    text = "\n".join(table(GOOD))
    assert "twice: service 2, then again in service 3" in text
    assert "journal entry 9" in text


@pytest.mark.parametrize(
    "wrong",
    [
        replace(GOOD, outcome={"decision": "Declined", "paid": 0}),
        replace(GOOD, status_while_waiting="running"),
        replace(GOOD, status_after_restart="running"),
        replace(GOOD, service_gone_at_approval=False),
        replace(GOOD, attempts_before_approval=1),
        replace(GOOD, effects=[*GOOD.effects, effect("started", "check_fraud", pid=3)]),
        replace(GOOD, effects=[*GOOD.effects, effect("finished", "pay_out", pid=3)]),
        replace(GOOD, effects=[e for e in GOOD.effects if e.pid != 2]),
        replace(GOOD, journal_at_last_kill=[JournaledStep("pay_out", 8, 9)]),
        replace(GOOD, payments=[Payment("k", 1800, moved=True), Payment("l", 1800, moved=True)]),
        replace(GOOD, payments=GOOD.payments[:1]),
        replace(GOOD, journal=GOOD.journal[:-1]),
        replace(GOOD, journal=[*GOOD.journal, JournaledStep("stranger", 20, 21)]),
        replace(GOOD, model_calls=4),
    ],
)
def test_the_account_notices_a_false_fact(wrong: Facts) -> None:
    assert [check.claim for check in checks(wrong) if not check.holds]


def test_the_effects_log_reads_back_what_was_written(tmp_path: Path) -> None:
    log = EffectLog(tmp_path / "effects.jsonl")
    assert log.read() == []
    log.append("inv_1", "attempt")
    log.append("inv_1", "started", "pay_out", "calling bank")
    assert [(e.event, e.step, e.journal, e.pid) for e in log.read()] == [
        ("attempt", "", "", os.getsid(0)),
        ("started", "pay_out", "calling bank", os.getsid(0)),
    ]
