"""Time `nlvid label` against its own stages, a shell loop of `nlvid classify`, and another library.

    python benchmarks/label.py VIDEO... [--model tiny] [--videos 200] [--loop 5] [--memory] [--transformers] [--tiny]

The script fills a folder with copies of the given videos and prints videos per second of:

- decode alone: the same decoding processes with a network that does nothing;
- network alone: the same network on one decoded video after another, in one thread;
- label: the pipeline of `nlvid label`, without the start of the program; also as a share of the slower stage, and of
  what both stages leave when they share all processors: 1 / (1 / decode + 1 / network);
- a shell loop of `nlvid classify`, one process per video;
- with --transformers, the `video-classification` pipeline of that library with a small VideoMAE of random weights
  (16 frames of 112 x 112, one clip, two layers). It does less per video: one clip instead of ten, and no protocol.

--memory labels 100 and then 1,000 videos, each run in a process of its own, and prints the peak memory of the run and
its decoding processes. --tiny makes a short clip and labels four copies of it; no VIDEO is needed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np

import nlvid_cli
from nlvid_cli.backends import SCORES_ONLY, Array, Gradients, Outputs, Want
from nlvid_cli.recognize.answer import Answer
from nlvid_cli.recognize.pipeline.pipeline import Limits, Pipeline
from nlvid_cli.recognize.prediction import Failure, Prediction
from nlvid_cli.recognize.recognizer import Recognizer
from nlvid_cli.video.clips import ClipTable, decode_clips
from nlvid_cli.video.info import Pixels
from nlvid_cli.video.segment import Segment

MEMORY_COUNTS = (100, 1000)
TURNS = 4


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
    parser.add_argument("video", type=Path, nargs="*")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--videos", type=int, default=200)
    parser.add_argument("--loop", type=int, default=5, help="Number of videos in the shell loop.")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--transformers", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="Four copies of a short made clip.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if arguments.tiny:
            arguments.video, arguments.videos, arguments.loop = [make_video(Path(temporary, "made.mp4"))], TURNS, 1
        if not arguments.video:
            parser.error("name at least one video")
        if arguments.memory:
            for count in MEMORY_COUNTS:
                folder = fill(Path(temporary, str(count)), arguments.video, count)
                print(f"{count:5} videos: peak {peak_mib(folder, arguments.model):.0f} MiB", flush=True)
            return
        folder = fill(Path(temporary, "videos"), arguments.video, arguments.videos)
        compare(sorted(folder.iterdir()), arguments)


def compare(paths: list[Path], arguments: argparse.Namespace) -> None:
    """Measure everything and print the table."""
    recognizer = nlvid_cli.load(arguments.model)
    limits = Limits(workers=arguments.workers)
    print(f"{recognizer.card.name}, {recognizer.backend.precision} on {recognizer.backend.device}, {len(paths)} videos")
    few = paths[: max(len(paths) // 5, TURNS)]
    card, sources = recognizer.card, len(arguments.video)
    decoded = [decode_clips(Segment(path), card.sampling, card.preprocess) for path in paths[:sources]]
    frames = {path: decoded[number % sources] for number, path in enumerate(few)}
    stages: dict[str, tuple[list[Path], Callable[[list[Path]], None]]] = {
        "decode alone": (paths, lambda part: run(recognizer, part, limits, network=False)),
        "network alone": (few, lambda part: look(recognizer, {path: frames[path] for path in part})),
        "label": (paths, lambda part: run(recognizer, part, limits)),
    }
    decode, network, label = in_turns(stages)
    print(f"{'  of the slower stage':28} {label / min(decode, network):9.2f}")
    print(f"{'  of both on the same cores':28} {label * (1 / decode + 1 / network):9.2f}")
    loop = paths[: arguments.loop]
    command = [sys.executable, "-m", "nlvid_cli", "classify", "--model", arguments.model, "-f", "jsonl"]
    tell("shell loop of classify", len(loop), lambda: classify_each(command, loop))
    if arguments.transformers:
        pipeline = other_pipeline()
        tell("transformers", len(few), lambda: try_each(pipeline, few))


def in_turns(stages: dict[str, tuple[list[Path], Callable[[list[Path]], None]]]) -> list[float]:
    """Measure videos per second of each stage. Stages take turns, so other work on the machine affects all alike."""
    seconds = dict.fromkeys(stages, 0.0)
    for turn in range(TURNS):
        for name, (paths, work) in stages.items():
            began = time.perf_counter()
            work(paths[turn::TURNS])
            seconds[name] += time.perf_counter() - began
    rates = [len(paths) / seconds[name] for name, (paths, _) in stages.items()]
    for name, rate in zip(stages, rates, strict=True):
        print(f"{name:28} {rate:9.3f} videos/s", flush=True)
    return rates


def tell(name: str, videos: int, work: Callable[[], object]) -> float:
    """Do the work once; print and return videos per second."""
    began = time.perf_counter()
    work()
    rate = videos / (time.perf_counter() - began)
    print(f"{name:28} {rate:9.3f} videos/s", flush=True)
    return rate


def run(recognizer: Recognizer, paths: list[Path], limits: Limits, network: bool = True) -> None:
    """Send all videos through the pipeline."""
    if not network:
        for seen in Pipeline([Nothing()], recognizer.card, limits, lambda video: video).run(map(Segment, paths)):
            assert not isinstance(seen.result, Failure), seen.result
        return
    for outcome in recognizer.classify_unordered(map(Segment, paths), Answer(), limits):
        assert isinstance(outcome.result, Prediction), outcome.result


def classify_each(command: list[str], paths: list[Path]) -> None:
    """Run one process per video, as a shell loop does."""
    for path in paths:
        subprocess.run([*command, path], check=True, stdout=subprocess.DEVNULL)


def look(recognizer: Recognizer, decoded: dict[Path, tuple[Pixels, ClipTable]]) -> None:
    """Run the network on all clips of decoded videos."""
    for path, clips in decoded.items():
        recognizer.classify_decoded(Segment(path), *clips, Answer())


def try_each(pipeline: Callable[[str], object], paths: list[Path]) -> None:
    """Try each video and print how many failed."""
    failed = 0
    for path in paths:
        try:
            pipeline(str(path))
        except Exception:
            failed += 1
    print(f"{failed} of {len(paths)} failed")


def other_pipeline() -> Callable[[str], object]:
    """Make the pipeline of transformers with a small random model."""
    import torch
    from transformers import VideoClassificationPipeline, VideoMAEConfig, VideoMAEForVideoClassification
    from transformers import VideoMAEImageProcessor as Processor

    torch.manual_seed(0)
    config = VideoMAEConfig(
        image_size=112, num_hidden_layers=2, hidden_size=192, num_attention_heads=3, intermediate_size=768
    )
    size = {"height": 112, "width": 112}
    processor = Processor(size={"shortest_edge": 128}, crop_size=size)
    make: Any = VideoClassificationPipeline  # has no types
    pipeline: Callable[[str], object] = make(model=VideoMAEForVideoClassification(config), image_processor=processor)
    return pipeline


def make_video(path: Path) -> Path:
    """Encode a second of moving stripes."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(25):
            rows, columns = np.mgrid[:120, :160]
            picture = np.stack([rows * 2 + number * 8, columns * 2, rows + columns], axis=-1) % 256
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def fill(folder: Path, videos: list[Path], count: int) -> Path:
    """Fill a folder with ``count`` copies."""
    folder.mkdir(parents=True)
    for number in range(count):
        source = videos[number % len(videos)]
        shutil.copy(source, folder / f"{number:05}{source.suffix}")
    return folder


def peak_mib(folder: Path, model: str) -> float:
    """Peak memory of a run and its decoding processes."""
    output = folder.with_suffix(".jsonl")
    command = [sys.executable, "-m", "nlvid_cli", "label", str(folder), "-o", str(output), "-m", model]
    with subprocess.Popen(command) as process, watched(process.pid) as peaks:
        process.wait()
    rows = output.read_text().splitlines()
    assert len(rows) == len(list(folder.iterdir()))
    assert not any("error" in json.loads(row) for row in rows)
    return max(peaks)


@contextmanager
def watched(pid: int) -> Iterator[list[float]]:
    """Sample the memory of a process and its children in MiB, twice a second."""
    found = [0.0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            children = Path(f"/proc/{pid}/task").glob("*/children")
            try:
                pids = [pid, *(int(child) for file in children for child in file.read_text().split())]
                found.append(sum(map(own_mib, pids)))
            except OSError:
                continue

    thread = threading.Thread(target=watch)
    thread.start()
    yield found
    over.set()
    thread.join()


def own_mib(pid: int) -> float:
    """Memory of a process without pages of files, which processes may share."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:"))) / 1024


if __name__ == "__main__":
    main()
