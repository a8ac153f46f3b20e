"""Damage clips, put them on the real road, and count what becomes of them.

Each file depends on the seed and on its number only: ``make_file(seeds, seed, number)`` takes a clip of
:mod:`tests.fuzz.seeds` and damages it in one way of :mod:`tests.fuzz.mutations`. ``nlvid label`` gets the files in
batches, each in a process of its own, with the bundled model and decoding processes as for every user. Of each file
there must be one row: a result, or one typed error. Everything else is a fault of nlvid:

- ``InternalError``: an error that nobody thought of;
- ``hang``: a decoding process was stopped after :data:`HANG_SECONDS`;
- ``crash``: a decoding process died. It is told as a typed error, and the fault is FFmpeg's: counted, and no failure;
- ``no row``, or more than one;
- the command itself: anything on stderr but notes, warnings and errors, an exit status other than 0 and 1, or processes
  that are left.

Files with such an outcome are kept. ``python -m tests.fuzz --seed SEED --only NUMBER`` makes one of them again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.fuzz.mutations import MUTATIONS, mutations_for
from tests.fuzz.seeds import Seed

HANG_SECONDS = 60
"""Time limit for a file of at most some 100 KB; they take milliseconds."""

BATCH = 500
"""Files per command."""

FAULTS = ("InternalError", "hang", "no row", "many rows")
"""Outcomes that must not be."""


@dataclass(frozen=True)
class Damaged:
    """A damaged file: its number, where it comes from, and its content."""

    number: int
    seed: Seed
    mutation: str
    data: bytes

    @property
    def name(self) -> str:
        """Name that says all this."""
        return f"{self.number:05}_{self.seed.name}_{self.mutation}{self.seed.suffix}"


@dataclass
class Report:
    """What became of the files.

    Attributes:
        outcomes: Number of files by (container, mutation, outcome).
        faults: Names of the files with an outcome of :data:`FAULTS`, or "crash", with the outcome and the message.
        commands: What was wrong with the commands themselves.
    """

    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether each file had one result or one typed error, and each command ended well."""
        return not self.commands and not any(outcome in FAULTS for _, _, outcome in self.outcomes)

    def table(self, by: Sequence[int]) -> str:
        """Return a table in Markdown, with a row for each container (0), mutation (1), or both (0, 1)."""
        kinds = sorted({outcome for _, _, outcome in self.outcomes}, key=lambda kind: (kind != "result", kind))
        rows: dict[tuple[str, ...], Counter[str]] = {}
        total: Counter[str] = Counter()
        for key, count in self.outcomes.items():
            rows.setdefault(tuple(key[column] for column in by), Counter())[key[2]] += count
            total[key[2]] += count
        head = [*(("container", "mutation")[column] for column in by), *kinds]
        lines = [head, ["---"] * len(head)]
        for row, counts in [*sorted(rows.items()), (("all",) * len(by), total)]:
            lines.append([*row, *(str(counts[kind] or "") for kind in kinds)])
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def make_file(seeds: Sequence[Seed], seed: int, number: int) -> Damaged:
    """Make one damaged file, the same for the same arguments."""
    rng = Random(f"{seed}/{number}")
    clip = rng.choice(seeds)
    mutation = rng.choice(mutations_for(clip.data))
    data = MUTATIONS[mutation](rng, clip.data, [other.data for other in seeds])
    return Damaged(number, clip, mutation, data)


def run(files: Iterable[Damaged], keep: Path, timeout_seconds: float = 3600) -> Report:
    """Let ``nlvid label`` read damaged files.

    Args:
        files: Files to read.
        keep: Folder for the files that show a fault.
        timeout_seconds: Time limit for a batch.
    """
    report = Report()
    batch: list[Damaged] = []
    for file in files:
        batch.append(file)
        if len(batch) == BATCH:
            _run_batch(batch, keep, timeout_seconds, report)
            batch = []
    if batch:
        _run_batch(batch, keep, timeout_seconds, report)
    return report


def _run_batch(batch: Sequence[Damaged], keep: Path, timeout_seconds: float, report: Report) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in batch:
            (folder / file.name).write_bytes(file.data)
        rows, problems = label_files([folder / file.name for file in batch], folder / "rows.jsonl", timeout_seconds)
    report.commands += problems
    for file in batch:
        outcome, message = outcome_of(rows.get(file.name, []))
        report.outcomes[file.seed.container, file.mutation, outcome] += 1
        if outcome in (*FAULTS, "crash"):
            keep.mkdir(parents=True, exist_ok=True)
            (keep / file.name).write_bytes(file.data)
            report.faults.append(f"{file.name}: {outcome}: {message}")


def label_files(
    paths: Sequence[Path], output: Path, timeout_seconds: float
) -> tuple[dict[str, list[dict[str, object]]], list[str]]:
    """Run ``nlvid label`` on files.

    Returns:
        The rows of each file by its name, and what was wrong with the command: nothing, if all is well.
    """
    names = output.with_suffix(".txt")
    names.write_text("".join(f"{path}\n" for path in paths))
    command = [sys.executable, "-m", "nlvid_cli", "label", f"@{names}", "-o", str(output), "--model", "tiny"]
    options = ["--clips", "3", "--timeout", str(HANG_SECONDS), "--backend", "torch", "--device", "cpu"]
    process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True, start_new_session=True)
    problems = []
    try:
        _, errors = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
        problems.append(f"the command did not end within {timeout_seconds} s")
    strange = [line for line in errors.splitlines() if not line.startswith(("note: ", "warning: ", "error: "))]
    if process.returncode not in (0, 1) or strange:
        problems.append(f"exit status {process.returncode}:\n{errors[-4000:]}")
    left = processes_of(process.pid)
    if left:
        problems.append(f"processes that are left: {left}")
    rows: dict[str, list[dict[str, object]]] = {}
    for line in output.read_text().splitlines() if output.exists() else ():
        row = json.loads(line)
        rows.setdefault(Path(row["video"]).name, []).append(row)
    return rows, problems


def outcome_of(rows: Sequence[dict[str, object]]) -> tuple[str, str]:
    """Return the outcome for a file by its rows, and the message of its error."""
    if len(rows) != 1:
        return ("many rows" if rows else "no row"), ""
    error = rows[0].get("error")
    if not isinstance(error, dict):
        return "result", ""
    names = {"DecodeTimeout": "hang", "DecoderCrashed": "crash"}
    return names.get(error["type"], error["type"]), error["message"]


def processes_of(session: int) -> list[str]:
    """Return the processes of a session that still run, as their ids and commands; none where there is no /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(f"{entry.parent.name} {(entry.parent / 'cmdline').read_text()}")
        except OSError:  # it has ended
            continue
    return found


def default_seed() -> int:
    """Return a new seed."""
    return int.from_bytes(os.urandom(4), "big")
