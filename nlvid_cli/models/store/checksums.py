"""Checksums of files: in which forms they are published, and whether a file has the published ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nlvid_cli.errors import ChecksumMismatch
from nlvid_cli.system.hashes import digest_of, sha256_of


@dataclass(frozen=True)
class Digests:
    """What was computed from the bytes of a file, in lower-case hexadecimal digits. ``sha1`` only where needed."""

    sha256: str
    sha1: str | None = None


@dataclass(frozen=True)
class PublishedChecksums:
    """What is published about a file, in lower-case hexadecimal digits. All that is given must fit.

    Attributes:
        sha256: The whole checksum.
        sha256_prefix: Its first digits, eight or more.
        sha1: The whole checksum.
    """

    sha256: str | None = None
    sha256_prefix: str | None = None
    sha1: str | None = None

    def __bool__(self) -> bool:
        """Whether anything is published at all."""
        return any((self.sha256, self.sha256_prefix, self.sha1))

    def identity(self) -> str | None:
        """Return the strongest of them, as a text that no checksum of another kind has, or None without any."""
        if self.sha256 is not None:
            return self.sha256
        if self.sha1 is not None:
            return f"sha1 {self.sha1}"
        return f"sha256 {self.sha256_prefix}..." if self.sha256_prefix is not None else None

    def fit(self, digests: Digests) -> bool:
        """Whether a file with these digests can be the published one."""
        return self.difference(digests) is None

    def difference(self, digests: Digests) -> str | None:
        """Describe the first checksum that does not fit. None if all fit."""
        triples = (
            ("sha256", self.sha256, digests.sha256),
            ("a sha256 that begins with", self.sha256_prefix, digests.sha256),
            ("sha1", self.sha1, digests.sha1),
        )
        for kind, expected, got in triples:
            if expected is not None and (got is None or not got.startswith(expected)):
                return f"expected {kind} {expected}, got {got}"
        return None


def digests_of(path: Path, published: PublishedChecksums) -> Digests:
    """Compute the digests of a file that its published checksums need, and its sha256 in any case."""
    return Digests(sha256_of(path), None if published.sha1 is None else digest_of(path, "sha1"))


def require_published(name: str, origin: str, published: PublishedChecksums, digests: Digests) -> None:
    """Refuse a file that is not the published one.

    Args:
        name: Name of the file.
        origin: The host or folder that it came from.
        published: The checksums on the card.
        digests: Those of the file.

    Raises:
        ChecksumMismatch: Says which kind of checksum differs, and both values.
    """
    difference = published.difference(digests)
    if difference is not None:
        raise ChecksumMismatch(
            f"{name} from {origin} is not the published file: {difference}; it was not used; try again later or from "
            "another network, and report it if it happens again"
        )
