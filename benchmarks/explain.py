"""Measure how far the explanations of a model can be trusted: deletion and insertion over several videos.

    python benchmarks/explain.py VIDEO... [--model i3d] [--tiny]

For each video, the label of the model is explained. The script prints insertion minus deletion of each method, and of
random order, centre first and plain motion, and at the end the means over the videos with the differences to random.
--tiny uses the bundled model on a short video that it makes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

import nlvid_cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--model", default="i3d")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    if not options.tiny and not options.videos:
        parser.error("name at least one video")
    with tempfile.TemporaryDirectory() as folder:
        videos = [make_video(Path(folder) / "made.mp4")] if options.tiny else options.videos
        measure("tiny" if options.tiny else options.model, videos)


def measure(model: str, videos: list[Path]) -> None:
    """Print a row per video and method, and the means."""
    recognizer = nlvid_cli.load(model)
    found: dict[str, list[float]] = {}
    for video in videos:
        start = time.perf_counter()
        explanation = recognizer.explain(video, nlvid_cli.ExplainOptions(check=True))
        assert explanation.check is not None
        seconds = time.perf_counter() - start
        print(f"{video.name}: {explanation.label.label}, score of the clip {explanation.score:.3f}, {seconds:.0f} s")
        for name, curves in explanation.check.items():
            found.setdefault(name, []).append(curves.difference)
            print(
                f"  {name:20}  {curves.difference:6.3f}  ({curves.insertion:.3f} - {curves.deletion:.3f})", flush=True
            )
    means = {name: float(np.mean(values)) for name, values in found.items()}
    print(f"mean of {len(videos)} videos  (above random)")
    for name, mean in means.items():
        print(f"  {name:20}  {mean:6.3f}  ({mean - means['random']:+.3f})")


def make_video(path: Path) -> Path:
    """Write 40 frames of a square that moves over noise."""
    noise = np.random.default_rng(0).integers(0, 120, (144, 176, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 176, 144, "yuv420p"
        for number in range(40):
            picture = noise.copy()
            picture[40:90, 2 * number : 2 * number + 40] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    main()
