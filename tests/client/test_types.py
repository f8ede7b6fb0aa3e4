"""The types of calls follow from the handlers', in both type checkers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

USER_CODE = Path(__file__).with_name("user_code.py")
ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 120


@pytest.mark.slow
@pytest.mark.parametrize(
    "checker", [["mypy", "--strict"], ["pyright", "-p", str(ROOT)]], ids=["mypy", "pyright"]
)
def test_right_code_passes_and_mistakes_do_not(checker: list[str]) -> None:
    wrong = {n for n, line in enumerate(USER_CODE.read_text().splitlines(), 1) if line.endswith("# wrong")}
    ran = subprocess.run(
        [sys.executable, "-m", *checker, str(USER_CODE)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    found = {int(line) for line in re.findall(r"user_code\.py:(\d+):.*error", ran.stdout)}
    assert found == wrong, ran.stdout + ran.stderr
