"""The same demo with the agent in TypeScript: the Vercel AI SDK and the official middleware, unmodified."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.examples.performance import ROOT, perform
from tests.examples.test_claim_agent import assert_the_story_held

AGENT = ROOT / "examples" / "claim_agent_ts"
INSTALL_TIMEOUT_S = 300


@pytest.fixture(scope="module")
def packages() -> None:
    """The agent's npm packages, installed once; without Node or a registry there is nothing to test."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node is not installed")
    if (AGENT / "node_modules").exists():
        return
    command = ["npm", "ci", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=AGENT, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
    if done.returncode != 0:
        pytest.skip(f"npm ci failed: {done.stderr[-300:]}")


@pytest.mark.e2e
@pytest.mark.interop
@pytest.mark.slow
@pytest.mark.usefixtures("packages")
def test_the_typescript_agent_tells_the_same_story(tmp_path: Path) -> None:
    """Goal: the middleware's model calls are journaled once each. Method: the demo, three turns."""
    shown = perform("typescript", tmp_path / "facts.json")
    assert_the_story_held(shown)
    assert shown.facts["model_calls"] == 3


@pytest.mark.usefixtures("packages")
def test_the_typescript_agent_passes_its_type_check() -> None:
    command = ["npm", "run", "--silent", "check"]
    done = subprocess.run(command, cwd=AGENT, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
    assert done.returncode == 0, done.stdout + done.stderr
