from __future__ import annotations

import io
from dataclasses import replace

from nlvid_cli.report.table import TableRenderer
from tests.report.samples import FAILURE, PREDICTION


def _text(timeline: bool = False, **changes: object) -> str:
    stream = io.StringIO()
    renderer = TableRenderer(stream, timeline)
    renderer.add(replace(PREDICTION, **changes), 12.34)  # type: ignore[arg-type]
    renderer.add(FAILURE, 1.0)
    renderer.close()
    return stream.getvalue()


def test_what_the_user_reads() -> None:
    text = _text()
    assert "clips/[a] b.mp4" in text  # brackets are no markup
    assert "arm wrestling" in text
    assert "0.998" in text
    assert (
        "i3d-inception-64x1.deepmind-k400, 2 clips of 64 frames, step 1 at 25 frames/s; torch bf16 on cpu; 12.3 s"
        in text
    )
    assert "warning: 3 frames are damaged" in text
    assert "timeline" not in text
    assert "unsure" not in text
    assert "music.mp3" not in text  # failures are told on stderr
    assert "\x1b[" not in text  # no colours in a file


def test_timeline_with_times() -> None:
    text = _text(timeline=True)
    assert "0:07.50" in text
    assert "1:01:11.25" in text
    assert "massaging [back]" in text


def test_unsure_is_said() -> None:
    assert "unsure: no label reaches the minimum score" in _text(unsure=True)


def test_names_that_no_terminal_can_show() -> None:
    assert "caf\\udce9.mp4\n" in _text(video=b"caf\xe9.mp4".decode("utf-8", "surrogateescape"))
    assert "a\\x1b[31mb\\n.mp4\n" in _text(video="a\x1b[31mb\n.mp4")
    assert "видео 1.mp4\n" in _text(video="видео 1.mp4")


def test_several_labels_may_be_true_and_none_may_reach_the_threshold() -> None:
    assert "multi-label" not in _text()
    assert "k400 (multi-label: any number of labels may be true), 2 clips" in _text(label_kind="multi")
    clips = (replace(PREDICTION.clips[0], predictions=()), PREDICTION.clips[1])
    text = _text(timeline=True, predictions=(), clips=clips)
    assert "no label reaches the threshold" in text
    assert "0:02.50" in text
