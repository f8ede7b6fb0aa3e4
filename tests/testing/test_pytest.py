"""The plugin in a project of its own: what passes, what fails, and what the failures say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = """
import pytest
from datetime import timedelta
import holdfast

greeter = holdfast.Service("Greeter")

@greeter.handler
async def greet(ctx: holdfast.Context, name: str) -> str:
    await ctx.sleep(timedelta(days=30))
    return f"Hello {name}!"

@pytest.fixture
def holdfast_app():
    return holdfast.app(greeter)

@pytest.fixture
def name():
    return "Ada"

async def test_greeting(holdfast_env, name):
    assert await holdfast_env.call(greet, name) == "Hello Ada!"

@pytest.mark.holdfast(always_replay=True)
@pytest.mark.parametrize("number", [1, 2])
async def test_replays(holdfast_env, number):
    assert await holdfast_env.call(greet, str(number)) == f"Hello {number}!"

class TestInAClass:
    async def test_method(self, holdfast_env):
        assert (await holdfast_env.send(greet, "Bob")).invocation_id

def test_plain():
    pass

async def test_wrong(holdfast_env):
    assert await holdfast_env.call(greet, "Ada") == "Goodbye!"

def test_not_async(holdfast_env):
    pass
"""


def test_a_project_uses_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_project.py").write_text(PROJECT)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "holdfast.testing.pytest", "--strict-markers", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "5 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "1 failed" in ran.stdout
    assert "1 error" in ran.stdout
    assert "Goodbye!" in ran.stdout
    assert "test_not_async uses holdfast_env and must be `async def`" in ran.stdout
