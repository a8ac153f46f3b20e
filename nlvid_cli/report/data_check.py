"""The result of a check of a data set, in words; a few lines if nothing is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType

from nlvid_cli.datasets.check import DataReport, Duplicate, Finding
from nlvid_cli.datasets.suspicions import ClassCount
from nlvid_cli.report.console import styled
from nlvid_cli.report.table import plain_table

MAX_LISTED = 20
"""Number of findings of a kind to list; the rest are counted."""


def data_check(report: DataReport) -> RenderableType:
    """Return counts, problems of single videos, and what is suspicious about the whole set."""
    parts: list[RenderableType] = [_summary(report)]
    if not report.is_well or len(report.classes) <= MAX_LISTED:
        parts.append(_class_table(report))
    parts += _findings("cannot be used", report.unreadable, "red")
    parts += _findings("too short", report.too_short, "yellow")
    parts += _findings("odd", report.odd, "yellow")
    parts += _duplicates(report.duplicates)
    parts += [styled(f"suspicious: {text}", "yellow") for text in report.suspicions]
    if report.is_well:
        parts.append(styled("all is well", "green"))
    return Group(*parts)


def _summary(report: DataReport) -> str:
    shortest, median, longest = report.frames
    minutes = f"{report.seconds / 60:.1f} min" if report.seconds >= 60 else f"{report.seconds:.1f} s"
    kind = " (multi-label)" if report.kind == "multi" else ""
    split = f", split {report.split}" if report.split else ""
    return (
        f"{report.videos} videos of {len(report.classes)} classes{kind}, {report.source}{split}; {minutes}, "
        f"{shortest} to {longest} frames (median {median})"
    )


def _class_table(report: DataReport) -> RenderableType:
    table = plain_table("class", *(("train", "val") if report.split else ("videos",)))
    for column in table.columns[1:]:
        column.justify = "right"
    for count in sorted(report.classes, key=_size)[:MAX_LISTED]:
        counts = (count.train, count.val) if report.split else (count.train,)
        table.add_row(count.name, *map(str, counts))
    if len(report.classes) > MAX_LISTED:
        return Group(table, styled(f"... and {len(report.classes) - MAX_LISTED} classes with more videos", "dim"))
    return table


def _size(count: ClassCount) -> int:
    return count.train


def _findings(what: str, findings: Sequence[Finding], style: str) -> Iterator[RenderableType]:
    return _listed(what, [f"{one.where}: {one.path}: {one.message}" for one in findings], style)


def _duplicates(duplicates: Sequence[Duplicate]) -> Iterator[RenderableType]:
    worst_first = sorted(duplicates, key=lambda one: not (one.across_split or one.different_labels))
    return _listed("same content", [_duplicate(one) for one in worst_first], "yellow")


def _duplicate(same: Duplicate) -> str:
    remarks = (["in training and validation"] if same.across_split else []) + (
        ["with different labels"] if same.different_labels else []
    )
    files = " = ".join(f"{path} ({where})" for path, where in same.paths)
    return f"{files}{': ' if remarks else ''}{', '.join(remarks)}"


def _listed(what: str, lines: Sequence[str], style: str) -> Iterator[RenderableType]:
    """Return a heading with the number of lines, the first lines, and the number of the rest."""
    if lines:
        yield styled(f"{what}: {len(lines)}", style)
    for line in lines[:MAX_LISTED]:
        yield styled(f"  {line}")
    if len(lines) > MAX_LISTED:
        yield styled(f"  ... and {len(lines) - MAX_LISTED} more")
