"""Rows of a table of labelled videos, from whatever file, and the names that its columns have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nlvid_cli.inputs.separated import FRAME_COUNT_COLUMNS, PATH_COLUMNS, find_column
from nlvid_cli.inputs.stretch_columns import is_stretch_column

LABELS_COLUMNS = ("labels", "classes", "categories", "actions", "tags", "choices", "class_names", "label_names")
"""Header names of a column in which a cell may hold several labels."""

LABEL_COLUMNS = (
    *("label_name", "class_name", "action_name", "category_name", "label_text", "class_label", "action_label"),
    *("label", "class", "category", "action", "activity", "target", "choice", "action_class", "gloss"),
    *("ground_truth", "tag", *LABELS_COLUMNS),
    *("label_id", "class_id", "label_index", "class_index", "label_idx", "class_idx", "action_id"),
)
"""Header names of the column of labels, best first."""

SPLIT_COLUMNS = ("split", "subset", "partition", "set", "usage")
"""Header names of the column that says train, val or test."""

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names that people give to the parts of a data set."""

OTHER_COLUMNS = frozenset((
    *("", "index", "n", "no", "nr", "row", "duration", "duration_s", "duration_sec", "duration_seconds", "length"),
    *("fps", "frame_rate", *FRAME_COUNT_COLUMNS),
    *("width", "height", "resolution", "size", "filesize", "file_size", "size_bytes", "codec", "bitrate", "url"),
    *("subject", "scene", "camera", "participant", "participant_id", "person", "actor", "narration", "fold"),
    *("quality", "confidence", "score", "md5", "sha256", "date", "created_at", "updated_at", "annotator", "unnamed_0"),
))  # fmt: skip
"""Header names of columns that never hold labels."""

KNOWN_COLUMNS = frozenset((*PATH_COLUMNS, *LABEL_COLUMNS, *SPLIT_COLUMNS, "subject", "scene", "length"))

Cell = str | tuple[str, ...]
"""A text, or the texts of a JSON list."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """Cells of a row, without the blanks around them, and the line of the file where it begins."""

    line: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Rows of one file.

    Attributes:
        path: Path to the file.
        layout: How it is written, in words, such as "comma-separated".
        header: Names of the columns in small letters, with ``_`` for blanks and dashes; None if there is no header.
        rows: Rows, all with as many cells as the header has names.
        titles: Names of the columns as they are written; empty if there is no header.
        unit: What :attr:`TableRow.line` counts: "line", or "entry" of a JSON document.
        notes: What was not certain about the reading of the file, and how it was taken.
    """

    path: Path
    layout: str
    header: tuple[str, ...] | None
    rows: tuple[TableRow, ...]
    titles: tuple[str, ...] = ()
    unit: str = "line"
    notes: tuple[str, ...] = ()

    def column(self, names: Iterable[str]) -> int | None:
        """Return the index of the column with the first of these names that the header has."""
        return None if self.header is None else find_column(self.header, names)

    def where(self, row: TableRow) -> str:
        """Return the file and the line of a row, for messages."""
        return f"{self.path}, {self.unit} {row.line}"


def is_known_column(name: str) -> bool:
    """Whether a column of this name has a meaning for nlvid."""
    return name in KNOWN_COLUMNS or is_stretch_column(name)
