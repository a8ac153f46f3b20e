"""Forms in which people write labelled videos down: one file per family, one line in :data:`DATA_FORMATS`."""

from __future__ import annotations

from collections.abc import Callable

import nlvid_cli.datasets.formats.charades as charades
import nlvid_cli.datasets.formats.folders as folders
import nlvid_cli.datasets.formats.hmdb as hmdb
import nlvid_cli.datasets.formats.kinetics as kinetics
import nlvid_cli.datasets.formats.table_folders as table_folders
import nlvid_cli.datasets.formats.tables as tables
from nlvid_cli.datasets.entries import Entries
from nlvid_cli.datasets.folder import FolderOrTable
from nlvid_cli.datasets.formats.locate import PathRules

DATA_FORMATS: dict[str, tuple[Callable[[FolderOrTable], bool], Callable[[FolderOrTable, PathRules], Entries]]] = {
    "charades": (charades.is_charades, charades.read_charades),
    "kinetics": (kinetics.is_kinetics, kinetics.read_kinetics),
    "hmdb51": (hmdb.is_hmdb, hmdb.read_hmdb),
    "table": (tables.is_table, tables.read_one_table),
    "videofolder": (table_folders.has_metadata, table_folders.read_metadata),
    "split-tables": (table_folders.has_split_tables, table_folders.read_split_tables),
    "single-table": (table_folders.has_single_table, table_folders.read_single_table),
    "tables-in-splits": (table_folders.has_tables_in_splits, table_folders.read_tables_in_splits),
    "split-folders": (folders.has_split_folders, folders.read_split_folders),
    "class-folders": (folders.has_class_folders, folders.read_class_folders),
}
"""By name: whether a folder or a table has this form, and how to read it. The first form that matches counts."""
