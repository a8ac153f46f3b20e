from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nlvid_cli.errors import UsageError
from nlvid_cli.report.timeline.extras import page_extra, paths_of, scores_extra
from nlvid_cli.video.remote import RemotePath
from nlvid_cli.video.segment import Segment
from tests.report.pages import Page
from tests.report.timeline.samples import made_timeline


def _player(path: Path) -> dict[str, str | None]:
    return next(attributes for tag, attributes in Page(path).tags if tag == "video")


def test_files_of_several_videos_in_folders(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "frames").mkdir()
    videos = [Segment(str(tmp_path / "a.mp4")), Segment(RemotePath("s3://x/b.mp4")), Segment(str(tmp_path / "frames"))]
    extras = [
        scores_extra(videos, tmp_path / "scores", single=False),
        page_extra(videos, tmp_path / "pages", single=False),
    ]
    for video in videos:
        for extra in extras:
            extra.add(made_timeline(video=str(video.path)))
    assert all(path.is_file() for path in paths_of(extras))
    assert np.load(tmp_path / "scores" / "b.npz", allow_pickle=False)["video"].item() == "s3://x/b.mp4"
    assert _player(tmp_path / "pages" / "a.html")["src"] == "../a.mp4"
    assert "src" not in _player(tmp_path / "pages" / "b.html")
    assert "src" not in _player(tmp_path / "pages" / "frames.html")


def test_files_of_one_video(tmp_path: Path) -> None:
    videos = [Segment(str(tmp_path / "a.mp4"))]
    extras = [
        scores_extra(videos, tmp_path / "s.csv", single=True),
        page_extra(videos, tmp_path / "page.htm", single=True),
    ]
    assert paths_of(extras) == [tmp_path / "s.csv", tmp_path / "page.htm"]
    with pytest.raises(UsageError, match=r"\.npz"):
        scores_extra(videos, tmp_path / "s.txt", single=True)
    with pytest.raises(UsageError, match="folder"):
        scores_extra(videos, tmp_path / "s.npz", single=False)
