"""Videos at addresses: ``s3://``, ``gs://``, ``hf://``, ``http://`` and ``https://``, through fsspec."""

from __future__ import annotations

import re
from collections.abc import Iterator

PROTOCOLS = ("s3", "gs", "gcs", "hf", "http", "https")
"""That are read; others of fsspec (local files, archives, chains of these, shells of other hosts) are not."""

_ADDRESS = re.compile(rf"(?:{'|'.join(PROTOCOLS)})://", re.IGNORECASE)


def is_address(path: str) -> bool:
    """Whether this is an address of another machine and not a path."""
    return _ADDRESS.match(path) is not None


def expand_address(address: str) -> Iterator[str]:
    """The videos that an address stands for."""
    yield address


def remote_signature(address: str) -> dict[str, object] | None:
    """Size and version of what is at an address; None if it cannot be told."""
    return None
