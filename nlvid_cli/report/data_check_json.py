"""What was understood of a data set, and what is wrong with its videos, for programs."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from nlvid_cli.datasets.check import DataReport, Duplicate, Finding
from nlvid_cli.datasets.labelled import DataSet

_PLACE = re.compile(r"(.+), (?:line|entry) (\d+)")


def data_check_json(data: DataSet, report: DataReport) -> dict[str, Any]:
    """Return the result of a check, with the keys that ``docs/data.md`` describes."""
    counts = [len(set(video.labels)) for video in data.videos]
    return {
        "format": data.source,
        "videos": len(data.videos),
        "classes": list(data.classes),
        "multi_label": data.kind == "multi",
        "labels_per_video": {"min": min(counts, default=0), "max": max(counts, default=0)},
        "stretches": sum(video.stretch is not None for video in data.videos),
        "splits": dict(Counter(video.split for video in data.videos if video.split is not None)),
        "passed_over": data.passed_over,
        "notes": list(data.notes),
        "problems": [
            *(_problem(finding) for finding in (*report.unreadable, *report.too_short, *report.odd)),
            *(_duplicate(same) for same in report.duplicates),
        ],
        "suspicions": list(report.suspicions),
    }


def _problem(finding: Finding) -> dict[str, Any]:
    """Name the table and the line of a video, or its file where a folder is its label."""
    place = _PLACE.fullmatch(finding.where)
    if place is None:
        return {"file": finding.path, "line": None, "message": finding.message}
    return {"file": place[1], "line": int(place[2]), "message": f"{finding.path}: {finding.message}"}


def _duplicate(same: Duplicate) -> dict[str, Any]:
    (first, _), (path, where), *_ = same.paths
    remarks = [
        *(["in training and validation"] if same.across_split else []),
        *(["with different labels"] if same.different_labels else []),
    ]
    return _problem(Finding(where, path, ", ".join((f"the same content as {first}", *remarks))))
