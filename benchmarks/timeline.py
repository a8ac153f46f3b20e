"""Time `nlvid timeline` on long videos against its own stages, and measure its memory.

    python benchmarks/timeline.py [--model tiny] [--minutes 10 60] [--keep FOLDER] [--tiny]

The script makes H.264 videos of 720p (25 frames per second, a key frame every 50 frames): ten seconds are encoded, and
their packets repeated with later time stamps. Each stage runs in a process of its own, and the script prints its time,
its processor time, and the peak memory of it and its decoding process:

- decode alone: the same decoding process with a network that does nothing;
- network alone: the network on as many windows, all with the frames of the first ones;
- both: ``recognizer.timeline``, also as a share of the slower stage. On few processors both compete, so processor
  seconds are printed beside: both together should take what the two stages take.

The longer videos are only looked at by both stages, for their memory. --tiny uses videos of 4 and 8 seconds, 320 x 180.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

import nlvid_cli
from nlvid_cli.backends import SCORES_ONLY, Array, Gradients, Outputs, Want
from nlvid_cli.recognize.pipeline.pipeline import Limits, Pipeline
from nlvid_cli.recognize.prediction import Failure
from nlvid_cli.recognize.recognizer import Recognizer
from nlvid_cli.recognize.windows import Windows, decode_windows
from nlvid_cli.system.processors import usable_processors
from nlvid_cli.video.preprocess import preprocess
from nlvid_cli.video.segment import Segment

RATE = 25


class Nothing:
    """A backend that does nothing."""

    name, device, precision, views_per_batch = "nothing", "cpu", "fp32", 1

    def outputs(self, views: Array, want: Want = SCORES_ONLY) -> Outputs:
        """Return zeros."""
        zeros = np.zeros((len(views), 1), np.float32)
        return Outputs(zeros, zeros)

    def gradients(self, view: Array, label: int, blocks: Sequence[str] = ()) -> Gradients:
        """Refuse: it has none."""
        raise NotImplementedError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 60])
    parser.add_argument("--keep", type=Path, help="Folder to keep the made videos in.")
    parser.add_argument("--tiny", action="store_true", help="Videos of seconds.")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--video", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        print(json.dumps(measured(arguments.stage, arguments.model, arguments.video)))
        return
    size, once = ((320, 180), 2) if arguments.tiny else ((1280, 720), 10)
    seconds = [4, 8] if arguments.tiny else [minutes * 60 for minutes in arguments.minutes]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        videos = [make_video(folder / f"{size[1]}p-{length:g}s.mp4", size, once, int(length)) for length in seconds]
        report(videos, arguments.model)


def report(videos: list[Path], model: str) -> None:
    """Measure each stage on the first video, and both together on all; print the figures."""
    figures = {stage: run_stage(stage, model, videos[0]) for stage in STAGES}
    both = figures["both"]
    slower = max(figures["decode alone"]["seconds"], figures["network alone"]["seconds"])
    alone = figures["decode alone"]["processor_seconds"] + figures["network alone"]["processor_seconds"]
    print(f"{'both / the slower stage':24} {slower / both['seconds']:8.2f} of its speed")
    print(f"{'both / sum of both':24} {both['processor_seconds'] / alone:8.2f} of the processor time")
    for video in videos[1:]:
        more = run_stage("both", model, video)
        print(f"{'memory, long / short':24} {more['peak_mib'] / both['peak_mib']:8.3f}", flush=True)


def run_stage(stage: str, model: str, video: Path) -> dict[str, float]:
    """Run a stage in a process of its own, and print and return its figures."""
    command = [sys.executable, __file__, "--stage", stage, "--model", model, "--video", str(video)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{stage:14} {video.stem:>12} {figures['seconds']:8.1f} s, "
        f"{figures['processor_seconds']:8.1f} s of processors, {figures['windows']:.0f} windows, "
        f"peak {figures['peak_mib']:.0f} MiB",
        flush=True,
    )
    return figures


def measured(stage: str, model: str, video: Path) -> dict[str, float]:
    """Measure a stage in this process."""
    recognizer = nlvid_cli.load(model)
    peak = Peak()
    began, used = time.perf_counter(), processor_seconds()
    windows = STAGES[stage](recognizer, video)
    seconds = time.perf_counter() - began
    peak.stop()
    return {
        "windows": windows,
        "seconds": seconds,
        "processor_seconds": processor_seconds() - used,
        "peak_mib": peak.bytes / 2**20,
    }


def decode_alone(recognizer: Recognizer, video: Path) -> int:
    """Decode all windows; return their number."""
    windows = Windows(threads=usable_processors())
    run = Pipeline([Nothing()], one_clip(recognizer).card, Limits(workers=1), lambda seen: seen, windows=windows)
    count = 0
    for outcome in run.run([Segment(video)]):
        assert not isinstance(outcome.result, Failure), outcome.result
        count += len(outcome.result.start_seconds)
    return count


def network_alone(recognizer: Recognizer, video: Path) -> int:
    """Prepare and look at as many windows as the video has; return their number."""
    card = one_clip(recognizer).card
    frames, table = next(iter(decode_windows(Segment(video), card.sampling, card.preprocess, Windows())))
    duration = table.facts.duration_seconds
    step = table.start_seconds[1] - table.start_seconds[0]
    count = int((duration - table.end_seconds[0]) / step) + 2
    at_once = recognizer.backend.views_per_batch
    for _ in range(0, count, at_once):
        places = [list(table.frame_places[number % len(table.frame_places)]) for number in range(at_once)]
        views = [preprocess(frames[None, place], card.preprocess) for place in places]
        recognizer.backend.outputs(np.concatenate(views))
    return count


def both(recognizer: Recognizer, video: Path) -> int:
    """Make the timeline; return its number of windows."""
    return len(recognizer.timeline(video).timeline.windows)


STAGES = {"decode alone": decode_alone, "network alone": network_alone, "both": both}


def one_clip(recognizer: Recognizer) -> Recognizer:
    """Return the recognizer with one clip per video."""
    return Recognizer(recognizer.card.with_views(1, None, None), recognizer.backend)


def processor_seconds() -> float:
    """Processor time of this process and of its children that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Peak:
    """Samples the memory of this process and its children, which they share with no other."""

    def __init__(self) -> None:
        self.bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
            pids = [os.getpid(), *(int(pid) for file in children for pid in file.read_text().split())]
            self.bytes = max(self.bytes, sum(map(resident_bytes, pids)))


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; shared frames count where they are mapped."""
    try:
        _, resident, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
    except (OSError, ValueError):
        return 0
    return resident * os.sysconf("SC_PAGE_SIZE")


def make_video(path: Path, size: tuple[int, int], once_seconds: int, seconds: int) -> Path:
    """Encode a few seconds, and repeat their packets until the video is long enough."""
    if path.exists():
        return path
    short = path.with_suffix(".once.mp4")
    with av.open(str(short), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = *size, "yuv420p", 50
        rows, columns = np.mgrid[: size[1], : size[0]]
        for number in range(once_seconds * RATE):
            picture = np.stack([rows + number * 8, columns + number * 5, (rows + columns) // 2], axis=-1) % 256
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(short)) as old, av.open(str(path), "w") as new:
        source = old.streams.video[0]
        copy = new.add_stream_from_template(source)
        packets = [(packet, packet.pts, packet.dts) for packet in old.demux(source) if packet.size]
        unit = source.time_base or Fraction(1)
        turn = round(once_seconds / unit)
        for number in range(seconds // once_seconds):
            for packet, pts, dts in packets:
                packet.pts, packet.dts, packet.stream = (pts or 0) + number * turn, (dts or 0) + number * turn, copy
                packet.time_base = unit
                new.mux(packet)
    short.unlink()
    return path


if __name__ == "__main__":
    main()
