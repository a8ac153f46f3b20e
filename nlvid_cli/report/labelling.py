"""A labelling run in words: its estimate before, its state while it lasts, its summary at the end."""

from __future__ import annotations

from nlvid_cli.labelling.job import Estimate
from nlvid_cli.labelling.run import Tally


def estimate_lines(estimate: Estimate) -> list[str]:
    """Return what a run would do: videos, model, views and time."""
    recognizer, tried = estimate.recognizer, estimate.tried
    backend, views = recognizer.backend, recognizer.views
    lines = [
        f"videos   {estimate.todo} of {estimate.videos}, into {estimate.rows}",
        f"model    {recognizer.card.name}, {backend.name} {backend.precision} on {backend.device}",
        f"views    {views.clips} clips x {views.crops} crops of {views.frames} frames, step {views.step}",
    ]
    if not tried.total:
        return lines
    share = estimate.todo / tried.total
    failed = f", {tried.failed} of which failed" if tried.failed else ""
    return [
        *lines,
        f"hours    about {tried.video_seconds * share / 3600:.3g} of video",
        f"time     about {duration(estimate.seconds * share)}, judging by {tried.total} of them{failed}",
    ]


def state(tally: Tally) -> str:
    """Return failures, speed and time left, for example ``1 failed, 2.5 videos/s, 12 min left``."""
    finished = tally.done + tally.failed
    if not finished:
        return f"{tally.failed} failed"
    rate = finished / tally.seconds
    return f"{tally.failed} failed, {rate:.3g} videos/s, {duration((tally.total - finished) / rate)} left"


def summary_lines(tally: Tally, workers: int, devices: int) -> list[str]:
    """Return the end of a run in a few lines.

    Args:
        tally: Tally of the run.
        workers: Number of processes that decoded.
        devices: Number of devices with the model.
    """
    seconds = max(tally.seconds, 1e-9)
    finished = tally.done + tally.failed
    lines = [
        f"{tally.done} of {tally.total} videos labelled, {tally.failed} failed, in {duration(seconds)}: "
        f"{finished / seconds:.3g} videos/s, {tally.video_seconds / seconds:.3g} hours of video per hour"
    ]
    if tally.failures:
        lines.append("failed: " + ", ".join(f"{count} {name}" for name, count in tally.failures.most_common()))
    busy = tally.stages.seconds
    if busy["decode"]:
        shares = {
            f"decode {workers} x": busy["decode"] / workers,
            "prepare": busy["prepare"],
            f"network {devices} x": busy["network"] / devices,
            "write": busy["write"],
        }
        lines.append("busy: " + ", ".join(f"{name} {100 * share / seconds:.0f} %" for name, share in shares.items()))
    left = tally.total - finished
    if left:
        lines.append(f"{left} videos are left; run the same command again to continue")
    return lines


def duration(seconds: float) -> str:
    """Return a duration in words: ``45 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
