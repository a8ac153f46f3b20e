from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import nlvid_cli
from nlvid_cli.backends import Outputs
from nlvid_cli.card.card import Card
from nlvid_cli.errors import CheckpointMismatch, ModelFileError, NumericalError, UnknownName, UsageError, VideoNotFound
from nlvid_cli.recognize.answer import Answer
from nlvid_cli.recognize.prediction import Failure, Prediction
from nlvid_cli.recognize.recognizer import Recognizer
from nlvid_cli.video.preprocess import preprocess
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from nlvid_cli.video.remote import RemotePath
from nlvid_cli.video.sample import sample
from nlvid_cli.video.segment import Segment, Stretch
from tests.clips import make_clip
from tests.recognize.colours import Colours


@pytest.fixture(scope="module")
def loaded(model_file: Path) -> Recognizer:
    return nlvid_cli.load(model_file, precision="fp32", device="cpu")


@pytest.fixture(scope="module")
def recognizer(card: Card) -> Recognizer:
    return Recognizer(card, Colours())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=40)


def test_the_whole_road_step_by_step(loaded: Recognizer, clip: Path) -> None:
    recognizer = loaded
    card = recognizer.card
    info = probe(clip)
    plan = sample(info, card.sampling)
    frames = read_frames(info, plan.frame_numbers, card.preprocess.short_side).frames
    scores = recognizer.scores(preprocess(frames, card.preprocess))  # (3 views, 5 labels)
    result = recognizer.classify(clip, Answer(top_k=5))
    assert result.video == str(clip)
    assert (result.model, result.backend, result.device, result.precision) == (card.name, "torch", "cpu", "fp32")
    by_index = sorted(result.predictions, key=lambda p: p.index)
    np.testing.assert_allclose([p.score for p in by_index], scores.mean(axis=0), rtol=1e-5)
    assert [p.label for p in by_index] == list(card.labels.names or ())
    assert [p.score for p in result.predictions] == sorted((p.score for p in result.predictions), reverse=True)
    assert len(result.clips) == 3
    for clip_result, clip_scores in zip(result.clips, scores, strict=True):
        assert clip_result.predictions[0].index == clip_scores.argmax()
        assert clip_result.predictions[0].score == pytest.approx(clip_scores.max())
    assert result.clips[0].start_seconds == 0.0
    assert result.clips[-1].end_seconds == pytest.approx(info.facts.duration_seconds)


