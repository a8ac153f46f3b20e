"""Time the reading of videos of several sizes with fixed numbers of threads, and with the number that nlvid chooses.

    python benchmarks/threads.py [--cache FOLDER] [--repeats N] [--tiny] [VIDEO ...]

The script makes videos of ten seconds (30 frames per second) and reads 10 clips of 32 frames, step 2, short side 256,
from each. Runs take turns, so other work on the machine affects all alike; figures are medians. ``--tiny`` uses one
small video of a second.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from decoding import SAMPLING, SHORT_SIDE, Film, encode

from nlvid_cli.system.processors import usable_processors
from nlvid_cli.video import read
from nlvid_cli.video.probe import probe
from nlvid_cli.video.sample import sample

FILMS = (Film(340, 256, 10), Film(640, 360, 10), Film(1280, 720, 10), Film(1920, 1080, 10))
TINY = (Film(340, 256, 1),)
CHOSEN = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path, help="Videos to read instead.")
    parser.add_argument("--cache", type=Path, help="Folder that keeps the videos. Default: a temporary one.")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--tiny", action="store_true", help="One small, short video, read once.")
    arguments = parser.parse_args()
    fixed = sorted({1, 2, 4, usable_processors()})
    print(f"{'threads':24}" + "".join(f"{count:>9}" for count in fixed) + f"{'chosen':>9} {'chosen / best':>14}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.cache or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for path in arguments.videos or make_videos(folder, TINY if arguments.tiny else FILMS):
            seconds = compare(path, fixed, 1 if arguments.tiny else arguments.repeats)
            best = min(seconds[count] for count in fixed)
            print(
                f"{path.name[:24]:24}"
                + "".join(f"{seconds[count]:9.3f}" for count in [*fixed, CHOSEN])
                + f" {seconds[CHOSEN] / best:14.2f}"
            )


def make_videos(folder: Path, films: tuple[Film, ...]) -> list[Path]:
    """One video of each size; made now if it is missing."""
    paths = [folder / f"{film.name}.mp4" for film in films]
    for path, film in zip(paths, films, strict=True):
        if not path.exists():
            encode(path.with_suffix(".part.mp4"), film)
            path.with_suffix(".part.mp4").rename(path)
    return paths


def compare(path: Path, fixed: list[int], repeats: int) -> dict[int, float]:
    """Median seconds by number of threads; :data:`CHOSEN` is nlvid's own choice."""
    pixels_per_thread = read.PIXELS_PER_THREAD
    seconds: dict[int, list[float]] = {count: [] for count in [*fixed, CHOSEN]}
    for _ in range(repeats):
        for count, values in seconds.items():
            read.PIXELS_PER_THREAD = pixels_per_thread if count == CHOSEN else 1  # 1: every thread is worth its start
            begin = time.perf_counter()
            info = probe(path)
            read.read_frames(info, sample(info, SAMPLING).frame_numbers, SHORT_SIDE, threads=count or None)
            values.append(time.perf_counter() - begin)
    read.PIXELS_PER_THREAD = pixels_per_thread
    return {count: statistics.median(values) for count, values in seconds.items()}


if __name__ == "__main__":
    main()
