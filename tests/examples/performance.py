"""Runs the demo as a user would: a program, its exit code, and what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEMO_TIMEOUT_S = 240


@dataclass(frozen=True)
class Performance:
    """One run of the demo. `facts` is what it wrote with --facts (examples/claim_demo/account.py)."""

    code: int
    account: str
    facts: dict[str, object]

    def steps(self, event: str) -> list[str]:
        """The steps with this event in the agent's own log, in the order of the log."""
        effects = self.facts["effects"]
        assert isinstance(effects, list)
        return [effect["step"] for effect in effects if effect["event"] == event]


def perform(agent: str, facts: Path, **more: str) -> Performance:
    """Run the demo with this agent and the scripted model. `facts`: a file that does not exist yet.

    `more` is added to its environment.
    """
    command = [sys.executable, "-m", "examples.claim_demo.demo", "--agent", agent, "--facts", str(facts)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(**more), capture_output=True, text=True, timeout=DEMO_TIMEOUT_S
    )
    account = done.stdout + done.stderr
    assert facts.exists(), account
    return Performance(done.returncode, account, json.loads(facts.read_text()))


def environment(**more: str) -> dict[str, str]:
    """The environment without a real model in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")} | more
