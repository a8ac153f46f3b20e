"""Decoding in this process beside libraries that listen to FFmpeg's messages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import av.logging
import numpy as np
import pytest

import nlvid_cli
from nlvid_cli.video.container import open_video
from nlvid_cli.video.decode import use_threads
from tests.clips import make_clip

LISTENING = """
import sys, av, av.logging
from pathlib import Path
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
import nlvid_cli.video.read as read
import numpy as np
read.PIXELS_PER_THREAD = 1
av.logging.set_level(av.logging.ERROR)
info = probe(Path(sys.argv[1]))
for number in range(40):
    read_frames(info, np.array([[number % 6 + 1]]), 64, "swscale_bilinear", threads=8)
"""


@pytest.mark.parametrize(("level", "threads"), [(None, 3), (av.logging.ERROR, 1)])
def test_one_thread_where_messages_are_listened_to(tmp_path: Path, level: int | None, threads: int) -> None:
    with open_video(make_clip(tmp_path / "a.mp4", frames=5)) as (_, stream):
        av.logging.set_level(level)
        try:
            use_threads(stream, 3)
        finally:
            av.logging.set_level(None)
        assert stream.codec_context.thread_count == threads


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_messages_of_damaged_frames_do_not_hang_the_program(tmp_path: Path) -> None:
    """Each frame is damaged at its end, so that threads have messages to send while the decoder is freed."""
    path = tmp_path / "noise.mp4"
    rng = np.random.default_rng(0)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for _ in range(20):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (720, 1280, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    data = bytearray(path.read_bytes())
    with av.open(path) as container:
        for packet in container.demux(video=0):
            for part in (0.9, 0.93, 0.96) if packet.size and packet.pos is not None else ():
                data[packet.pos + int(packet.size * part)] ^= 255
    path.write_bytes(data)
    program = [sys.executable, "-c", LISTENING, str(path)]
    subprocess.run(program, check=True, timeout=90, capture_output=True, cwd=Path(nlvid_cli.__file__).parents[1])
