"""``nlvid train --check``: what was understood of a data set, and what is wrong with its videos."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from nlvid_cli.commands.logs import log
from nlvid_cli.errors import DataSetError, NlvidError

if TYPE_CHECKING:
    from nlvid_cli.datasets.check import DataReport
    from nlvid_cli.datasets.labelled import DataSet
    from nlvid_cli.datasets.split import Split
    from nlvid_cli.training.plan import Machine, SplitChoice


def check_only(read: Callable[[], DataSet], choice: SplitChoice, machine: Machine, as_json: bool) -> int:
    """Check a data set and report; return the exit status.

    Args:
        read: Reads the data set.
        choice: How to split it.
        machine: Number of processes that decode, and their limits.
        as_json: Whether to print what was understood as JSON, and an error, too.

    Raises:
        NlvidError: The data set cannot be understood, and ``as_json`` is not set.
    """
    from nlvid_cli.report.data_check_json import data_check_json
    from nlvid_cli.report.stdout import print_json

    try:
        data = read()
        splits = _splits(data, choice)
    except NlvidError as error:
        if not as_json:
            raise
        print_json({"error": {"type": type(error).__name__, "message": str(error)}})
        return error.exit_status
    report = check_splits(splits, choice.group_by, machine)
    if as_json:
        print_json(data_check_json(data, report))
    return 1 if report.unreadable else 0


def _splits(data: DataSet, choice: SplitChoice) -> list[Split]:
    """Split the data; one part alone, such as the training list of Kinetics, is checked without a split if it must."""
    from nlvid_cli.training.plan import choose_splits

    try:
        return choose_splits(data, choice)
    except DataSetError as error:
        shown = {label for video in data.videos for label in video.labels}
        if len({video.split for video in data.videos}) > 1 or data.videos[0].split is None or len(shown) < 2:
            raise
        log.warning("%s", error)
        return choose_splits(data, replace(choice, val_fraction=0.0))


def check_splits(splits: list[Split], group_by: str | None, machine: Machine) -> DataReport:
    """Check the videos of one split, or of those of a cross-validation, and report on stderr."""
    from nlvid_cli.commands.progress import counting_bar
    from nlvid_cli.datasets.check import check_data
    from nlvid_cli.recognize.pipeline.readers import Readers
    from nlvid_cli.report.console import PlainConsole
    from nlvid_cli.report.data_check import data_check
    from nlvid_cli.training.model import SCRATCH

    split = splits[0]
    whole = replace(split.train, videos=split.train.videos + split.val.videos)
    readers = Readers(SCRATCH.card, machine.reader_count, machine.limits)
    with readers, counting_bar("checking videos", len(whole.videos)) as bar:
        report = check_data(
            split if len(splits) == 1 and split.val.videos else whole,
            group_pattern=group_by,
            progress=lambda done, _: bar.update(bar.task_ids[0], completed=done),
            readers=readers,
        )
    PlainConsole(sys.stderr).print(data_check(report))
    return report
