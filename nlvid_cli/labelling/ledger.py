"""The output file of a run: which videos have a row, and rows that survive a crash.

Rows are appended. Of several rows with one key (video, stretch of it, model and views) the last one counts. At the
start and at the end of a run the file is rewritten without torn lines and without rows that no longer count.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from nlvid_cli.errors import OutputError
from nlvid_cli.labelling.rows import ROW_KEYS, FileState, Request, Row, RowKey, RowSummary, file_state
from nlvid_cli.recognize.prediction import SCHEMA
from nlvid_cli.system.atomic import atomic_file, remove_leftovers
from nlvid_cli.system.strict_json import JsonError, parse_json
from nlvid_cli.video.remote import RemotePath
from nlvid_cli.video.segment import Segment

log = logging.getLogger(__name__)

SERVERS_ASKED_AT_ONCE = 16
"""Number of remote files whose state is asked for side by side."""

ROW_START = b'{"schema": '
"""First bytes of every row."""

SYNC_SECONDS = 5.0
"""Rows are flushed to the disk with the first row after this time, and at the end of the run."""


@dataclass(frozen=True, slots=True)
class RowSpan:
    """A row in a file: its summary, and the bytes from ``start`` to ``end`` that hold it."""

    summary: RowSummary
    start: int
    end: int


class Ledger:
    """An output file, open for a run. Use it as a context manager; the caller holds its lock.

    Args:
        output: File of rows; may be missing.

    Attributes:
        spans: Rows that count, in the order of the file.
        torn: Number of lines that are not whole rows.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.spans: dict[RowKey, RowSpan] = {}
        self.torn = 0
        self._size = 0
        self._file = -1
        self._synced = time.monotonic()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(compacting=kind is None)

    def read(self) -> None:
        """Read which videos have a row.

        Raises:
            OutputError: The file cannot be read, or is not an output file of ``nlvid label``.
        """
        try:
            with self.output.open("rb") as file:
                for line in file:
                    self._read_line(line)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise OutputError(f"{self.output}: cannot be read ({error.strerror})") from None

    def _read_line(self, line: bytes) -> None:
        try:
            summary = Row.parse(line).summary
        except ValueError as error:
            if not _is_torn(line, after_rows=bool(self.spans)):
                raise OutputError(
                    f"{self.output}: not an `nlvid label` file, left unchanged ({error}); choose another --output"
                ) from None
            self.torn += 1
            self._size += len(line)
        else:
            self._add(summary, len(line))

    def _add(self, summary: RowSummary, size_bytes: int) -> None:
        start, self._size = self._size, self._size + size_bytes
        self.spans[summary.key] = RowSpan(summary, start, self._size)

    @property
    def summaries(self) -> list[RowSummary]:
        """Summaries of all rows that count, in the order of the file."""
        return [span.summary for span in self.spans.values()]

    def to_do(
        self, videos: Iterable[Segment], request: Request, retry_failed: bool = False
    ) -> Iterator[tuple[Segment, FileState | None]]:
        """Yield the videos that must be labelled, each with the state of its file.

        A video must be labelled if it has no row for the request, or if its file changed since. A prediction is kept
        while its file is out of reach.

        Args:
            videos: All videos of the run, or parts of them.
            request: What the run asks.
            retry_failed: Whether to include videos that failed before.
        """
        rows = {row.segment: row for row in self.summaries if request.is_answered_by(row)}
        videos = list(videos)
        out_of_reach = 0
        for video, state in zip(videos, _states(videos), strict=True):
            row = rows.get(replace(video, path=str(video.path)))
            if row is None or row.answer != request.answer_record or (retry_failed and row.error):
                yield video, state
            elif state is None and row.file is not None and not row.error:
                out_of_reach += 1
            elif row.file != state:
                yield video, state
        if out_of_reach:
            log.warning("%s: %d videos are out of reach; their rows are kept", self.output, out_of_reach)

    def open(self) -> None:
        """Remove torn lines and rows that no longer count, then open the file for :meth:`append`.

        Raises:
            OutputError: The file cannot be written.
        """
        if self._size == 0 and self.output.exists():  # not read, so no row of it counts (--overwrite)
            self._size = self.output.stat().st_size
        if self.torn:
            log.warning("%s: %d lines are torn or damaged; their videos are labelled again", self.output, self.torn)
        try:
            remove_leftovers(self.output)
            self._compact()
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._file = os.open(self.output, flags, 0o666)
        except OSError as error:
            raise OutputError(f"{self.output}: cannot be written ({error.strerror})") from None

    def copy(self, keys: Iterable[RowKey], stream: BinaryIO) -> dict[RowKey, RowSpan]:
        """Copy the lines of some rows, in the order of the file.

        Returns:
            The rows, with their bytes in ``stream``.

        Raises:
            OSError: They cannot be read or written.
        """
        copied = {}
        with self.output.open("rb") as file:
            for key in sorted(keys, key=lambda key: self.spans[key].start):
                span = self.spans[key]
                file.seek(span.start)
                start = stream.tell()
                stream.write(file.read(span.end - span.start))
                copied[key] = RowSpan(span.summary, start, stream.tell())
        return copied

    def _compact(self) -> None:
        """Rewrite the file with only the rows that count, unless it holds nothing else."""
        if sum(span.end - span.start for span in self.spans.values()) == self._size:
            return
        with atomic_file(self.output) as part, part.open("wb") as new:
            spans = self.copy(self.spans, new)
            size = new.tell()
        self.spans, self._size, self.torn = spans, size, 0

    def append(self, row: Row) -> None:
        """Write a row.

        Raises:
            OutputError: The disk is full, or the file was removed or replaced.
        """
        self._require_still_there()
        try:
            written = 0
            while written < len(row.line):
                written += os.write(self._file, row.line[written:])
            if time.monotonic() - self._synced > SYNC_SECONDS:
                os.fsync(self._file)
                self._synced = time.monotonic()
        except OSError as error:
            self._cut_back()
            raise OutputError(
                f"{self.output}: cannot be written ({error.strerror}); it ends with its last whole row, and the same "
                "command continues from there"
            ) from None
        self._add(row.summary, len(row.line))

    def _require_still_there(self) -> None:
        """Raise OutputError if the name leads to another file now, or to none."""
        try:
            named = os.stat(self.output)
        except (FileNotFoundError, NotADirectoryError):
            what = "the file was removed"
        except OSError as error:
            raise OutputError(f"{self.output}: is out of reach ({error.strerror}); its rows may be, too") from None
        else:
            opened = os.fstat(self._file)
            if os.name == "nt" or (opened.st_ino, opened.st_dev) == (named.st_ino, named.st_dev):
                return
            what = "another program replaced the file"
        raise OutputError(
            f"{self.output}: {what} while this run wrote it, and its rows went with it; the same command labels these "
            "videos again"
        )

    def _cut_back(self) -> None:
        """Remove the part of a row that was written before an error."""
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            log.debug("%s: the last line may be torn", self.output)

    def close(self, compacting: bool = True) -> None:
        """Flush the file to the disk and close it.

        Args:
            compacting: Whether to remove the rows that no longer count.

        Raises:
            OutputError: The file cannot be written, or was removed or replaced.
        """
        if self._file < 0:
            return
        try:
            try:
                os.fsync(self._file)
                if compacting:
                    self._require_still_there()
            finally:
                os.close(self._file)
                self._file = -1
            if compacting:
                self._compact()
        except OSError as error:
            raise OutputError(f"{self.output}: cannot be written ({error.strerror})") from None


