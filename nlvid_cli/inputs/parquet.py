"""pyarrow, which reads and writes Parquet and is an extra."""

from __future__ import annotations

from typing import Any

from nlvid_cli.errors import UsageError


def import_parquet() -> Any:
    """``pyarrow.parquet``.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError:
        raise UsageError("Parquet needs pyarrow: pip install 'nlvid-cli[parquet]'") from None
    return pyarrow.parquet
