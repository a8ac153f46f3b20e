"""Hashes of files."""

from __future__ import annotations

import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in lower-case hexadecimal digits.

    Raises:
        OSError: The file cannot be read.
    """
    return digest_of(path, "sha256")


def digest_of(path: Path, kind: str) -> str:
    """Return a digest of a file, in lower-case hexadecimal digits. ``kind`` is a name that ``hashlib`` knows."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
