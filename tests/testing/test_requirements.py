"""Without the server's packages the error is one that helps."""

from __future__ import annotations

import subprocess
import sys
import textwrap

HIDDEN = """
    import sys

    class Hidden:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {"apsw", "hpack"}:
                raise ModuleNotFoundError(name)

    import importlib.util
    found = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *more: None if name in {"apsw", "hpack"} else found(name, *more)
    sys.meta_path.insert(0, Hidden())
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(HIDDEN) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_using_it_names_what_to_install() -> None:
    ran = python("from holdfast.testing import Harness")
    assert ran.stderr.strip().endswith(
        "ImportError: holdfast.testing runs the real engine, for which apsw, hpack must be installed: "
        "pip install 'holdfast[server]'"
    )


def test_the_plugin_alone_needs_nothing_of_it() -> None:
    ran = python("""
        import holdfast.testing.pytest
        assert "holdfast.server" not in sys.modules
        assert "holdfast.testing.harness" not in sys.modules
    """)
    assert ran.returncode == 0, ran.stderr
