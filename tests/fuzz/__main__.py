"""``make fuzz``: damage many clips with a new seed, and report what becomes of them."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.fuzz import default_seed, make_file, run
from tests.fuzz.quick import causes
from tests.fuzz.seeds import make_seeds, read_seeds


def main() -> None:
    """Run the fuzzer; the exit status is 1 if there was a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=5000, help="number of files")
    parser.add_argument("--seed", type=int, default=None, help="number from which all files follow; default: a new one")
    parser.add_argument("--only", type=int, default=None, help="make and read this file only")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder for files that show a fault")
    parser.add_argument("--clips", type=Path, default=None, help="damage the files of this folder, not made clips")
    parser.add_argument("--quick", action="store_true", help="read in this process, and group faults by their cause")
    options = parser.parse_args()
    seed = default_seed() if options.seed is None else options.seed
    keep = options.keep / str(seed)
    print(f"seed {seed}; files that show a fault go to {keep}", flush=True)
    os.environ.setdefault("SVT_LOG", "0")  # that encoder prints
    if options.clips is None:
        with tempfile.TemporaryDirectory() as folder:
            seeds = make_seeds(Path(folder))
    else:
        seeds = read_seeds(options.clips)
    numbers = range(options.files) if options.only is None else [options.only]
    files = (make_file(seeds, seed, number) for number in numbers)
    if options.quick:
        found = causes(files, keep)
        for cause, names in sorted(found.items(), key=lambda item: -len(item[1])):
            print(f"\n{len(names)} files, such as {', '.join(names[:3])}\n{cause}")
        sys.exit(bool(found))
    began = time.monotonic()
    report = run(files, keep)
    text = f"{report.table([0])}\n\n{report.table([1])}\n"
    print(f"{text}\n{len(numbers)} files of {len(seeds)} clips, seed {seed}, {time.monotonic() - began:.0f} s")
    for line in [*report.commands, *report.faults]:
        print(line)
    keep.mkdir(parents=True, exist_ok=True)
    (keep / "table.md").write_text(f"{text}\n{report.table([0, 1])}\n")
    sys.exit(not report.is_good)


if __name__ == "__main__":
    main()
