"""Reading the sampled frames of a long video: nlvid against TorchCodec, and ten minutes against one.

    python benchmarks/decoding.py [--cache FOLDER] [--repeats N]

Makes a 10-minute and a 1-minute 1080p H.264 video (30 frames a second, a key frame every 250; the ten minutes are the
one minute ten times), samples 10 clips of 32 frames, step 2, short side 256, from each, and prints one table. Runs take
turns, so that whatever else the machine does hits all alike; figures are medians. TorchCodec needs FFmpeg's shared
libraries on the machine; without them its rows are left out.
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

WIDTH, HEIGHT, RATE, GOP, SECONDS, COPIES = 1920, 1080, 30, 250, 60, 10
SAMPLING = Sampling(frames=32, step=2, clips=10, clip_starts="ends", short_video="loop")
SHORT_SIDE = 256
TORCHCODEC_THREADS = (1, 2, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, help="folder that keeps the made videos (default: a temporary one)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:  # in a process of its own, see peak_mib
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
        compare(*make_videos(folder), arguments.repeats)


def compare(long: Path, short: Path, repeats: int) -> None:
    """Time all readers in turn and print the table."""
    readers: dict[str, Callable[[], object]] = {
        "nlvid, 10 minutes": lambda: read_by_nlvid(long),
        "nlvid, 1 minute": lambda: read_by_nlvid(short),
    }
    readers |= torchcodec_readers(long)
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(repeats):
        for name, reader in readers.items():
            begin = time.perf_counter()
            reader()
            seconds[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    base = medians["nlvid, 10 minutes"]
    print(f"{'10 clips x 32 frames, step 2, short side 256':46} {'seconds':>8} {'ratio':>6} {'range':>13}")
    for name, median in medians.items():
        extent = f"{min(seconds[name]):.2f}-{max(seconds[name]):.2f}"
        print(f"{name:46} {median:8.2f} {median / base:6.2f} {extent:>13}")
    rivals = [median for name, median in medians.items() if name.startswith("torchcodec")]
    if rivals:
        print(f"nlvid is {min(rivals) / base:.2f} times as fast as TorchCodec at its best")
    print(f"10 minutes take {base / medians['nlvid, 1 minute']:.2f} times as long as 1 minute")
    print(f"peak memory: {peak_mib(long):.0f} MiB for 10 minutes, {peak_mib(short):.0f} MiB for 1 minute")


def read_by_nlvid(path: Path) -> Pixels:
    """The whole way from a path to frames."""
    info = probe(path)
    return read_frames(info, sample(info, SAMPLING).frame_numbers, SHORT_SIDE).frames


def torchcodec_readers(path: Path) -> dict[str, Callable[[], object]]:
    """TorchCodec's exact mode, all frames in one call, resized inside the decoder, for some numbers of threads."""
    try:
        decoders = importlib.import_module("torchcodec.decoders")
        transforms = importlib.import_module("torchcodec.transforms")
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
        f"torchcodec, 10 minutes, {threads or 'automatic'} thread(s)": lambda threads=threads: read(threads)  # type: ignore[misc]
        for threads in TORCHCODEC_THREADS
    }


def peak_mib(path: Path) -> float:
    """Largest resident size of a process that reads ``path`` once (Linux only; ``ru_maxrss`` would be the parent's)."""
    command = [sys.executable, __file__, "--peak", str(path)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1024


def make_videos(folder: Path) -> tuple[Path, Path]:
    """The 10-minute and the 1-minute video, made now unless they are there."""
    long, short = folder / "10_minutes.mp4", folder / "1_minute.mp4"
    if not short.exists():
        encode_minute(short.with_suffix(".part.mp4"))
        short.with_suffix(".part.mp4").rename(short)
    if not long.exists():
        repeat(short, long.with_suffix(".part.mp4"), COPIES)
        long.with_suffix(".part.mp4").rename(long)
    return long, short


def encode_minute(path: Path) -> None:
    """A camera that pans over a textured scene with moving things in front, and film grain."""
    rng = np.random.default_rng(0)
    scene = texture(rng, WIDTH + 1024, HEIGHT + 512)
    thing = texture(rng, 400, 400)
    grain = rng.integers(0, 9, (6, HEIGHT, WIDTH), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "23", "g": str(GOP), "sc_threshold": "0"}
        planes = np.empty((HEIGHT * 3 // 2, WIDTH), np.uint8)
        for number in range(RATE * SECONDS):
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
    """Frame ``number`` as Y, U and V planes below each other, in place."""
    left = int(512 + 400 * np.sin(number / 90)) & ~1
    top = int(256 + 200 * np.sin(number / 57)) & ~1
    luma = planes[:HEIGHT]
    luma[:] = scene[top : top + HEIGHT, left : left + WIDTH]
    for place in range(3):
        x = int((WIDTH - 400) * (0.5 + 0.5 * np.sin(number / (20 + 9 * place) + place)))
        y = int((HEIGHT - 400) * (0.5 + 0.5 * np.cos(number / (31 - 5 * place) + place)))
        luma[y : y + 400, x : x + 400] = thing
    chroma = planes[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    chroma[0] = luma[::2, ::2] // 2 + 64
    chroma[1] = 192 - luma[::2, ::2] // 2
    luma += grain


def repeat(source: Path, target: Path, copies: int) -> None:
    """The packets of a video several times in a row, with shifted time stamps."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        packets = [packet for packet in old.demux(stream) if packet.size]
        stamps = [(packet.pts or 0, packet.dts or 0) for packet in packets]
        unit = stream.time_base or Fraction(1, RATE)
        for turn in range(copies):
            shift = turn * int(SECONDS / unit)
            for packet, (pts, dts) in zip(packets, stamps, strict=True):
                packet.stream, packet.time_base = copy, unit
                packet.pts, packet.dts = pts + shift, dts + shift
                new.mux(packet)


if __name__ == "__main__":
    main()
