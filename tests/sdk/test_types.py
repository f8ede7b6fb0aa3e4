"""What users write is understood by mypy and pyright, both strict; mistakes are found before they run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

USER_CODE = Path(__file__).with_name("user_code")
ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 240


@pytest.mark.slow
@pytest.mark.parametrize(
    "checker", [["mypy", "--strict"], ["pyright", "-p", str(ROOT)]], ids=["mypy", "pyright"]
)
def test_types_are_inferred_and_mistakes_are_found(checker: list[str]) -> None:
    """Goal: the errors are on the lines marked wrong, and nowhere else. `assert_type` says the rest."""
    files = sorted(USER_CODE.glob("*.py"))
    wrong = {
        (file.name, number)
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if "# wrong" in line
    }
    ran = subprocess.run(
        [sys.executable, "-m", *checker, *map(str, files)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    found = {
        (name, int(line)) for name, line in re.findall(r"user_code/(\w+\.py):(\d+):.*\berror\b", ran.stdout)
    }
    assert wrong
    assert found == wrong, ran.stdout + ran.stderr
