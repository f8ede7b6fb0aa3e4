"""The fuzzer: breaks seeds, and keeps what had an outcome nobody had before.

An outcome is whatever the target answers, such as the kind of the error; it stands in for coverage, which
Python gives only at a hundred times the price. Deterministic: a seed number and a count repeat a run.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Hashable, Sequence

from .seeds import DICTIONARY

INPUT_BYTES_MAX = 1 << 16
KEPT_MAX = 4096
INTERESTING = (0, 1, 2, 4, 8, 9, 16, 32, 64, 127, 128, 129, 200, 254, 255)

Target = Callable[[bytes], Hashable]


class Failed(Exception):
    """The target raised: a bug of ours. `data` is the input."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"input {data.hex()}")
        self.data = data


def mutated(chance: random.Random, corpus: Sequence[bytes]) -> bytes:
    """A broken copy of something in the corpus."""
    data = bytearray(chance.choice(corpus))
    for _ in range(chance.choice((1, 1, 2, 3, 5, 8))):
        if not data:
            break
        at = chance.randrange(len(data))
        match chance.randrange(9):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at] = chance.choice(INTERESTING)
            case 2:
                data[at] = chance.randrange(256)
            case 3:
                del data[at : at + chance.choice((1, 1, 2, 4, 9, 32))]
            case 4:
                piece = data[at : at + chance.choice((1, 4, 9, 17, 64))]
                data[at:at] = piece * chance.choice((1, 1, 2, 20))
            case 5:
                data[at:at] = chance.choice(DICTIONARY)
            case 6:
                other = chance.choice(corpus)
                start = chance.randrange(len(other))
                data[at:at] = other[start : start + chance.choice((2, 8, 9, 40, 400))]
            case 7:
                other = chance.choice(corpus)
                data[at:] = other[chance.randrange(len(other)) :]
            case _:
                size = chance.choice((2, 3, 4))
                number = max(0, int.from_bytes(data[at : at + size], "big") + chance.choice((-9, -1, 1, 9)))
                data[at : at + size] = number.to_bytes(size + 1, "big")[-size:]
    return bytes(data[:INPUT_BYTES_MAX]) or b"\0"


def fuzz(
    target: Target, seeds: Sequence[bytes], number: int, *, count: int = 1 << 60, seconds: float = 1e9
) -> tuple[int, int]:
    """Run until `count` inputs or `seconds`; answers (executions, different outcomes).

    Raises:
        Failed: from the exception the target raised.
    """
    chance = random.Random(number)
    corpus, outcomes, done = list(seeds), set[Hashable](), 0
    give_up_at = time.monotonic() + seconds
    for data in seeds:
        outcomes.add(_run(target, data))
        done += 1
    while done < count and (done % 64 or time.monotonic() < give_up_at):
        data = mutated(chance, corpus)
        outcome = _run(target, data)
        done += 1
        if outcome not in outcomes:
            outcomes.add(outcome)
            if len(corpus) < KEPT_MAX:
                corpus.append(data)
    return done, len(outcomes)


def _run(target: Target, data: bytes) -> Hashable:
    try:
        return target(data)
    except BaseException as error:
        raise Failed(data) from error
