"""The video of a timeline: its labels, scores and segments drawn on its pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlvid_cli.report.timeline.colours import colours_of

if TYPE_CHECKING:
    from nlvid_cli.recognize.timeline import Timeline
    from nlvid_cli.video.annotate import Annotations, Mark
    from nlvid_cli.video.fonts import Font
    from nlvid_cli.video.segment import Segment

Watch = Callable[[float, float], None]
"""Gets the seconds of a video that are written, and those that will be."""


def write_annotated(
    timeline: Timeline,
    source: Segment,
    target: Path,
    font: Path | None = None,
    warn: Callable[[str], None] = lambda text: None,
    watch: Watch = lambda done_seconds, all_seconds: None,
) -> None:
    """Write the video of a timeline, or its part, with what happens drawn on it.

    Args:
        timeline: What happens.
        source: The video, and the part of it that the timeline is of.
        target: File to write: ``.mp4``, ``.webm``, ``.gif`` or ``.webp``.
        font: Font of the labels; None: Pillow's, or a common one of this machine that has more of their letters.
        warn: Gets what cannot be shown as it is meant, in sentences.
        watch: Gets how far the work is; what it raises ends the work, and no file is left.

    Raises:
        UsageError: The font cannot be used, the target is the source or has another suffix, or the part is too long.
        VideoError: The source cannot be used.
        OutputError: The file cannot be written.
    """
    from nlvid_cli.video.encode import write_video
    from nlvid_cli.video.fonts import Font, font_for, plain_line
    from nlvid_cli.video.probe import probe_segment

    texts = [plain_line(label) for label in _labels_of(timeline)]
    letters = font_for(texts) if font is None else Font(font)
    info = probe_segment(source)
    annotations = annotations_of(timeline, info.facts.duration_seconds, letters)
    _check_letters(texts, letters, warn)
    write_video(info, source.stretch, target, annotations, letters, warn, watch)


def annotations_of(timeline: Timeline, duration_seconds: float, font: Font) -> Annotations:
    """Return what is drawn: lines that the font has, times, colours; the track shows the part that was asked for."""
    from nlvid_cli.video.annotate import Annotations, Mark, Moment, Span
    from nlvid_cli.video.fonts import plain_line

    colours = colours_of(timeline)
    lines = {label: font.nearest(plain_line(label)) for label in _labels_of(timeline)}

    def mark(label: str, index: int, score: float) -> Mark:
        return Mark(lines[label], score, colours[index])

    spans = tuple(
        Span(part.start_seconds, part.end_seconds, mark(part.label, part.index, part.score))
        for part in timeline.segments
    )
    moments = tuple(
        Moment(
            (window.start_seconds + window.end_seconds) / 2,
            tuple(mark(best.label, best.index, best.score) for best in window.predictions),
        )
        for window in timeline.windows
    )
    part = timeline.prediction.stretch
    start = 0.0 if part is None else part.start_seconds or 0.0
    end = duration_seconds if part is None else min(duration_seconds, part.end_seconds or duration_seconds)
    return Annotations(spans, moments, start, end)


def _labels_of(timeline: Timeline) -> list[str]:
    """Return all labels that are drawn, each once."""
    best = [best.label for window in timeline.windows for best in window.predictions]
    return list(dict.fromkeys([part.label for part in timeline.segments] + best))


def _check_letters(texts: Sequence[str], font: Font, warn: Callable[[str], None]) -> None:
    """Warn of the first label with a letter that the font has not, or that this machine cannot lay out."""
    from nlvid_cli.video.fonts import needs_shaping

    advice = "name a font that has all letters with --font"
    lacking = {text: letters for text in texts if (letters := font.missing(font.nearest(text)))}
    if lacking:
        text, letters = next(iter(lacking.items()))
        more = f", and letters of {len(lacking) - 1} more labels" if len(lacking) > 1 else ""
        warn(f"the font has no {letters[0]!r} for the label {text!r}{more}: a box stands for it; {advice}")
    if plain := next((text for text in texts if font.nearest(text) != text), None):
        warn(f"the font has no accents for the label {plain!r}: it is drawn as {font.nearest(plain)!r}; {advice}")
    if joined := next((text for text in texts if needs_shaping(text)), None):
        warn(f"the label {joined!r} is drawn letter by letter from left to right, because FriBiDi is not installed")
