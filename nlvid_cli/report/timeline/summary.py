"""What several outputs say of a timeline: the part that it covers, its rule, and why it is empty."""

from __future__ import annotations

from nlvid_cli.recognize.timeline import Timeline
from nlvid_cli.report.table import clock_time


def covered(timeline: Timeline) -> tuple[float, float]:
    """Return start and end, in seconds, of what was looked at: the video, or the part that was asked for."""
    if timeline.prediction.stretch is None or not timeline.start_seconds.size:
        return 0.0, timeline.prediction.facts.duration_seconds
    return float(timeline.start_seconds[0]), float(timeline.end_seconds.max())


def how_many(timeline: Timeline) -> str:
    """Return the number of segments in words."""
    count = len(timeline.segments)
    return "no segment" if not count else "1 segment" if count == 1 else f"{count} segments"


def rule_sentence(timeline: Timeline) -> str:
    """Return how windows became segments, in one line."""
    rule = timeline.rule
    smooth = f", averaged over {rule.smooth_seconds:.3g} s" if rule.smooth_seconds else ""
    return (
        f"a window every {rule.every_seconds:.3g} s{smooth}; a segment begins at a score of {rule.begin:g}, goes on "
        f"down to {rule.keep:g}, and lasts at least {rule.shortest_seconds:.3g} s"
    )


def why_empty(timeline: Timeline) -> str:
    """Return why there is no segment, and which option changes that."""
    rule = timeline.rule
    found = [(window.predictions[0], window.start_seconds) for window in timeline.windows if window.predictions]
    if not found:
        return "no window has a label to report: see --labels"
    best, start = max(found, key=lambda pair: pair[0].score)
    at = f"{best.label} scores {best.score:.2f} at {clock_time(start)}"
    if best.score < rule.begin:
        return f"the best window: {at}; a segment begins at {rule.begin:g}: lower --begin to see such parts"
    return f"{at}, but not long enough or not with its neighbours: lower --shortest, --smooth or --begin"


def labels_in_order(timeline: Timeline) -> list[int]:
    """Return the indices of all labels that occur: those that are on longest first, then those that score highest."""
    seconds: dict[int, float] = {}
    for segment in timeline.segments:
        seconds[segment.index] = seconds.get(segment.index, 0.0) + segment.end_seconds - segment.start_seconds
    peaks: dict[int, float] = {}
    for window in timeline.windows:
        for label in window.predictions:
            peaks[label.index] = max(label.score, peaks.get(label.index, 0.0))
    others = sorted(peaks.keys() - seconds.keys(), key=lambda index: (-peaks[index], index))
    return sorted(seconds, key=lambda index: (-seconds[index], index)) + others
