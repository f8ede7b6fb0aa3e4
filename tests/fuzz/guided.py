"""`python -m tests.fuzz.guided TARGET [libFuzzer options]`: one target under atheris, guided by coverage.

Atheris is not among the development dependencies, because its wheels are for Linux on x86 only.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["holdfast"]):
    from .registry import TARGETS


def main() -> None:
    name, *options = sys.argv[1:]
    target, seeds = TARGETS[name]

    def run(data: bytes) -> None:
        if data:
            target(data)

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            Path(corpus, str(number)).write_bytes(seed)
        artifacts = f"-artifact_prefix={tempfile.gettempdir()}/holdfast-fuzz-{name}-"
        atheris.Setup([sys.argv[0], corpus, "-max_len=4096", "-timeout=20", artifacts, *options], run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
