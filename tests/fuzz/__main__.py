"""`python -m tests.fuzz`: every target for so many seconds, or one input again."""

import argparse
import importlib.util
import subprocess
import sys
import traceback

from .mutation import Failed, fuzz
from .registry import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--target", choices=TARGETS, help="only this one")
    parser.add_argument("--seconds", type=float, default=60, help="for each target [60]")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations [1]")
    parser.add_argument("--engine", choices=("mutation", "atheris"), default="mutation")
    parser.add_argument("--input", metavar="HEX", help="run this one input")
    options = parser.parse_args()
    names = [options.target] if options.target else list(TARGETS)
    if options.input is not None:
        for name in names:
            print(f"{name}: {TARGETS[name][0](bytes.fromhex(options.input))}")
        return 0
    if options.engine == "atheris":
        if importlib.util.find_spec("atheris") is None:
            print("atheris is not installed: pip install atheris", file=sys.stderr)
            return 2
        guided = [sys.executable, "-m", "tests.fuzz.guided"]
        ran = [subprocess.run([*guided, name, f"-max_total_time={options.seconds:.0f}"]) for name in names]
        return max(one.returncode for one in ran)
    failed = False
    for name in names:
        target, corpus = TARGETS[name]
        try:
            done, outcomes = fuzz(target, corpus, options.seed, seconds=options.seconds)
        except Failed as failure:
            failed = True
            traceback.print_exc()
            print(f"again: python -m tests.fuzz --target {name} --input {failure.data.hex()}")
        else:
            print(
                f"{name}: {done} executions, {outcomes} different outcomes, seed {options.seed}", flush=True
            )
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