def _is_torn(line: bytes, after_rows: bool) -> bool:
    """Whether a line that is not a row may be the remains of one, so that it can be removed.

    Zeros and the beginning of a row always may. Between rows, so may anything that is not JSON, and objects with the
    keys of a row whose values are wrong.
    """
    if not line.strip(b"\0\n"):
        return True
    can_be = after_rows or line.startswith(ROW_START)
    if not line.endswith(b"\n"):
        return can_be or ROW_START.startswith(line)
    try:
        value = parse_json(line)
    except JsonError:
        return can_be
    return after_rows and isinstance(value, dict) and value.keys() >= ROW_KEYS and value["schema"] == SCHEMA


def _states(videos: list[Segment]) -> Iterator[FileState | None]:
    """States of files, in order, each file asked once. Servers are asked side by side."""
    paths = dict.fromkeys(video.path for video in videos)
    if not any(isinstance(path, RemotePath) for path in paths):
        states = dict(zip(paths, map(file_state, paths), strict=True))
    else:
        with ThreadPoolExecutor(SERVERS_ASKED_AT_ONCE) as pool:
            states = dict(zip(paths, pool.map(file_state, paths), strict=True))
    for video in videos:
        yield states[video.path]


def read_rows(output: Path) -> Iterator[Row]:
    """Yield all rows of a file; warn how many lines are not whole rows.

    Raises:
        OutputError: The file cannot be read.
    """
    torn = 0
    try:
        with output.open("rb") as file:
            for line in file:
                try:
                    row = Row.parse(line)
                except ValueError:
                    torn += 1
                else:
                    yield row
    except OSError as error:
        raise OutputError(f"{output}: cannot be read ({error.strerror})") from None
    if torn:
        log.warning("%s: left out %d lines that are torn or damaged", output, torn)
