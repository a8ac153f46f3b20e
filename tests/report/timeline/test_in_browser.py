"""The page and the subtitles in a real browser."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from nlvid_cli.report.timeline import open_timeline_report
from nlvid_cli.report.timeline.page import write_timeline_page
from nlvid_cli.video.segment import Segment
from tests.browser import open_browser
from tests.clips import even_times, make_clip
from tests.report.timeline.samples import made_timeline, overlapping

pytestmark = pytest.mark.slow

HOSTILE = ("run", "</script><img src=x onerror=alert(1)>", "<b>", "jump")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as made:
        yield made


@contextmanager
def _opened(browser: Any, path: Path, width: int = 1200) -> Iterator[Any]:
    """The page in the browser; it must not report an error or ask for anything but files here."""
    page = browser.new_page(viewport={"width": width, "height": 800})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request", lambda request: None if request.url.startswith(("file:", "blob:")) else problems.append(request.url)
    )
    page.goto(path.as_uri())
    yield page
    assert problems == []
    page.close()


def _wait(page: Any, condition: str) -> None:
    """Wait until a condition holds. Playwright's own way needs ``eval``, which the page forbids."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"after 10 s there is still no: {condition}")


def _played(page: Any) -> float:
    return float(page.evaluate("video.currentTime"))


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("webm", "libvpx-vp9")])
def test_a_click_on_a_segment_plays_it_and_stops_at_its_end(
    suffix: str, codec: str, browser: Any, tmp_path: Path
) -> None:
    video = make_clip(tmp_path / f"it's 100% #1? ü.{suffix}", frames=250, codec=codec)
    write_timeline_page(made_timeline(((1.0, 3.5, 0), (5.0, 5.6, 1)), labels=HOSTILE), tmp_path / "page.html", video)
    with _opened(browser, tmp_path / "page.html") as page:
        _wait(page, "video.readyState >= 2")
        assert page.evaluate("video.videoWidth") == 64
        page.locator("#segments button").nth(1).click()
        _wait(page, "video.currentTime >= 5.0 && !video.seeking")
        _wait(page, "video.paused")
        assert _played(page) == pytest.approx(5.6, abs=0.25)
        page.locator("#track rect").first.click()
        _wait(page, "video.currentTime >= 1.0 && video.currentTime < 3.5 && !video.paused")
        assert page.locator("#segments button[aria-current]").count() == 1
        assert "run" in page.locator("#now").inner_text()
        page.evaluate("video.pause()")
        box = page.locator("#time").bounding_box()
        left = page.evaluate("marker.getBoundingClientRect().left + 1")
        assert (left - box["x"]) / box["width"] == pytest.approx(_played(page) / 10.01, abs=0.02)


@pytest.mark.parametrize(("suffix", "sound"), [("mp4", False), ("mp4", True), ("mkv", False)])
def test_times_count_from_the_first_frame(suffix: str, sound: bool, browser: Any, tmp_path: Path) -> None:
    times = even_times(250, start=3.0)
    video = make_clip(tmp_path / f"a.{suffix}", frames=250, times=times, b_frames=0, audio=sound)
    write_timeline_page(made_timeline(), tmp_path / "page.html", video)
    with _opened(browser, tmp_path / "page.html") as page:
        _wait(page, "video.readyState >= 2 && origin > 0")
        assert page.evaluate("origin") == pytest.approx(3.0, abs=1e-3)
        assert page.locator("#time").get_attribute("aria-valuenow") == "0.00"
        page.locator("#time").focus()
        page.keyboard.press("PageDown")
        _wait(page, "!video.seeking")
        assert _played(page) == pytest.approx(4.0, abs=1e-3)
        assert page.locator("#time").get_attribute("aria-valuenow") == "1.00"


