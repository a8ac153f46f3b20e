"""Find out how a data set is written down, and read it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from nlvid_cli.datasets import charades, folders, kinetics, tables
from nlvid_cli.datasets.entries import Entries, build_data_set
from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.datasets.look import Folder, Place, Wanted, look
from nlvid_cli.errors import DataSetError

DATA_FORMATS: dict[str, tuple[Callable[[Place], bool], Callable[[Place, Wanted], Entries]]] = {
    "charades": (charades.is_charades, charades.read_charades),
    "kinetics": (kinetics.is_kinetics, kinetics.read_kinetics),
    "table": (tables.is_table, tables.read_one_table),
    "videofolder": (tables.has_metadata, tables.read_metadata),
    "split-tables": (tables.has_split_tables, tables.read_split_tables),
    "single-table": (tables.has_single_table, tables.read_single_table),
    "split-folders": (folders.has_split_folders, folders.read_split_folders),
    "class-folders": (folders.has_class_folders, folders.read_class_folders),
}
"""By name: whether a folder or a table is written so, and how to read it. The first that matches counts."""


def read_data_set(
    path: Path, classes: Sequence[str] | None = None, root: Path | None = None, skip_missing: bool = False
) -> DataSet:
    """Read labelled videos from a folder or a table, whatever its format (see ``docs/data.md``).

    Args:
        path: folder of folders, folder with tables, or a table.
        classes: the known labels in their order, as those of a model; None: the classes are those of the data set.
        root: folder that relative paths in a table are relative to; None: the table's own, then the working directory.
        skip_missing: leave out videos of a table that are not there, with a warning, as long as there are others.

    Raises:
        DataSetError: nothing there is a data set, or something is wrong in it; says in which file and line.
        UnknownName: a label is none of `classes`.
    """
    place = look(path)
    for matches, read in DATA_FORMATS.values():
        if matches(place):
            return build_data_set(read(place, Wanted(root, skip_missing)), classes)
    assert isinstance(place, Folder)
    raise DataSetError(_what_is_missing(place))


def _what_is_missing(place: Folder) -> str:
    if place.videos:
        return (
            f"{place.path}: {len(place.videos)} videos, but nothing says what they show; put them into a folder for "
            "each class, or write a table such as labels.csv with the columns path and label"
        )
    if any(suffix in place.others for suffix in (".jpg", ".jpeg", ".png")):
        return f"{place.path}: no video in this folder, but pictures; nlvid reads videos, not folders of their frames"
    return f"{place.path}: no video in this folder"
