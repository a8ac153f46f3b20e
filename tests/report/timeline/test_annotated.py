"""Timelines on the pictures of their videos."""

from __future__ import annotations

from pathlib import Path

from nlvid_cli.report.timeline.annotated import annotations_of, write_annotated
from nlvid_cli.report.timeline.colours import label_colour
from nlvid_cli.video.probe import probe
from nlvid_cli.video.segment import Segment
from tests.clips import make_clip
from tests.report.timeline.samples import overlapping


def test_labels_have_the_colours_of_the_page() -> None:
    timeline = overlapping()
    drawn = annotations_of(timeline, 60.0)
    assert [span.mark.colour for span in drawn.spans] == [label_colour(part.index) for part in timeline.segments]
    assert len(drawn.moments) == len(timeline.windows)


def test_a_video_is_written_with_all_its_frames(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", frames=12)
    write_annotated(overlapping(), Segment(source), tmp_path / "out.mp4")
    assert len(probe(tmp_path / "out.mp4").times_seconds) == 12
