"""`python -m tests.torture --seed N --kills N`: torture, and say what was survived."""

import argparse
import shutil
import tempfile
import traceback
from pathlib import Path

from .power_cut import Disk, why_not
from .run import torture


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides what is asked and what is hit [1]")
    parser.add_argument("--kills", type=int, default=1000, help="how many [1000]")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin nothing new after so long")
    parser.add_argument("--power", action="store_true", help="cut the power of the server's disk instead")
    options = parser.parse_args()
    if options.power and (reason := why_not()) is not None:
        print(reason)
        return 2
    work_dir = Path(tempfile.mkdtemp(prefix="holdfast-torture-"))
    disk = Disk(work_dir) if options.power else None
    try:
        survived = torture(options.seed, options.kills, work_dir, options.seconds, disk=disk)
    except Exception:
        traceback.print_exc()
        print(f"\nFAILED; everything is kept in {work_dir}")
        power = " --power" if options.power else ""
        print(f"again: python -m tests.torture --seed {options.seed} --kills {options.kills}{power}")
        return 1
    finally:
        if disk is not None:
            disk.close()
    shutil.rmtree(work_dir)
    print(f"seed {options.seed}: {survived}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
