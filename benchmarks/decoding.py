"""Time the reading of sampled frames: nlvid against TorchCodec, and ten minutes of video against one.

    python benchmarks/decoding.py [--cache FOLDER] [--repeats N] [--tiny]

The script makes a 1-minute and a 10-minute 1080p H.264 video (30 frames per second, a key frame every 250 frames; the
long one is the short one ten times) and reads 10 clips of 32 frames, step 2, short side 256, from each. Runs take
turns, so other work on the machine affects all alike; figures are medians. TorchCodec needs FFmpeg's shared libraries;
without them its rows are left out. ``--tiny`` uses videos of 3 and 30 seconds, 640 x 360.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from nlvid_cli.card.card import Sampling
from nlvid_cli.video.info import Pixels
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from nlvid_cli.video.sample import sample

RATE, GOP, COPIES = 30, 250, 10
SAMPLING = Sampling(frames=32, step=2, clips=10, clip_starts="ends", short_video="loop")
SHORT_SIDE = 256
TORCHCODEC_THREADS = (1, 2, 0)


@dataclass(frozen=True)
class Film:
    """Size and length of the short video; the long one is :data:`COPIES` times as long."""

    width: int
    height: int
    seconds: int

    @property
    def name(self) -> str:
        """For the name of a file."""
        return f"{self.width}x{self.height}_{self.seconds}s"


FULL = Film(1920, 1080, 60)
TINY = Film(640, 360, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, help="Folder that keeps the videos. Default: a temporary one.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="Small, short videos, read once.")
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:  # the child process of peak_mib
        read_by_nlvid(arguments.peak)
        print(
            next(
                line.split()[1]
                for line in Path("/proc/self/status").read_text().splitlines()
                if line.startswith("VmHWM")
            )
        )
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.cache or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if arguments.tiny:
            compare(*make_videos(folder, TINY), repeats=1)
        else:
            compare(*make_videos(folder, FULL), arguments.repeats)


def compare(long: Path, short: Path, repeats: int) -> None:
    """Time all readers in turn and print the table."""
    readers: dict[str, Callable[[], object]] = {
        "nlvid, long": lambda: read_by_nlvid(long),
        "nlvid, short": lambda: read_by_nlvid(short),
    }
    readers |= torchcodec_readers(long)
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(repeats):
        for name, reader in readers.items():
            begin = time.perf_counter()
            reader()
            seconds[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    base = medians["nlvid, long"]
    print(f"{'10 clips x 32 frames, step 2, short side 256':46} {'seconds':>8} {'ratio':>6} {'range':>13}")
    for name, median in medians.items():
        extent = f"{min(seconds[name]):.2f}-{max(seconds[name]):.2f}"
        print(f"{name:46} {median:8.2f} {median / base:6.2f} {extent:>13}")
    rivals = [median for name, median in medians.items() if name.startswith("torchcodec")]
    if rivals:
        print(f"nlvid is {min(rivals) / base:.2f} times as fast as TorchCodec at its best")
    print(f"the long video ({COPIES} times the short one) takes {base / medians['nlvid, short']:.2f} times as long")
    print(f"peak memory: {peak_mib(long):.0f} MiB for the long one, {peak_mib(short):.0f} MiB for the short one")


def read_by_nlvid(path: Path) -> Pixels:
    """Read the sampled frames, from the path on."""
    info = probe(path)
    return read_frames(info, sample(info, SAMPLING).frame_numbers, SHORT_SIDE).frames


def torchcodec_readers(path: Path) -> dict[str, Callable[[], object]]:
    """TorchCodec in exact mode: all frames in one call, resized inside the decoder, with several numbers of threads."""
    try:
        decoders = importlib.import_module("torchcodec.decoders")
        transforms = importlib.import_module("torchcodec.transforms")
        decoders.VideoDecoder(path)  # loads FFmpeg's libraries
    except (ImportError, OSError, RuntimeError) as error:
        print(f"without TorchCodec: {str(error).splitlines()[0]}")
        return {}
    info = probe(path)
    numbers = sample(info, SAMPLING).frame_numbers.ravel().tolist()
    size = (SHORT_SIDE, round(info.facts.width * SHORT_SIDE / info.facts.height))

    def read(threads: int) -> object:
        resize = [transforms.Resize(size)]
        decoder = decoders.VideoDecoder(path, seek_mode="exact", num_ffmpeg_threads=threads, transforms=resize)
        return decoder.get_frames_at(numbers).data

    return {
        f"torchcodec, long, {threads or 'automatic'} thread(s)": lambda threads=threads: read(threads)  # type: ignore[misc]
        for threads in TORCHCODEC_THREADS
    }


def peak_mib(path: Path) -> float:
    """Peak resident memory of a process that reads ``path`` once (Linux; ``ru_maxrss`` would include the parent's)."""
    command = [sys.executable, __file__, "--peak", str(path)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1024


def make_videos(folder: Path, film: Film) -> tuple[Path, Path]:
    """The long and the short video; made now if they are missing."""
    long, short = folder / f"{film.name}_long.mp4", folder / f"{film.name}.mp4"
    if not short.exists():
        encode(short.with_suffix(".part.mp4"), film)
        short.with_suffix(".part.mp4").rename(short)
    if not long.exists():
        repeat(short, long.with_suffix(".part.mp4"), film.seconds)
        long.with_suffix(".part.mp4").rename(long)
    return long, short


def encode(path: Path, film: Film) -> None:
    """Encode a camera that pans over a textured scene with moving things in front, and film grain."""
    rng = np.random.default_rng(0)
    scene = texture(rng, film.width + 1024, film.height + 512)
    thing = texture(rng, film.width // 5, film.width // 5)
    grain = rng.integers(0, 9, (6, film.height, film.width), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = film.width, film.height, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "23", "g": str(GOP), "sc_threshold": "0"}
        planes = np.empty((film.height * 3 // 2, film.width), np.uint8)
        for number in range(RATE * film.seconds):
            paint(planes, number, scene, thing, grain[number % len(grain)])
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def texture(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    """Smooth noise at four scales, (height, width), in [16, 220]."""
    total = np.zeros((height, width), np.float32)
    for scale, weight in ((8, 0.15), (32, 0.4), (128, 0.6), (512, 0.9)):
        coarse = rng.integers(0, 256, (height // scale + 2, width // scale + 2), np.uint8)
        smooth = av.VideoFrame.from_ndarray(coarse, format="gray").reformat(width, height, interpolation="BICUBIC")
        total += weight * (smooth.to_ndarray().astype(np.float32) - 128)
    return np.clip(total + 118, 16, 220).astype(np.uint8)


def paint(
    planes: NDArray[np.uint8], number: int, scene: NDArray[np.uint8], thing: NDArray[np.uint8], grain: NDArray[np.uint8]
) -> None:
    """Write frame ``number`` into ``planes``: Y, U and V below each other."""
    width, height = planes.shape[1], planes.shape[0] * 2 // 3
    side = len(thing)
    left = int(512 + 400 * np.sin(number / 90)) & ~1
    top = int(256 + 200 * np.sin(number / 57)) & ~1
    luma = planes[:height]
    luma[:] = scene[top : top + height, left : left + width]
    for place in range(3):
        x = int((width - side) * (0.5 + 0.5 * np.sin(number / (20 + 9 * place) + place)))
        y = int((height - side) * (0.5 + 0.5 * np.cos(number / (31 - 5 * place) + place)))
        luma[y : y + side, x : x + side] = thing
    chroma = planes[height:].reshape(2, height // 2, width // 2)
    chroma[0] = luma[::2, ::2] // 2 + 64
    chroma[1] = 192 - luma[::2, ::2] // 2
    luma += grain


def repeat(source: Path, target: Path, seconds: int) -> None:
    """Write the packets of a video :data:`COPIES` times in a row, with shifted time stamps."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        packets = [packet for packet in old.demux(stream) if packet.size]
        stamps = [(packet.pts or 0, packet.dts or 0) for packet in packets]
        unit = stream.time_base or Fraction(1, RATE)
        for turn in range(COPIES):
            shift = turn * int(seconds / unit)
            for packet, (pts, dts) in zip(packets, stamps, strict=True):
                packet.stream, packet.time_base = copy, unit
                packet.pts, packet.dts = pts + shift, dts + shift
                new.mux(packet)


if __name__ == "__main__":
    main()