def test_many_in_order_and_one_bad_file_stops_nothing(loaded: Recognizer, clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video at all" * 100)
    results = list(loaded.classify_many([clip, tmp_path / "none.mp4", broken, clip]))
    assert [type(result) for result in results] == [Prediction, Failure, Failure, Prediction]
    assert isinstance(results[1], Failure)
    assert results[1].error.type == "VideoNotFound"
    assert results[0] == results[3] == loaded.classify(clip)


def test_a_bug_in_a_decoder_costs_one_video(
    recognizer: Recognizer, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nlvid_cli.video.clips as module

    def explode(segment: Segment, **_: object) -> object:
        raise ZeroDivisionError("made by the test")

    monkeypatch.setattr(module, "probe_segment", explode)
    (failure,) = recognizer.classify_many([clip])
    assert isinstance(failure, Failure)
    assert failure.error.type == "InternalError"
    assert "ZeroDivisionError: made by the test" in failure.error.message
    monkeypatch.setenv("NLVID_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        list(recognizer.classify_many([clip]))


def test_classify_raises_the_error_of_its_video(
    recognizer: Recognizer, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(VideoNotFound):
        recognizer.classify(tmp_path / "none.mp4")

    def explode(segment: Segment, **_: object) -> object:
        raise ZeroDivisionError("made by the test")

    monkeypatch.setattr("nlvid_cli.video.clips.probe_segment", explode)
    with pytest.raises(ZeroDivisionError):
        recognizer.classify(clip)


def test_one_video_starts_no_process(recognizer: Recognizer, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    (result,) = recognizer.classify_many([clip])
    assert result == recognizer.classify(clip)


def test_equal_clips_pass_the_network_once(
    recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = make_clip(tmp_path / "short.mp4", frames=5)
    seen: list[int] = []
    outputs = recognizer.backend.outputs

    def count(views: np.ndarray) -> Outputs:
        seen.append(len(views))
        return outputs(views)

    monkeypatch.setattr(recognizer.backend, "outputs", count)
    result = recognizer.classify(short)
    assert sum(seen) == 1
    assert len(result.clips) == 3
    assert len({c.predictions for c in result.clips}) == 1
    assert result.warnings == ("the video is shorter than one clip (5 of 15 frames): its frames are repeated",)


def test_outputs_with_nan_are_an_error(recognizer: Recognizer, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def outputs(views: np.ndarray) -> Outputs:
        nan = np.full((len(views), 5), np.nan, np.float32)
        return Outputs(nan, nan)

    monkeypatch.setattr(recognizer.backend, "outputs", outputs)
    with pytest.raises(NumericalError, match="NaN"):
        recognizer.classify(clip)
    (failure,) = recognizer.classify_many([clip])
    assert isinstance(failure, Failure)
    assert failure.error.type == "NumericalError"


def test_labels_by_pattern(recognizer: Recognizer, clip: Path) -> None:
    result = recognizer.classify(clip, Answer(labels=("SWIM*",)))
    assert {p.label for p in result.predictions} == {"swimming", "swimming backstroke"}
    whole = {p.label: p.score for p in recognizer.classify(clip).predictions}
    assert all(p.score == whole[p.label] for p in result.predictions)
    with pytest.raises(UsageError, match="top-k"):  # before anything is decoded
        recognizer.classify("missing.mp4", Answer(top_k=0))


def test_views_can_be_overridden_and_are_reported(model_file: Path, clip: Path) -> None:
    recognizer = nlvid_cli.load(model_file, precision="fp32", device="cpu", clips=2, crops=3, step=1)
    views = recognizer.classify(clip).views
    assert (views.clips, views.crops, views.frames, views.step) == (2, 3, 8, 1)


def test_three_crops_are_averaged_per_clip(card: Card, clip: Path) -> None:
    recognizer = Recognizer(card.with_views(None, 3, None), Colours())
    info = probe(clip)
    plan = sample(info, recognizer.card.sampling)
    frames = read_frames(info, plan.frame_numbers, recognizer.card.preprocess.short_side).frames
    scores = recognizer.scores(preprocess(frames, recognizer.card.preprocess)).reshape(3, 3, 5)
    result = recognizer.classify(clip)
    assert result.predictions[0].score == pytest.approx(scores.mean(axis=(0, 1)).max(), rel=1e-5)
    assert result.clips[1].predictions[0].score == pytest.approx(scores[1].mean(axis=0).max(), rel=1e-5)


def test_a_threshold_leaves_out_labels(recognizer: Recognizer, clip: Path) -> None:
    everything = recognizer.classify(clip, Answer(top_k=None)).predictions
    assert len(everything) == 5
    third = everything[2].score
    assert recognizer.classify(clip, Answer(top_k=None, threshold=third)).predictions == everything[:3]
    assert recognizer.classify(clip, Answer(top_k=1, threshold=third)).predictions == everything[:1]
    nothing = recognizer.classify(clip, Answer(threshold=1.0, min_score=0.99))
    assert nothing.predictions == nothing.clips[0].predictions == ()
    assert nothing.unsure


@pytest.mark.parametrize("rule", ["maximum", "softmax_of_mean_logits"])
def test_views_are_combined_as_the_card_says(recognizer: Recognizer, clip: Path, rule: str) -> None:
    labels = replace(recognizer.card.labels, combine=rule)
    other = Recognizer(replace(recognizer.card, labels=labels), recognizer.backend)
    by_index = sorted(other.classify(clip, Answer(top_k=None)).predictions, key=lambda p: p.index)
    info = probe(clip)
    plan = sample(info, other.card.sampling)
    frames = read_frames(info, plan.frame_numbers, other.card.preprocess.short_side).frames
    views = preprocess(frames, other.card.preprocess)
    if rule == "maximum":
        expected = recognizer.scores(views).max(axis=0)
    else:
        powers = np.exp(recognizer.logits(views).mean(axis=0, dtype=np.float64))
        expected = powers / powers.sum()
    np.testing.assert_allclose([p.score for p in by_index], expected, rtol=1e-5)


def test_scores_are_those_of_the_predictions(recognizer: Recognizer, clip: Path, tmp_path: Path) -> None:
    scores, failure = recognizer.score_many([Segment(clip), Segment(tmp_path / "none.mp4")])
    predictions = recognizer.classify(clip, Answer(top_k=None)).predictions
    assert isinstance(scores, np.ndarray)
    assert [float(scores[p.index]) for p in predictions] == [p.score for p in predictions]
    assert isinstance(failure, Failure)
    assert failure.error.type == "VideoNotFound"


def test_a_segment_scores_like_a_file_of_it(recognizer: Recognizer, clip: Path, tmp_path: Path) -> None:
    cut = make_clip(tmp_path / "cut.mkv", codec="ffv1", frames=20, pix_fmt="bgr0")
    whole = make_clip(tmp_path / "whole.mkv", codec="ffv1", frames=40, pix_fmt="bgr0")
    (alone, stretch, rest) = recognizer.score_many(
        [Segment(cut), Segment(whole, Stretch(0.0, 0.8)), Segment(whole, Stretch(0.8))]
    )
    np.testing.assert_array_equal(alone, stretch)
    assert not np.array_equal(alone, rest)
    (failure,) = recognizer.score_many([Segment(whole, Stretch(10.0, 20.0))])
    assert isinstance(failure, Failure)
    assert "no frame" in failure.error.message


def test_the_temperature_of_the_card_calibrates_video_and_clips(recognizer: Recognizer, clip: Path) -> None:
    raw = recognizer.classify(clip, Answer(top_k=None))
    same = Recognizer(replace(recognizer.card, temperature=1.0), recognizer.backend).classify(clip, Answer(top_k=None))
    assert same == raw
    halved = Recognizer(replace(recognizer.card, temperature=0.5), recognizer.backend)
    calibrated = halved.classify(clip, Answer(top_k=None))
    for before, after in [(raw.predictions, calibrated.predictions), (raw.clips[1].predictions,
                                                                      calibrated.clips[1].predictions)]:  # fmt: skip
        squares = np.array([p.score for p in before]) ** 2
        np.testing.assert_allclose([p.score for p in after], squares / squares.sum(), rtol=1e-5)
        assert [p.label for p in after] == [p.label for p in before]


def test_unknown_and_damaged_models(tmp_path: Path, model_file: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean"):
        nlvid_cli.load("i3dd")
    with pytest.raises(ModelFileError, match="no such"):
        nlvid_cli.load(tmp_path / "none.safetensors")
    (tmp_path / "half.safetensors").write_bytes(model_file.read_bytes()[:1000])
    with pytest.raises(ModelFileError, match="safetensors"):
        nlvid_cli.load(tmp_path / "half.safetensors")


def test_weights_that_do_not_match(tmp_path: Path, card: object, random_tensors: dict[str, np.ndarray]) -> None:
    from nlvid_cli.models.model_file import write_checkpoint

    wrong = {name: array for name, array in random_tensors.items() if name != "conv_1a.conv.weight"}
    write_checkpoint(tmp_path / "wrong.safetensors", card, wrong)  # type: ignore[arg-type]
    with pytest.raises(CheckpointMismatch, match=r"missing conv_1a\.conv\.weight"):
        nlvid_cli.load(tmp_path / "wrong.safetensors")


def test_public_names() -> None:
    assert "i3d-inception-64x1.deepmind-k400" in [card.name for card in nlvid_cli.list_models()]
    assert all(hasattr(nlvid_cli, name) for name in nlvid_cli.__all__)
    assert set(dir(nlvid_cli)) == set(nlvid_cli.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        nlvid_cli.nothing  # noqa: B018


def test_false_key_frames_do_not_change_scores(loaded: Recognizer, shared: Path, tmp_path: Path) -> None:
    """A real MPEG-4 file without ``stss``, and the same packets with true marks."""
    false = shared / "videos" / "wild" / "mpeg4_without_stss.mp4"
    true = tmp_path / "true.mp4"
    with av.open(str(false)) as old, av.open(str(true), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if packet.size:
                _, _, picture = bytes(packet).partition(b"\0\0\1\xb6")
                packet.is_keyframe = picture[0] & 0xC0 == 0  # its type: intra (ISO/IEC 14496-2, 6.2.5)
                packet.stream = copy
                new.mux(packet)
    assert 1 < len(probe(true).key_frames) < len(probe(false).key_frames) == 1202
    scores = [[p.score for p in loaded.classify(path, Answer(top_k=5)).predictions] for path in (false, true)]
    assert scores[0] == scores[1]


STALLED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from nlvid_cli import load
recognizer = load(sys.argv[2], device="cpu")
print("ready", flush=True)
recognizer.classify(sys.argv[1])
"""


class _Stalls(BaseHTTPRequestHandler):
    """Says how long the file is, and sends nothing of it."""

    asked = threading.Event()
    over = threading.Event()

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.asked.set()
        self.over.wait(60)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.timeout(60)
@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_an_interrupt_ends_a_read_from_a_network_that_stalls(model_file: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stalls)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/a.mp4"
    program = [sys.executable, "-c", STALLED, address, str(model_file)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert _Stalls.asked.wait(30)
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        try:
            _, err = child.communicate(timeout=10)
        finally:
            child.kill()
            _Stalls.over.set()
            server.shutdown()
            server.server_close()
            thread.join()
    assert err.rstrip().endswith("KeyboardInterrupt")


def test_parts_of_videos_are_classified_and_say_so(recognizer: Recognizer, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", codec="ffv1", frames=100, pix_fmt="bgr0")
    whole, part, beyond = recognizer.classify_many(
        [clip, Segment(clip, Stretch(2.0, 3.0)), Segment(clip, Stretch(start_frame=500))]
    )
    assert "stretch" not in whole.to_dict()
    assert isinstance(part, Prediction)
    assert part.to_dict()["stretch"] == {"start_seconds": 2.0, "end_seconds": 3.0}
    assert part.clips[0].start_seconds >= 2.0  # times are those of the whole file
    assert part.clips[-1].end_seconds <= 3.0 + 1e-6
    assert isinstance(beyond, Failure)
    assert beyond.to_dict()["stretch"] == {"start_frame": 500}
    assert recognizer.classify(Segment(str(clip), Stretch(2.0, 3.0))) == part


@pytest.mark.parametrize("paths", ["a.mp4", Path("a.mp4"), RemotePath("https://host/a.mp4"), Segment("a.mp4")])
def test_a_single_path_is_not_many(recognizer: Recognizer, paths: Any) -> None:
    with pytest.raises(UsageError, match="classify_many takes several videos"):
        recognizer.classify_many(paths)


def test_a_folder_of_pictures_scores_like_the_video(recognizer: Recognizer, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", codec="ffv1", frames=40, pix_fmt="bgr0")
    (tmp_path / "frames").mkdir()
    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            frame.to_image().save(tmp_path / "frames" / f"{number}.png")
    video, pictures = recognizer.classify_many([clip, Segment(tmp_path / "frames", fps=25)])
    assert isinstance(video, Prediction)
    assert isinstance(pictures, Prediction)
    assert pictures.predictions == video.predictions
    assert (video.fps, pictures.fps) == (None, 25)
