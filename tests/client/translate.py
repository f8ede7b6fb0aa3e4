"""The synchronous front from the asynchronous one: `python tests/client/translate.py` rewrites it.

Two fronts kept by hand would drift apart; this way there is one, and `test_translate` fails when the file in
the tree is not what this makes of its twin.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "holdfast" / "client"
ASYNC, SYNC = PACKAGE / "client.py", PACKAGE / "sync_client.py"
HEADER = '''"""The synchronous front: `SyncClient` and the handles it gives.

Made from `client.py` by `python tests/client/translate.py`; change that file instead.
"""
'''

RULES = (
    (r'\A""".*?"""\n', HEADER),
    (r"import asyncio\n", ""),
    (r"from time import monotonic\n", "from time import monotonic, sleep\n"),
    (r"asyncio\.sleep", "sleep"),
    (r"\basync (def|with) ", r"\1 "),
    (r"\bawait ", ""),
    (r"__aenter__", "__enter__"),
    (r"__aexit__", "__exit__"),
    (r"\baclose\b", "close"),
    (r"new_async_client", "new_sync_client"),
    (r"(?<![.\w])(Client|InvocationHandle|SendHandle|WorkflowHandle)\b", r"Sync\1"),
    (r"holdfast\.Client\b", "holdfast.SyncClient"),
    (r"httpx\.AsyncClient\b", "httpx.Client"),
    (r"calls of one event loop", "calls, from any threads"),
)
FORMAT_DEADLINE_S = 30


def translated() -> str:
    """The synchronous front's text."""
    text = ASYNC.read_text()
    for pattern, replacement in RULES:
        text, count = re.subn(pattern, replacement, text, flags=re.DOTALL)
        if not count:
            raise LookupError(f"the rule {pattern!r} finds nothing in {ASYNC.name}; remove or correct it")
    formatter = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(SYNC), "-"]
    return subprocess.run(
        formatter, input=text, capture_output=True, text=True, timeout=FORMAT_DEADLINE_S, check=True
    ).stdout


if __name__ == "__main__":
    SYNC.write_text(translated())
