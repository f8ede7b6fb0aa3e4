"""Many programs, `python -m tests.sdk.laws SEED COUNT`, or one, shown, `python -m tests.sdk.laws SEED 1`."""

from __future__ import annotations

import sys
import time
import traceback

from tests.sdk.laws import programs
from tests.sdk.laws.law import check, journal_told, smaller
from tests.sdk.laws.server import Server


def main(arguments: list[str]) -> int:
    if len(arguments) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    first, count = int(arguments[0]), int(arguments[1])
    size = int(arguments[2]) if len(arguments) > 2 else None
    if count == 1:
        return show(first, size)
    started, failed, entries = time.monotonic(), 0, 0
    for seed in range(first, first + count):
        try:
            entries += len(check(seed, size).journal)
        except Exception as error:
            failed += 1
            print(f"seed {seed}: {type(error).__name__}: {str(error)[:500]}")
            print(f"  again: python -m tests.sdk.laws {seed} 1", flush=True)
            if failed >= 10:
                break
        if (seed - first) % 10_000 == 9_999:
            print(f"{seed - first + 1} programs, {time.monotonic() - started:.0f} s", flush=True)
    seconds = time.monotonic() - started
    done = seed - first + 1
    print(f"{done} programs, {entries} journal entries, {failed} failures, {done / seconds:.0f} programs/s")
    return 1 if failed else 0


def show(seed: int, size: int | None) -> int:
    program = programs.program(seed, size)
    print(program.root)
    try:
        server = check(seed, size)
    except Exception:
        traceback.print_exc()
        try:
            print(journal_told(Server(seed * 7 + 1, program).run()))
        except Exception:
            print("(it fails before it is replayed)")
        if size is None and (found := smaller(seed)):
            print(f"a smaller one: python -m tests.sdk.laws {found[0]} 1 {found[1]}")
        return 1
    print(journal_told(server))
    print(server.outcome, f"after {server.attempts} attempts")
    return 0


sys.exit(main(sys.argv[1:]))
