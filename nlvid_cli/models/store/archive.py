"""One file out of a release archive, by its exact name.

Nothing else of the archive is written anywhere, no path of it is ever joined to a folder, and nothing of it
is run; so members called ``../x``, links and devices are of no consequence. Sizes are bounded.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nlvid_cli.errors import ModelFileError
from nlvid_cli.models.store.checksums import Published, Sums, require_published

MAX_MEMBER_BYTES = 8 * 2**30
"""Limit for the size of the member that the archive states; no more than that is read of it."""
MAX_UNPACKED_BYTES = 16 * 2**30
"""Limit for everything of a compressed tar file that comes before the member."""

_CHUNK_BYTES = 2**20
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    EOFError,
    NotImplementedError,  # zipfile: a compression method or an encryption that it does not know
    RuntimeError,  # zipfile: the member needs a password
    ValueError,
    OverflowError,
    MemoryError,
)


def read_member(archive: Path, member: str, target: Path, sha256: str | None) -> None:
    """Write one regular file of an archive to ``target``, which appears only when it is whole and checked.

    Args:
        archive: a ``.tar.gz``, ``.tgz``, ``.zip`` or ``.whl`` file.
        member: its name inside, exactly as written there.
        target: the file to write.
        sha256: of the member; None to leave it to the sum of the archive.

    Raises:
        ModelFileError: no such regular file in the archive, too large, or the archive is damaged.
        ChecksumMismatch: the member is not the published file.
        OSError: ``target`` cannot be written.
    """
    temporary = target.with_name(target.name + ".tmp")
    opener = _zip_member if archive.name.endswith((".whl", ".zip")) else _tar_member
    try:
        with temporary.open("wb") as output:
            try:
                with opener(archive, member) as file:
                    digest = _copy(file, output)
            except _DAMAGED as error:
                raise ModelFileError(f"{archive.name}: the archive is damaged ({error}); fetch it again") from error
        require_published(member, archive.name, Published(sha256), Sums(digest))
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _copy(file: IO[bytes], output: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        output.write(chunk)
    return digest.hexdigest()


@contextmanager
def _tar_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    with _BoundedGzip(archive) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as tar:
        for entry in tar:
            if entry.name == member:
                file = tar.extractfile(entry) if entry.isreg() else None
                if file is None:
                    raise _not_a_file(archive, member)
                if entry.size > MAX_MEMBER_BYTES:
                    raise _too_large(member)
                yield file
                return
    raise _missing(archive, member)


@contextmanager
def _zip_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(archive) as unpacked:
        try:
            entry = unpacked.getinfo(member)
        except KeyError:
            raise _missing(archive, member) from None
        mode = entry.external_attr >> 16  # the Unix mode, 0 where the writer did not state one
        if entry.is_dir() or stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise _not_a_file(archive, member)
        if entry.file_size > MAX_MEMBER_BYTES:
            raise _too_large(member)
        with unpacked.open(entry) as file:
            yield file


class _BoundedGzip(gzip.GzipFile):
    """Ends in an error when more than :data:`MAX_UNPACKED_BYTES` come out of it."""

    _given = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self._given += len(data)
        if self._given > MAX_UNPACKED_BYTES:
            raise _too_large("the archive")
        return data


def _missing(archive: Path, member: str) -> ModelFileError:
    return ModelFileError(f"{archive.name}: the archive has no file {member}; the model card names another one")


def _not_a_file(archive: Path, member: str) -> ModelFileError:
    return ModelFileError(f"{archive.name}: {member} is a link or a folder in the archive, not a file; not used")


def _too_large(what: str) -> ModelFileError:
    return ModelFileError(f"{what}: unpacks to more than nlvid is willing to write; not used")
