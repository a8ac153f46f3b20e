"""The optional package for Parquet."""

from __future__ import annotations

from typing import Any

from nlvid_cli.errors import UsageError


def import_parquet() -> Any:
    """Import ``pyarrow.parquet``, which an extra installs.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError:
        raise UsageError("Parquet needs pyarrow: pip install 'nlvid-cli[parquet]'") from None
    return pyarrow.parquet
