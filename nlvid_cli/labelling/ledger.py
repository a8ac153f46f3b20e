"""The output file: rows that are safe once they are written, and what they say is done.

Only one process at a time writes it, which a lock beside it ensures. Rows are appended, and of several of one video,
model and views the last one counts. At the start and at the end of a run, those that do not count any more, and lines
that were torn, are taken out, by writing the file anew and renaming it.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from nlvid_cli.errors import OutputError
from nlvid_cli.labelling.rows import Head, Identity, Request, file_state, line_of, parse_line
from nlvid_cli.video.remote import RemotePath, VideoPath

log = logging.getLogger(__name__)

ASKED_AT_ONCE = 16
"""Servers' answers that are waited for at the same time."""

ROW_START = b'{"schema": '

SYNC_SECONDS = 5.0
"""From one time that rows are brought to the disk to the next, at the first row after it and at the end."""


@contextmanager
def locked(output: Path, to_write: bool = True) -> Iterator[None]:
    """Be the only one to write ``output``.

    Args:
        output: the file.
        to_write: whether it will be written; else it needs no lock where none can be made.

    Raises:
        OutputError: another process writes it, or the folder cannot be written.
    """
    beside = output.with_name(f".{output.name}.lock")
    if not output.parent.is_dir():
        raise OutputError(f"{output}: cannot write there (there is no folder {output.parent})")
    lock = FileLock(beside)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OutputError(
            f"{output}: another nlvid is writing it{_holder(beside)}; wait for it, or choose another --output"
        ) from None
    except OSError as error:
        if to_write:
            raise OutputError(f"{output}: cannot write there ({error.strerror})") from None
        log.debug("%s: no lock can be made beside it (%s)", output, error.strerror)
    try:
        if lock.is_locked:
            with suppress(OSError):  # a full disk; what is told of the holder is a courtesy
                beside.write_text(f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%F %T %Z')}")
        yield
    finally:
        lock.release()


def _holder(beside: Path) -> str:
    try:
        text = beside.read_text()
    except OSError:
        return ""
    return f" ({text})" if text else ""


@dataclass(frozen=True)
class Place:
    """A row in a file, from ``start`` to ``end`` in bytes."""

    head: Head
    start: int
    end: int


class Ledger:
    """An output file, open for a run. Use it as a context manager.

    Args:
        output: the file of rows; may be missing.

    Attributes:
        places: of the rows that count.
        torn: number of lines that are none.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.places: dict[Identity, Place] = {}
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
        """Learn what is done.

        Raises:
            OutputError: the file cannot be read, or is not one of rows.
        """
        try:
            with self.output.open("rb") as file:
                for line in file:
                    self._take(line)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise OutputError(f"{self.output}: cannot read what is done ({error.strerror})") from None

    def _take(self, line: bytes) -> None:
        start, self._size = self._size, self._size + len(line)
        try:
            head, _ = parse_line(line)
        except ValueError as error:
            if _is_torn(line, after_rows=bool(self.places)):
                self.torn += 1
                return
            raise OutputError(
                f"{self.output}: is no file of nlvid label, and is left as it is; choose another --output ({error})"
            ) from None
        self.places[head.identity] = Place(head, start, self._size)

    @property
    def heads(self) -> list[Head]:
        """Of all rows, in the order of the file."""
        return [place.head for place in self.places.values()]

    def to_do(
        self, videos: Iterable[VideoPath], request: Request, retry_failed: bool = False
    ) -> Iterator[tuple[VideoPath, dict[str, Any] | None]]:
        """The videos that have no row yet that is still right, each with the state of its file.

        A prediction stays right while nothing can be learnt of its file.
        """
        rows = {head.video: head for head in self.heads if request.is_answered_by(head)}
        videos = list(videos)
        away = 0
        for video, state in zip(videos, _states(videos), strict=True):
            row = rows.get(str(video))
            if row is None or row.answer != request.told or (retry_failed and row.error):
                yield video, state
            elif state is None and row.file is not None and not row.error:
                away += 1
            elif row.file != state:
                yield video, state
        if away:
            log.warning("%s: %d videos cannot be reached now; their rows are kept", self.output, away)

    def open(self) -> None:
        """Take out lines that are torn and rows that do not count; then be ready to append.

        Raises:
            OutputError: the file cannot be written.
        """
        self._size = self._size or (self.output.stat().st_size if self.output.exists() else 0)  # not read: all goes
        if self.torn:
            log.warning("%s: %d lines are torn or damaged; their videos are done again", self.output, self.torn)
        try:
            self._compact()
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._file = os.open(self.output, flags, 0o666)
        except OSError as error:
            raise OutputError(f"{self.output}: cannot write ({error.strerror})") from None

    def copy(self, keys: Iterable[Identity], stream: BinaryIO) -> dict[Identity, Place]:
        """Write the lines of some rows elsewhere, in the order of the file.

        Returns:
            Where they are there.

        Raises:
            OSError: they cannot be read, or written.
        """
        copied = {}
        with self.output.open("rb") as file:
            for key in sorted(keys, key=lambda key: self.places[key].start):
                place = self.places[key]
                file.seek(place.start)
                start = stream.tell()
                stream.write(file.read(place.end - place.start))
                copied[key] = Place(place.head, start, stream.tell())
        return copied

    def _compact(self) -> None:
        """Write the file anew with only the rows that count, unless it holds nothing else."""
        if sum(place.end - place.start for place in self.places.values()) == self._size:
            return
        part = self.output.with_name(f".{self.output.name}.part")
        try:
            with part.open("wb") as new:
                places = self.copy(self.places, new)
                size = new.tell()
                new.flush()
                os.fsync(new.fileno())
            os.chmod(part, self.output.stat().st_mode)
            os.replace(part, self.output)
        finally:
            part.unlink(missing_ok=True)
        self.places, self._size, self.torn = places, size, 0

    def append(self, row: dict[str, Any]) -> None:
        """Write a row.

        Raises:
            OutputError: the disk is full, or the file is gone; the rows before are safe.
        """
        line = line_of(row)
        try:
            self._check_still_there()
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            if time.monotonic() - self._synced > SYNC_SECONDS:
                os.fsync(self._file)
                self._synced = time.monotonic()
        except OSError as error:
            self._cut_back()
            raise OutputError(
                f"{self.output}: cannot write ({error.strerror}); the rows before this one are safe, and the same "
                "command goes on from there"
            ) from None
        self._take(line)

    def _check_still_there(self) -> None:
        here, there = os.fstat(self._file), os.stat(self.output)
        if os.name != "nt" and (here.st_ino, here.st_dev) != (there.st_ino, there.st_dev):
            raise OSError(0, "somebody replaced the file")

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            log.debug("%s: the last line may be torn", self.output)

    def close(self, compacting: bool = True) -> None:
        """Bring all to the disk, and take out the rows that do not count any more if ``compacting``.

        Raises:
            OutputError: the file cannot be written; the rows in it are safe.
        """
        if self._file < 0:
            return
        try:
            try:
                os.fsync(self._file)
                if compacting:
                    self._check_still_there()
            finally:
                os.close(self._file)
                self._file = -1
            if compacting:
                self._compact()
        except OSError as error:
            raise OutputError(f"{self.output}: cannot write ({error.strerror})") from None


def _is_torn(line: bytes, after_rows: bool) -> bool:
    """Whether a line that is no row can be what is left of one: zeros, a beginning; after rows, all that is no JSON."""
    if not line.strip(b"\0\n"):
        return True
    can_be = after_rows or line.startswith(ROW_START)
    if not line.endswith(b"\n"):
        return can_be or ROW_START.startswith(line)
    try:
        json.loads(line)
    except ValueError:
        return can_be
    return False


def _states(videos: list[VideoPath]) -> Iterator[dict[str, Any] | None]:
    """States of files; those at addresses are asked for side by side."""
    if not any(isinstance(video, RemotePath) for video in videos):
        yield from map(file_state, videos)
        return
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        yield from pool.map(file_state, videos)


def read_rows(output: Path) -> Iterator[dict[str, Any]]:
    """All whole rows of a file; how many lines are none is told.

    Raises:
        OutputError: the file cannot be read.
    """
    torn = 0
    try:
        with output.open("rb") as file:
            for line in file:
                try:
                    _, row = parse_line(line)
                except ValueError:
                    torn += 1
                else:
                    yield row
    except OSError as error:
        raise OutputError(f"{output}: cannot read ({error.strerror})") from None
    if torn:
        log.warning("%s: %d lines are torn or damaged, and left out", output, torn)
