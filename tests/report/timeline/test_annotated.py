"""Timelines on the pictures of their videos."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlvid_cli.report.timeline.annotated import annotations_of, write_annotated
from nlvid_cli.report.timeline.colours import colours_of
from nlvid_cli.video import fonts
from nlvid_cli.video.fonts import Font
from nlvid_cli.video.probe import probe
from nlvid_cli.video.segment import Segment
from tests.clips import make_clip
from tests.report.timeline.samples import made_timeline, overlapping


def test_labels_have_the_colours_of_the_page() -> None:
    timeline = overlapping()
    drawn = annotations_of(timeline, 60.0, Font())
    assert [span.mark.colour for span in drawn.spans] == [
        colours_of(timeline)[part.index] for part in timeline.segments
    ]
    assert len(drawn.moments) == len(timeline.windows)


def test_a_video_is_written_with_all_its_frames(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", frames=12)
    write_annotated(overlapping(), Segment(source), tmp_path / "out.mp4")
    assert len(probe(tmp_path / "out.mp4").times_seconds) == 12


def test_what_is_said_of_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_clip(tmp_path / "clip.mp4", frames=3)
    timeline = made_timeline(labels=("caf\u00e9", "\u8155\u76f8\u64b2", "run", "jump"))
    monkeypatch.setattr(fonts, "COMMON", ())
    said: list[str] = []
    write_annotated(timeline, Segment(source), tmp_path / "out.mp4", None, said.append)
    assert len(said) == 2
    assert "'\u8155'" in said[0]
    assert "'cafe'" in said[1]
    assert all("--font" in text for text in said)
