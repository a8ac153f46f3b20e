"""CSV and Parquet, made from the rows of an output file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from nlvid_cli.errors import OutputError
from nlvid_cli.inputs.parquet import import_parquet
from nlvid_cli.labelling.ledger import read_rows
from nlvid_cli.labelling.rows import Row
from nlvid_cli.system.atomic import atomic_file
from nlvid_cli.system.csv_lines import csv_writer

COLUMNS = (
    "video", "label", "index", "score", "unsure", "labels", "model", "model_sha256", "device", "precision",
    "clips", "crops", "duration_seconds", "frame_rate", "variable_frame_rate", "width", "height", "rotation_degrees",
    "warnings", "size_bytes", "modified_seconds", "error_type", "error_message",
    "start_seconds", "end_seconds", "start_frame", "end_frame", "segments",
)  # fmt: skip
"""Columns of the table. ``label``, ``index`` and ``score`` are of the best label; ``labels`` holds all reported labels
and ``warnings`` all warnings, as JSON in CSV and as lists in Parquet. Starts and ends are those of a stretch;
``segments`` is a list, too, of rows with a timeline."""

ROWS_AT_ONCE = 10_000
"""Rows of a group in a Parquet file."""


def write_csv(rows: Iterable[Row], path: Path) -> None:
    """Write a table as CSV (RFC 4180) in UTF-8."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        table = csv_writer(stream, COLUMNS)
        for row in rows:
            flat = _flat(row)
            texts = {key: json.dumps(value) for key, value in flat.items() if isinstance(value, list)}
            truths = {key: str(value).lower() for key, value in flat.items() if isinstance(value, bool)}
            table.writerow(flat | texts | truths)


def write_parquet(rows: Iterable[Row], path: Path) -> None:
    """Write the same table as Parquet, with lists where CSV has JSON."""
    import_parquet()
    import pyarrow
    import pyarrow.parquet as parquet

    label = pyarrow.struct([("label", pyarrow.string()), ("index", pyarrow.int32()), ("score", pyarrow.float64())])
    times = [("start_seconds", pyarrow.float64()), ("end_seconds", pyarrow.float64())]
    types = {
        **dict.fromkeys(("index", "clips", "crops", "width", "height", "rotation_degrees"), pyarrow.int32()),
        **dict.fromkeys(("score", "duration_seconds", "frame_rate", "modified_seconds"), pyarrow.float64()),
        **dict.fromkeys(("start_seconds", "end_seconds"), pyarrow.float64()),
        **dict.fromkeys(("start_frame", "end_frame"), pyarrow.int64()),
        **dict.fromkeys(("unsure", "variable_frame_rate"), pyarrow.bool_()),
        "size_bytes": pyarrow.int64(),
        "labels": pyarrow.list_(label),
        "segments": pyarrow.list_(pyarrow.struct([*times, *label])),
        "warnings": pyarrow.list_(pyarrow.string()),
    }
    schema = pyarrow.schema([(name, types.get(name, pyarrow.string())) for name in COLUMNS])
    waiting = (_clean(_flat(row)) for row in rows)
    with parquet.ParquetWriter(path, schema) as table:
        while batch := list(islice(waiting, ROWS_AT_ONCE)):
            table.write_table(pyarrow.Table.from_pylist(batch, schema))


TABLES: dict[str, Callable[[Iterable[Row], Path], None]] = {"csv": write_csv, "parquet": write_parquet}
"""Writers of tables, by the name for ``--format``."""


def make_table(output: Path, format_name: str, table: Path) -> None:
    """Write the rows of ``output`` as a table, completely or not at all.

    Args:
        output: File of rows.
        format_name: Key of :data:`TABLES`.
        table: File to write.

    Raises:
        OutputError: The table cannot be written.
    """
    try:
        with atomic_file(table) as part:
            TABLES[format_name](read_rows(output), part)
    except OSError as error:
        raise OutputError(f"{table}: cannot be written ({error.strerror or error}); {output} is complete") from None


def _flat(row: Row) -> dict[str, Any]:
    """The columns of a row; missing where they do not apply."""
    record, file = row.record, row.summary.file
    flat = {key: record[key] for key in COLUMNS if key in record}
    flat |= record.get("stretch", {})
    if file is not None:
        states = {"size_bytes": file.size_bytes, "modified_seconds": file.modified_seconds}
        flat |= {key: value for key, value in states.items() if value is not None}
    if row.summary.error is not None:
        return flat | {"error_type": row.summary.error, "error_message": record["error"]["message"]}
    if record["predictions"]:
        best = record["predictions"][0]
        flat |= {key: best[key] for key in ("label", "index", "score")}
    return flat | {
        "labels": record["predictions"],
        "clips": record["views"]["clips"],
        "crops": record["views"]["crops"],
    }


def _clean(value: Any) -> Any:
    """Replace bytes of names that are not UTF-8, which Parquet cannot hold."""
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
