"""Recognise the form of a data set, and read it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nlvid_cli.datasets.entries import build_data_set
from nlvid_cli.datasets.folder import Folder, open_folder_or_table
from nlvid_cli.datasets.formats import DATA_FORMATS
from nlvid_cli.datasets.formats.locate import PathRules
from nlvid_cli.datasets.formats.table_folders import tables_in, why_unfit
from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.errors import DataSetError
from nlvid_cli.inputs.passed_over import FRAMES_ADVICE

log = logging.getLogger(__name__)


def read_data_set(
    path: Path, classes: Sequence[str] | None = None, root: Path | None = None, skip_missing: bool = False
) -> DataSet:
    """Read labelled videos from a folder or a table, in any form of ``docs/data.md``.

    Args:
        path: Folder of folders, folder with tables, or a table.
        classes: Class names in their order, such as those of a model; None to take those of the data set.
        root: Folder that paths in tables are relative to; None for the folder of the table, then the working directory.
        skip_missing: Whether to leave out missing videos of a table, with a warning, as long as others are there.

    Raises:
        DataSetError: The path is not a data set, or something in it is wrong; names the file and the line.
        UnknownName: A label is not among ``classes``.
    """
    place = open_folder_or_table(path)
    for name, (matches, read) in DATA_FORMATS.items():
        if matches(place):
            found = read(place, PathRules(root, skip_missing))
            if isinstance(place, Folder) and name in ("class-folders", "split-folders"):
                found = replace(found, notes=(*found.notes, *_unused_tables(place)))
            data = build_data_set(found, classes)
            for note in data.notes:
                log.warning("%s", note)
            return data
    assert isinstance(place, Folder)
    raise DataSetError(_what_is_missing(place))


def _unused_tables(place: Folder) -> Iterator[str]:
    """Yield a note for each table in a folder of classes, which does not name its videos or their labels."""
    for path in tables_in(place):
        yield f"{why_unfit(path, place)}; the folders are taken as classes"


def _what_is_missing(place: Folder) -> str:
    if place.videos:
        return (
            f"{place.path}: {len(place.videos)} videos without labels; put them into a folder for "
            "each class, or write a table such as labels.csv with the columns path and label"
        )
    found = f", {place.others}" if place.others else ""
    advice = f"; {FRAMES_ADVICE}" if place.others.are_frames else ""
    return f"{place.path}: no video in this folder{found}{advice}"
