from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path

import pytest

from nlvid_cli.errors import OutputError
from nlvid_cli.recognize.timeline import Timeline
from nlvid_cli.report.timeline.curves import WIDTH
from nlvid_cli.report.timeline.page import write_timeline_page
from tests.report.pages import Page
from tests.report.timeline.samples import long_timeline, made_timeline, overlapping

HOSTILE = ("</script><img src=x onerror=alert(1)>", '"><b onclick="x">', "می‌دود\x1b\udce9", "{{ 7 * 7 }}")


def _page(timeline: Timeline, folder: Path, video: Path | None = None) -> Page:
    write_timeline_page(timeline, folder / "page.html", video)
    return Page(folder / "page.html")


def _attributes(page: Page, wanted: str) -> list[dict[str, str | None]]:
    return [attributes for tag, attributes in page.tags if tag == wanted]


def test_a_track_a_list_and_labels(tmp_path: Path) -> None:
    page = _page(made_timeline(), tmp_path)
    bars = _attributes(page, "rect")
    assert [float(str(bar["x"])) / WIDTH for bar in bars] == pytest.approx([0.0999, 0.3497, 0.7992], abs=1e-4)
    rows = [button for button in _attributes(page, "button") if button.get("data-start")]
    assert [(row["data-start"], row["data-end"]) for row in rows] == [
        ("1.0", "3.5"),
        ("3.5", "6.0004"),
        ("8.0", "10.01"),
    ]
    assert "0:03.50" in page.text
    assert "walk <b>&" in page.text
    assert "3 segments" in page.text
    assert "warning: 3 frames are damaged" in page.text
    assert len(_attributes(page, "polyline")) == 3


def test_nothing_is_fetched_and_only_the_pages_own_script_runs(tmp_path: Path) -> None:
    spans = tuple((2.0 * number, 2.0 * number + 1.5, number) for number in range(4))
    timeline = made_timeline(spans, labels=HOSTILE, video="x<script>y</script>.mp4")
    page = _page(timeline, tmp_path, tmp_path / "a.mp4")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]", re.sub(r"(?m)^// .*$| // .*$", "", text))
    policy = next(str(meta["content"]) for meta in _attributes(page, "meta") if meta.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert [tag for tag, _ in page.tags if tag in ("script", "img", "b", "link", "iframe")] == ["script"]
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.tags for name in attributes)
    assert HOSTILE[0] in page.text
    assert HOSTILE[3] in page.text
    assert "می‌دود\ufffd\ufffd" in page.text


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a b.mp4", "../a%20b.mp4"),
        ("100%25 #1?.mp4", "../100%2525%20%231%3F.mp4"),
        ('it\'s "q" <b>&.mp4', "../it%27s%20%22q%22%20%3Cb%3E%26.mp4"),
        ("видео.mp4", "../%D0%B2%D0%B8%D0%B4%D0%B5%D0%BE.mp4"),
        ("javascript:alert(1).mp4", "../javascript%3Aalert%281%29.mp4"),
        (os.fsdecode(b"caf\xe9.mp4"), "../caf%E9.mp4"),
    ],
)
def test_the_video_is_named_relative_to_the_page(name: str, source: str, tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (video,) = _attributes(_page(made_timeline(), tmp_path / "pages", tmp_path / name), "video")
    assert video["src"] == source
    (beside,) = _attributes(_page(made_timeline(), tmp_path, tmp_path / "a:b.mp4"), "video")
    assert beside["src"] == "a%3Ab.mp4"


def test_without_a_video_to_play(tmp_path: Path) -> None:
    page = _page(made_timeline(video="s3://bucket/it's.mp4"), tmp_path)
    (video,) = _attributes(page, "video")
    assert "src" not in video
    assert """nlvid timeline 's3://bucket/it'"'"'s.mp4' --video out.mp4""" in page.text


def test_labels_that_overlap_lie_in_lanes(tmp_path: Path) -> None:
    assert [bar["y"] for bar in _attributes(_page(overlapping(), tmp_path), "rect")] == ["0", "1"]


def test_no_segment_says_why_and_still_shows_the_scores(tmp_path: Path) -> None:
    page = _page(made_timeline(()), tmp_path)
    assert "no segment" in page.text
    assert "lower --begin" in page.text
    assert _attributes(page, "polyline")


def test_the_page_of_an_hour_stays_small(tmp_path: Path) -> None:
    timeline = long_timeline()
    timeline.scores[1234, 7] = 0.97  # a peak of one window
    page = _page(timeline, tmp_path)
    assert (tmp_path / "page.html").stat().st_size < 400_000 + 400 * 200
    curve = next(line for line in _attributes(page, "polyline") if line["data-label"] == "7")
    heights = [int(point.split(",")[1]) for point in str(curve["points"]).split()]
    assert len(heights) <= WIDTH + 1
    assert min(heights) == 3


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="write"):
        write_timeline_page(made_timeline(), tmp_path / "missing" / "page.html", None)
