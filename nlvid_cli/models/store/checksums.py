"""Sums of files: of what kind they are published, and whether a file has them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from nlvid_cli.errors import ChecksumMismatch


@dataclass(frozen=True)
class Published:
    """What is published of a file's sums, in lower-case hexadecimal digits; all that is given must fit.

    Attributes:
        sha256: the whole sum.
        sha256_prefix: its first digits, eight or more.
        sha1: the whole sum.
    """

    sha256: str | None = None
    sha256_prefix: str | None = None
    sha1: str | None = None

    def __bool__(self) -> bool:
        """Whether anything is published at all."""
        return any((self.sha256, self.sha256_prefix, self.sha1))

    def identity(self) -> str | None:
        """The strongest of them, as a text that no other kind of sum has; None where nothing is published."""
        if self.sha256 is not None:
            return self.sha256
        if self.sha1 is not None:
            return f"sha1 {self.sha1}"
        return f"sha256 {self.sha256_prefix}..." if self.sha256_prefix is not None else None


@dataclass(frozen=True)
class Sums:
    """Sums of the bytes of a file; ``sha1`` only where it is needed."""

    sha256: str
    sha1: str | None = None

    def fit(self, published: Published) -> bool:
        """Whether they are the published ones."""
        return self.difference(published) is None

    def difference(self, published: Published) -> str | None:
        """The first published sum that they are not, in words; None if they fit."""
        pairs = (
            ("sha256", published.sha256, self.sha256),
            ("a sha256 that begins with", published.sha256_prefix, self.sha256),
            ("sha1", published.sha1, self.sha1),
        )
        for kind, expected, got in pairs:
            if expected is not None and (got is None or not got.startswith(expected)):
                return f"expected {kind} {expected}, got {got}"
        return None


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in lower-case hexadecimal digits."""
    return _digest(path, "sha256")


def sums_of(path: Path, published: Published) -> Sums:
    """The sums of a file that tell whether it has the published ones, and its sha256 in any case."""
    return Sums(_digest(path, "sha256"), None if published.sha1 is None else _digest(path, "sha1"))


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def require_published(what: str, origin: str, published: Published, sums: Sums) -> None:
    """Check a file's sums.

    Args:
        what: the file's name.
        origin: the host or the folder that it came from.
        published: on the card.
        sums: of what arrived.

    Raises:
        ChecksumMismatch: with the kind of sum that differs, and both of them.
    """
    difference = sums.difference(published)
    if difference is not None:
        raise ChecksumMismatch(
            f"{what} from {origin} is not the published file: {difference}; it was not "
            "used, try again later or from another network, and report it if it stays"
        )
