from __future__ import annotations

from nlvid_cli.video.suffixes import SHARED_SUFFIXES, VIDEO_SUFFIXES, is_video_name
from tests.conftest import REPOSITORY


def test_names() -> None:
    assert all(map(is_video_name, ("a.mp4", "A.H264", "b/.hidden.Rmvb", "c.tar.dvr-ms", ".mkv")))
    assert not any(map(is_video_name, ("mp4", "a.mp4.part", "a.txt", "a.ogg", "a.dat", "a.mod", "")))


def test_the_documentation_lists_all() -> None:
    section = (REPOSITORY / "docs" / "videos.md").read_text().split("## Suffixes")[1]
    assert {word for word in section.split("`") if word.startswith(".")} == {*VIDEO_SUFFIXES, *SHARED_SUFFIXES}