def test_labels_choose_segments_and_curves(browser: Any, tmp_path: Path) -> None:
    video = make_clip(tmp_path / "a.mp4", frames=250)
    write_timeline_page(made_timeline(labels=HOSTILE), tmp_path / "page.html", video)
    with _opened(browser, tmp_path / "page.html", width=360) as page:
        chip = page.locator("#labels button", has_text=HOSTILE[1])
        chip.click()
        assert page.locator("#segments li:visible").all_inner_texts()[0].endswith(HOSTILE[1] + "\n0.900")
        assert page.locator("#segments li:visible").count() == 1
        assert page.locator(".curves polyline:visible").count() == 1
        assert page.locator("#count").inner_text() == "1 of 3 segments"
        chip.click()
        assert page.locator("#segments li:visible").count() == 3
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_keys_move_on_the_track_and_in_the_list(browser: Any, tmp_path: Path) -> None:
    video = make_clip(tmp_path / "a.mp4", frames=250)
    write_timeline_page(made_timeline(), tmp_path / "page.html", video)
    with _opened(browser, tmp_path / "page.html") as page:
        _wait(page, "video.readyState >= 2")
        page.locator("#time").focus()
        for key, seconds in [("ArrowRight", 1.0), ("PageDown", 3.5), ("PageDown", 8.0), ("PageUp", 3.5), ("Home", 0.0)]:
            page.keyboard.press(key)
            _wait(page, "!video.seeking")
            assert _played(page) == pytest.approx(seconds, abs=1e-3)
        page.keyboard.press("Space")
        _wait(page, "video.currentTime > 0.05")
        page.keyboard.press("Space")
        assert page.evaluate("video.paused")
        page.locator("#segments button").first.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        _wait(page, "video.currentTime >= 3.5 && !video.paused")


def test_a_video_that_no_browser_plays(browser: Any, tmp_path: Path) -> None:
    video = make_clip(tmp_path / "a.avi", frames=50, codec="mpeg4")
    playable = make_clip(tmp_path / "b.mp4", frames=250)
    write_timeline_page(made_timeline(), tmp_path / "page.html", video)
    with _opened(browser, tmp_path / "page.html") as page:
        page.locator("#problem").wait_for(state="visible")
        assert "--video out.mp4" in page.locator("#problem").inner_text()
        page.locator("#segments button").nth(1).click()  # the rest of the page works
        assert page.locator("#time").get_attribute("aria-valuenow") == "3.50"
        page.locator("#file").set_input_files(playable)
        _wait(page, "video.readyState >= 2")
        assert page.locator("#problem").is_hidden()
        assert page.locator("#video").is_visible()
        assert _played(page) == pytest.approx(3.5, abs=1e-3)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def test_subtitles_as_a_track(browser: Any, tmp_path: Path) -> None:
    clip = base64.b64encode(make_clip(tmp_path / "a.mp4", frames=250).read_bytes()).decode()  # the server cannot seek
    (tmp_path / "page.html").write_text(
        f'<video id="video" muted src="data:video/mp4;base64,{clip}"><track src="a.vtt" default></video>',
        encoding="utf-8",
    )
    hostile = made_timeline(
        ((1.0, 3.5, 0), (3.5, 6.0, 1), (8.0, 10.0, 2)), labels=("a --> b", "<i>&amp;", "x\n\ny", "z")
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for timeline, texts in [
            (hostile, ["a --> b", "<i>&amp;", "x y"]),
            (overlapping(), ["run", "walk <b>&"]),
        ]:
            with open_timeline_report("vtt", tmp_path / "a.vtt", [Segment(timeline.video)], single=True) as report:
                report.add(timeline, 1.0)
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{server.server_port}/page.html")
            _wait(page, "document.querySelector('track').readyState === 2 && video.readyState >= 2")
            read = "[...video.textTracks[0].cues].map(c => [c.startTime, c.endTime, c.getCueAsHTML().textContent])"
            wanted = zip(timeline.segments, texts, strict=True)
            assert page.evaluate(read) == [[one.start_seconds, one.end_seconds, text] for one, text in wanted]
            page.evaluate("video.currentTime = 4.5")
            _wait(page, "!video.seeking && video.textTracks[0].activeCues.length > 0")
            active = sum(one.start_seconds <= 4.5 < one.end_seconds for one in timeline.segments)
            assert page.evaluate("video.textTracks[0].activeCues.length") == active
            page.close()
    finally:
        server.shutdown()
        server.server_close()
