"""sha256 sums of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nlvid_cli.errors import ChecksumMismatch


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in lower-case hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def mismatch(what: str, origin: str, expected: str, got: str) -> ChecksumMismatch:
    """The error for a file that is not the published one.

    Args:
        what: the file's name.
        origin: the host or the folder that it came from.
        expected: sha256 on the card.
        got: sha256 of what arrived.
    """
    return ChecksumMismatch(
        f"{what} from {origin} is not the published file: expected sha256 {expected}, got {got}; it was not "
        "used, try again later or from another network, and report it if it stays"
    )
