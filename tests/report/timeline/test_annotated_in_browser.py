"""Videos with labels drawn on them, played by a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nlvid_cli.report.timeline.annotated import write_annotated
from nlvid_cli.video.segment import Segment
from tests.browser import open_browser
from tests.clips import make_clip
from tests.report.timeline.samples import made_timeline

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as made:
        yield made


def _shown(browser: Any, folder: Path, element: str) -> Any:
    (folder / "page.html").write_text(element, encoding="utf-8")
    page = browser.new_page()
    page.goto((folder / "page.html").as_uri())
    return page


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
@pytest.mark.parametrize("sound", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_a_video_plays(suffix: str, sound: bool, pix_fmt: str, browser: Any, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mkv", frames=100, size=(322, 242), audio=sound, pix_fmt=pix_fmt)
    write_annotated(made_timeline(), Segment(source), tmp_path / f"out.{suffix}")
    page = _shown(browser, tmp_path, f'<video muted src="out.{suffix}"></video>')
    page.wait_for_function("document.querySelector('video').readyState >= 2", timeout=10_000)
    page.evaluate("document.querySelector('video').play()")
    page.wait_for_function("document.querySelector('video').currentTime > 0.3", timeout=10_000)
    values = page.evaluate(
        "(video => [video.videoWidth, video.videoHeight, video.duration])(document.querySelector('video'))"
    )
    assert values[:2] == [322, 242]
    assert values[2] == pytest.approx(4.0, abs=0.15)  # the sound of the clip is a little longer
    page.close()


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_a_picture_is_shown(suffix: str, browser: Any, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", frames=30, size=(322, 242))
    write_annotated(made_timeline(), Segment(source), tmp_path / f"out.{suffix}")
    page = _shown(browser, tmp_path, f'<img src="out.{suffix}">')
    page.evaluate("document.querySelector('img').decode()")
    assert page.evaluate("document.querySelector('img').naturalWidth") == 322
    page.close()
