"""Shards: divide the videos among jobs, and merge the files of rows that the jobs wrote."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from nlvid_cli.errors import OutputError, UsageError, shortened
from nlvid_cli.labelling.ledger import Ledger
from nlvid_cli.labelling.rows import RowKey, RowSummary
from nlvid_cli.system.atomic import atomic_file
from nlvid_cli.system.lock import locked
from nlvid_cli.video.segment import Segment

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shard:
    """One job of several, ``number`` of ``count``, counted from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parse ``3/8``.

        Raises:
            UsageError: The text is not of this form, or out of range.
        """
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError(f"--shard must be NUMBER/COUNT, from 1/COUNT to COUNT/COUNT, not {text!r}")
        return cls(int(match[1]), int(match[2]))

    def holds(self, video: Segment) -> bool:
        """Return whether a video, or a part of one, belongs to this shard."""
        # By a hash of its name, so that videos keep their shard when others are added or removed.
        digest = hashlib.blake2b(os.fsencode(str(video)), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number - 1

    def output(self, output: Path) -> Path:
        """Return the file of this shard: ``labels.3-of-8.jsonl`` for ``labels.jsonl``."""
        return output.with_name(f"{output.stem}.{self.number}-of-{self.count}{output.suffix}")


def shard_files(output: Path) -> list[Path]:
    """Return the files of the shards of ``output``, in order; warn if some are missing.

    Raises:
        UsageError: There are none, they have different counts, or the folder cannot be read.
    """
    pattern = re.compile(re.escape(output.stem) + r"\.(\d+)-of-(\d+)" + re.escape(output.suffix))
    try:
        beside = list(output.parent.iterdir())
    except OSError as error:
        raise UsageError(f"{output}: cannot look for shards beside it ({error.strerror})") from None
    found = sorted((int(match[2]), int(match[1]), path) for path in beside if (match := pattern.fullmatch(path.name)))
    counts = sorted({count for count, _, _ in found})
    if len(counts) != 1:
        what = f"shards of different counts ({', '.join(map(str, counts))})" if counts else "no shards"
        raise UsageError(f"{output}: there are {what} beside it; name the files to merge")
    missing = sorted(set(range(1, counts[0] + 1)) - {number for _, number, _ in found})
    if missing:
        log.warning("%s: of %d shards, these have no file: %s", output, counts[0], shortened(missing, 10))
    return [path for _, _, path in found]


def merge(files: Iterable[Path], output: Path) -> tuple[int, int]:
    """Merge the rows of several files into one, with one row for each video or stretch, model and views.

    Of two rows, the one about the newer version of the video counts. If the version is the same or unknown, a
    prediction counts more than a failure, else the later row counts.

    Args:
        files: Files of rows, in order.
        output: File to write. Its own rows come before those of all files.

    Returns:
        Number of rows, and number of failures among them.

    Raises:
        OutputError: A file cannot be read or written, or another process is writing it.
    """
    with ExitStack() as stack:
        stack.enter_context(locked(output))
        shards = {os.path.realpath(file): file for file in files}  # each file once, whatever its names
        shards.pop(os.path.realpath(output), None)
        for file in shards.values():
            if not file.is_file():
                raise OutputError(f"{file}: no such file")
            stack.enter_context(locked(file, to_write=False))
        ledgers = [_read(file) for file in ([output] if output.exists() else []) + list(shards.values())]
        chosen = _choose(ledgers)
        try:
            with atomic_file(output) as part, part.open("wb") as stream:
                for ledger in ledgers:
                    ledger.copy([key for key, source in chosen.items() if source is ledger], stream)
        except OSError as error:
            raise OutputError(f"{output}: cannot be written ({error.strerror})") from None
        return len(chosen), sum(ledger.spans[key].summary.error is not None for key, ledger in chosen.items())


def _read(file: Path) -> Ledger:
    ledger = Ledger(file)
    ledger.read()
    if ledger.torn:
        log.warning("%s: left out %d lines that are torn or damaged", file, ledger.torn)
    return ledger


def _choose(ledgers: Iterable[Ledger]) -> dict[RowKey, Ledger]:
    """For each row, the ledger whose version of it counts."""
    chosen: dict[RowKey, Ledger] = {}
    for ledger in ledgers:
        for key, span in ledger.spans.items():
            if key not in chosen or not _counts_more(chosen[key].spans[key].summary, span.summary):
                chosen[key] = ledger
    return chosen


def _counts_more(earlier: RowSummary, later: RowSummary) -> bool:
    seconds, later_seconds = (None if row.file is None else row.file.modified_seconds for row in (earlier, later))
    if seconds is not None and later_seconds is not None and seconds != later_seconds:
        return seconds > later_seconds
    return earlier.error is None and later.error is not None
