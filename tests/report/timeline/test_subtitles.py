from __future__ import annotations

import io
import re
from itertools import pairwise
from pathlib import Path

import av
import pytest

from nlvid_cli.recognize.timeline import Timeline
from nlvid_cli.report.timeline.subtitles import SubtitleRenderer
from tests.report.samples import FAILURE
from tests.report.timeline.samples import made_timeline, overlapping

HOSTILE = (
    "</v><b>x --> y",
    "a\n\nb\r\x85\u2028c",
    "",
    "1\n00:00:01.000 --> 00:00:09.000\nz",
    "walk & {\\an8}",
    "\udce9",
)


def _text(timeline: Timeline, as_vtt: bool) -> str:
    stream = io.StringIO()
    renderer = SubtitleRenderer(stream, as_vtt)
    renderer.add(FAILURE, 1.0)
    renderer.add(timeline, 1.0)
    renderer.close()
    return stream.getvalue()


def _times(text: str) -> list[tuple[int, int]]:
    found = re.findall(r"^(\d+):(\d\d):(\d\d)[.,](\d{3}) --> (\d+):(\d\d):(\d\d)[.,](\d{3})$", text, re.MULTILINE)
    numbers = [[int(part) for part in line] for line in found]
    return [tuple(((h * 60 + m) * 60 + s) * 1000 + t for h, m, s, t in (n[:4], n[4:])) for n in numbers]  # type: ignore[misc]


def _read_by_ffmpeg(path: Path, text: str) -> list[tuple[float, float, str]]:
    path.write_text(text, encoding="utf-8")
    with av.open(str(path)) as container:
        cues = []
        for packet in container.demux():
            if packet.size:
                shown = [line.dialogue.decode() for line in packet.decode()]
                start = float(packet.pts * packet.time_base)
                cues.append((start, start + float(packet.duration * packet.time_base), "".join(shown)))
    return cues


def test_srt_as_players_read_it() -> None:
    assert _text(made_timeline(((3661.5, 3662.25, 3),), 3700.0), as_vtt=False) == (
        "1\n01:01:01,500 --> 01:01:02,250\njump\n\n"
    )


def test_vtt_with_escapes() -> None:
    assert _text(made_timeline(((1.0, 2.5, 1),)), as_vtt=True) == (
        "WEBVTT\n\n1\n00:00:01.000 --> 00:00:02.500\nwalk &lt;b&gt;&amp;\n\n"
    )


@pytest.mark.parametrize("as_vtt", [False, True])
def test_cues_are_the_segments_to_a_millisecond_and_within_the_video(as_vtt: bool) -> None:
    timeline = made_timeline(((0.0004, 3.4996, 0), (3.4996, 6.00051, 1), (6.00051, 10.0107, 2)), 10.0107)
    times = _times(_text(timeline, as_vtt))
    for (start, end), segment in zip(times, timeline.segments, strict=True):
        assert start / 1000 == pytest.approx(segment.start_seconds, abs=1e-3)
        assert end / 1000 == pytest.approx(segment.end_seconds, abs=1e-3)
    assert times == sorted(times)
    assert all(end <= following for (_, end), (following, _) in pairwise(times))
    assert times[-1][1] <= 10010


def test_labels_that_are_on_together() -> None:
    assert _times(_text(overlapping(), as_vtt=True)) == [(1000, 5000), (4000, 8000)]
    srt = _text(overlapping(), as_vtt=False)
    assert _times(srt) == [(1000, 4000), (4000, 5000), (5000, 8000)]  # players do not agree on overlapping cues
    assert "run\nwalk \u2039b\u203a&\n" in srt


def test_a_video_without_segments() -> None:
    assert _text(made_timeline(()), as_vtt=True) == "WEBVTT\n\n"
    assert _text(made_timeline(()), as_vtt=False) == ""


@pytest.mark.parametrize("as_vtt", [False, True])
def test_ffmpeg_reads_as_many_cues_as_there_are_segments(as_vtt: bool, tmp_path: Path) -> None:
    spans = tuple((float(number), number + 1.0, number) for number in range(len(HOSTILE)))
    text = _text(made_timeline(spans, labels=HOSTILE), as_vtt)
    cues = _read_by_ffmpeg(tmp_path / ("a.vtt" if as_vtt else "a.srt"), text)
    assert [(start, end) for start, end, _ in cues] == [(start, end) for start, end, _ in spans]
    assert "x --" in cues[0][2]
    assert "a b c" in cues[1][2]
    assert "walk &" in cues[4][2]
    if as_vtt:
        assert "</v><b>x --> y" in cues[0][2]


def test_letters_of_any_script() -> None:
    labels = ("плавание", "游泳", "می‌دود", "🏊‍♀️")
    spans = tuple((float(number), number + 1.0, number) for number in range(4))
    for as_vtt in (False, True):
        text = _text(made_timeline(spans, labels=labels), as_vtt)
        assert all(label in text for label in labels)
