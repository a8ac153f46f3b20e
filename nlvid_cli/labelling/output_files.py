"""The files of a labelling run: the rows, and the table made from them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nlvid_cli.errors import UsageError
from nlvid_cli.inputs.parquet import import_parquet
from nlvid_cli.labelling import tables
from nlvid_cli.labelling.shards import Shard
from nlvid_cli.system.atomic import behind_links
from nlvid_cli.system.overwrite import refuse_inputs


@dataclass(frozen=True)
class OutputFiles:
    """Where the results of a run go.

    Attributes:
        rows: JSON Lines file that the run appends to.
        table: Format (a key of ``TABLES``) and path of the table made from the rows at the end; None for no table.
    """

    rows: Path
    table: tuple[str, Path] | None

    @classmethod
    def of_options(cls, output: Path, format_name: str | None, shard: Shard | None) -> OutputFiles:
        """Derive the files from ``--output``, ``--format`` and ``--shard``.

        ``labels.csv`` is made from ``labels.jsonl`` beside it.

        Raises:
            UsageError: The options contradict each other, or the path is not a regular file.
        """
        if output == Path("-"):
            raise UsageError("--output must be a file, not -; to print rows, use `nlvid classify -f jsonl`")
        suffix = output.suffix.lower()[1:]
        wanted = format_name or suffix
        if suffix in tables.TABLES and wanted != suffix:
            raise UsageError(f"--format {wanted} contradicts {output}; leave out --format or change --output")
        rows = output.with_suffix(".jsonl") if suffix in tables.TABLES else output
        rows = rows if shard is None else shard.output(rows)
        if wanted == "parquet":
            import_parquet()  # fail now rather than after hours of labelling
        table = (wanted, _regular_file(rows.with_suffix(f".{wanted}"))) if wanted in tables.TABLES else None
        return cls(_regular_file(rows), table)

    def refuse_inputs(self, inputs: Iterable[str]) -> None:
        """Refuse to write over an input.

        Args:
            inputs: Names as the user gave them, and paths.

        Raises:
            UsageError: One of them is the file of rows or the table.
        """
        refuse_inputs([self.rows, None if self.table is None else self.table[1]], inputs)

    def make_table(self) -> None:
        """Bring the table up to date with the rows."""
        if self.table is not None:
            tables.make_table(self.rows, *self.table)


def _regular_file(path: Path) -> Path:
    """Follow a link, so that the file behind it is written and the link stays."""
    if os.path.exists(path) and not os.path.isfile(path):
        what = "a folder" if path.is_dir() else "not a regular file"
        raise UsageError(f"{path}: is {what}; --output must be a file, for example labels.jsonl")
    return behind_links(path)
