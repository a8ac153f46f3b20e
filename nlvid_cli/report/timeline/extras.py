"""What ``nlvid timeline`` writes beside its report, for each video: scores, pages and videos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlvid_cli.recognize.timeline import Timeline
from nlvid_cli.report.timeline.annotated import Watch, write_annotated
from nlvid_cli.report.timeline.files import Files, file_per_video
from nlvid_cli.report.timeline.page import write_timeline_page
from nlvid_cli.report.timeline.scores import require_score_suffix, write_scores
from nlvid_cli.video.segment import Segment


@dataclass(frozen=True)
class Extra:
    """A kind of file, with the place of each video's own.

    Attributes:
        files: From the video of a result to its file.
        write: Writes the file of a timeline.
    """

    files: Files
    write: Callable[[Timeline, Path, Watch], None]

    def add(self, timeline: Timeline, watch: Watch = lambda done_seconds, all_seconds: None) -> None:
        """Write the file of one video.

        Args:
            timeline: What the file is of.
            watch: Gets how far a file is that takes long; what it raises ends the work, and no file is left.

        Raises:
            VideoError: The video cannot be read again.
            OutputError: It cannot be written.
        """
        self.write(timeline, self.files[timeline.video], watch)


def scores_extra(videos: Sequence[Segment], output: Path, single: bool) -> Extra:
    """Choose where the scores go: the file of the one video, or ``video.npz`` in a folder.

    Raises:
        UsageError: The name does not say which form they get, or two videos would get the same file.
        OutputError: The folder cannot be made.
    """
    if single and not output.is_dir():
        require_score_suffix(output)
    files = file_per_video(videos, output, ".npz", single, "--scores")
    return Extra(files, lambda timeline, path, watch: write_scores(timeline, path))


def page_extra(videos: Sequence[Segment], output: Path, single: bool) -> Extra:
    """Choose where the pages go: the file of the one video, or ``video.html`` in a folder.

    Raises:
        UsageError: Two videos would get the same file.
        OutputError: The folder cannot be made.
    """
    players = {str(video.path): video.file for video in videos}

    def write(timeline: Timeline, path: Path, watch: Watch) -> None:
        file = players[timeline.video]
        write_timeline_page(timeline, path, file if isinstance(file, Path) and file.is_file() else None)

    return Extra(file_per_video(videos, output, ".html", single, "--html"), write)


def video_extra(
    videos: Sequence[Segment], output: Path, single: bool, font: Path | None, warn: Callable[[str], None]
) -> Extra:
    """Choose where the videos with labels go: the file of the one video, or ``video.mp4`` in a folder.

    Raises:
        UsageError: The name has another suffix, the font cannot be used, the video is too long for a GIF, or two videos
            would get the same file.
        OutputError: The folder cannot be made.
    """
    from nlvid_cli.video.encode import check_length, check_target
    from nlvid_cli.video.fonts import Font

    Font(font)  # said now, not after an hour
    if single and not output.is_dir():
        check_target(output)
        check_length(output, videos[0])
    sources = {str(video.path): video for video in videos}

    def write(timeline: Timeline, path: Path, watch: Watch) -> None:
        write_annotated(timeline, sources[timeline.video], path, font, warn, watch)

    return Extra(file_per_video(videos, output, ".mp4", single, "--video"), write)


def paths_of(extras: Iterable[Extra]) -> list[Path]:
    """Return all files that will be written."""
    return [path for extra in extras for path in extra.files.values()]
