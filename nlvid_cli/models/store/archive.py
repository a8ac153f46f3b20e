"""Extract one file from a release archive, by its exact name.

No other member of the archive is written, no path in it is ever joined to a folder, and nothing in it is run; members
called ``../x``, links and devices are therefore harmless. Sizes are limited.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nlvid_cli.errors import ModelFileError
from nlvid_cli.models.store.checksums import Digests, PublishedChecksums, require_published
from nlvid_cli.system.atomic import atomic_file

MAX_MEMBER_BYTES = 8 * 2**30
"""Limit for the size of the member that the archive states. No more than that is read."""
MAX_UNPACKED_BYTES = 16 * 2**30
"""Limit for everything in a compressed tar file up to the end of the member."""

_CHUNK_BYTES = 2**20
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    EOFError,
    NotImplementedError,  # zipfile: an unknown compression method or encryption
    RuntimeError,  # zipfile: the member needs a password
    ValueError,
    OverflowError,
    MemoryError,
)


def read_member(archive: Path, member: str, target: Path, sha256: str | None) -> None:
    """Write one regular file of an archive to ``target``, which appears only when it is complete and checked.

    Args:
        archive: A ``.tar.gz``, ``.tgz``, ``.zip`` or ``.whl`` file.
        member: Its name inside, exactly as written there.
        target: The file to write.
        sha256: Checksum of the member. None if that of the archive is enough.

    Raises:
        ModelFileError: There is no such regular file in the archive, it is too large, or the archive is damaged.
        ChecksumMismatch: The member is not the published file.
        OSError: ``target`` cannot be written.
    """
    opener = _zip_member if archive.name.endswith((".whl", ".zip")) else _tar_member
    with atomic_file(target) as part:
        try:
            with part.open("wb") as output, opener(archive, member) as file:
                digest = _copy(file, output)
        except _DAMAGED as error:
            raise ModelFileError(f"{archive.name}: the archive is damaged ({error}); fetch it again") from error
        require_published(member, archive.name, PublishedChecksums(sha256), Digests(digest))


def _copy(file: IO[bytes], output: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        output.write(chunk)
    return digest.hexdigest()


@contextmanager
def _tar_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    with _LimitedGzip(archive) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as tar:
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
        mode = entry.external_attr >> 16  # the Unix mode; 0 if the writer did not state one
        if entry.is_dir() or stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise _not_a_file(archive, member)
        if entry.file_size > MAX_MEMBER_BYTES:
            raise _too_large(member)
        with unpacked.open(entry) as file:
            yield file


class _LimitedGzip(gzip.GzipFile):
    """Raises an error when more than :data:`MAX_UNPACKED_BYTES` are read from it."""

    _read_bytes = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self._read_bytes += len(data)
        if self._read_bytes > MAX_UNPACKED_BYTES:
            raise _too_large("the archive")
        return data


def _missing(archive: Path, member: str) -> ModelFileError:
    return ModelFileError(f"{archive.name}: the archive has no file {member}, which the model card names")


def _not_a_file(archive: Path, member: str) -> ModelFileError:
    return ModelFileError(f"{archive.name}: {member} is a link or a folder in the archive, not a file; it was not used")


def _too_large(what: str) -> ModelFileError:
    return ModelFileError(f"{what}: unpacks to more than nlvid allows; it was not used")
