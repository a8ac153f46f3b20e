"""From a model file to a checked ONNX file, and from a video to scores by that file."""

from __future__ import annotations

import json
import logging
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import nlvid_cli
from nlvid_cli.backends import Want
from nlvid_cli.backends.onnx_backend import OnnxBackend
from nlvid_cli.backends.torch_backend import TorchBackend, outputs_as_written
from nlvid_cli.card.architecture import NonLocal
from nlvid_cli.card.card import CARD_KEY, Card, card_from_json
from nlvid_cli.errors import DeviceError, ModelFileError, OutputError, ReferenceMismatch, UnknownName, UsageError
from nlvid_cli.models.model_file import open_checkpoint, write_checkpoint
from nlvid_cli.models.onnx_file.read import read_onnx
from nlvid_cli.onnx_export import Exported, check, export_onnx, graph
from nlvid_cli.onnx_export import export as module
from nlvid_cli.onnx_export.check import Speed
from nlvid_cli.recognize.answer import Answer
from tests.clips import make_clip
from tests.conftest import Run
from tests.small_networks import random_weights

ALL = Answer(top_k=None)


def scores_of(model: Path, video: Path, **options: object) -> dict[str, float]:
    recognizer = nlvid_cli.load(model, device="cpu", **options)  # type: ignore[arg-type]
    return {entry.label: entry.score for entry in recognizer.classify(video, ALL).predictions}


def reuse_graph(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let exports start from the graph of an earlier one, without the seconds that torch's exporter takes."""
    monkeypatch.setattr(graph, "build_graph", lambda *_: onnx.load(path))


def test_the_result_of_an_export(exported: Exported, small_card: Card) -> None:
    assert [row.shape for row in exported.comparisons] == [
        (1, 3, 8, 64, 64),
        (2, 3, 8, 64, 64),
        (1, 3, 11, 77, 77),
        (2, 3, 11, 77, 77),
    ]
    assert all(row.passed and row.same_top5 and row.tolerance == 1e-4 for row in exported.comparisons)
    assert exported.card == small_card
    assert exported.size_bytes == exported.path.stat().st_size
    assert exported.speed is not None
    assert exported.speed.seconds.keys() == {"torch", "onnx"}


def test_the_file_holds_everything_to_run_it(exported: Exported, small_card: Card) -> None:
    model = onnx.load(exported.path)
    onnx.checker.check_model(model, full_check=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert card_from_json(metadata[CARD_KEY], "test") == small_card
    assert metadata["nlvid_labels"].splitlines() == list(small_card.labels.names or ())
    assert metadata["nlvid_version"] == nlvid_cli.__version__
    assert metadata["nlvid_precision"] == "fp32"
    assert metadata["nlvid_input"].startswith("float32 (N, 3, T, H, W), (value - mean) / std of values 0 to 255")
    assert [entry.version for entry in model.opset_import] == [18]
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["video", "scores", "logits"]


@pytest.mark.parametrize("name", ["long.mp4", "short.mp4"])
def test_the_same_video_gets_the_same_scores(name: str, exported: Exported, small_file: Path, clips: Path) -> None:
    by_torch = scores_of(small_file, clips / name, precision="fp32")
    by_onnx = scores_of(exported.path, clips / name)
    assert by_onnx == pytest.approx(by_torch, abs=1e-4)
    assert len(set(by_torch.values())) == 5


def test_an_exported_file_on_the_command_line(exported: Exported, clips: Path, run: Run) -> None:
    outcome = run("classify", clips / "long.mp4", "--model", exported.path, "-f", "json")
    assert outcome.status == 0, outcome.err
    result = json.loads(outcome.out)
    assert (result["model"], result["backend"], result["device"], result["precision"]) == (
        "small.test", "onnx", "cpu", "fp32",
    )  # fmt: skip
    shown = run("models", "show", exported.path, "--json")
    assert json.loads(shown.out)["onnx"]["outputs"] == ["scores, float32 (any, 5)", "logits, float32 (any, 5)"]
    assert "written by nlvid" in run("models", "show", exported.path).out
    verified = run("models", "verify", exported.path, "--json")
    (row,) = json.loads(verified.out)
    assert (verified.status, row["backend"], row["passed"]) == (0, "onnx", True)
    assert row["relative_difference"] < 1e-5
    assert run("models", "labels", exported.path).out.splitlines()[0] == "dancing"


def test_options_that_do_not_fit_an_onnx_file(exported: Exported, clips: Path, run: Run) -> None:
    for arguments, message in (
        (("classify", clips, "-m", exported.path, "--backend", "torch"), "torch cannot run ONNX files"),
        (
            ("classify", clips, "-m", exported.path, "--precision", "bf16"),
            "computes in fp32",
        ),
        (("classify", clips, "-m", exported.path, "--as", "i3d"), "card of its own (small.test)"),
        (("export", "--model", exported.path, "-o", "x.onnx"), "ONNX file can only be run"),
    ):
        outcome = run(*arguments)
        assert outcome.status in (2, 3)
        assert message in outcome.err


def test_verify_reports_a_precision_that_the_file_does_not_have(exported: Exported, run: Run) -> None:
    assert run("models", "verify", exported.path, "--precision", "fp32").status == 0
    outcome = run("models", "verify", exported.path, "--precision", "fp32", "--precision", "bf16")
    assert outcome.status == 3
    assert "computes in fp32; leave out --precision bf16" in outcome.err


def test_a_damaged_weight_is_noticed_by_verify(exported: Exported, tmp_path: Path, run: Run) -> None:
    model = onnx.load(exported.path)
    (weights,) = [entry for entry in model.graph.initializer if entry.name.endswith("head.classifier.bias")]
    weights.raw_data = (np.frombuffer(weights.raw_data, np.float32) + np.float32([1, 0, 0, 0, 0])).tobytes()
    path = tmp_path / "wrong.onnx"
    onnx.save(model, path)
    outcome = run("models", "verify", path)
    assert outcome.status == 3
    assert "1 of 1 comparisons are out of tolerance; in fp32" in outcome.err


def test_the_command_with_features(small_file: Path, clips: Path, tmp_path: Path, run: Run) -> None:
    card, tensors = open_checkpoint(small_file)
    card = replace(card, architecture=replace(card.architecture, nonlocal_blocks=NonLocal(("mixed_3b",))))
    tensors = random_weights(card)
    write_checkpoint(tmp_path / "block.safetensors", card, tensors)
    out = tmp_path / "fixed.onnx"
    arguments = ("--model", tmp_path / "block.safetensors", "-o", out, "--static", "--features")
    outcome = run("export", "--onnx", *arguments, "--clip", clips / "long.mp4")
    assert (outcome.status, outcome.out) == (0, f"{out}\n"), outcome.err
    assert "outputs differ from those of torch" in outcome.err
    assert "features and attention differ by" in outcome.err
    assert "one view takes ONNX Runtime " in outcome.err
    assert sorted(tmp_path.iterdir()) == [tmp_path / "block.safetensors", out]
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 3, 8, 64, 64]
    names = [value.name for value in session.get_outputs()]
    assert names == ["scores", "logits", "features", "mixed_3b.queries", "mixed_3b.keys"]
    assert run("models", "verify", out).status == 0
    views = np.random.default_rng(0).standard_normal((2, 3, 8, 64, 64), dtype=np.float32)
    want = Want(features=True, attention={"mixed_3b": [7]})
    ours, theirs = (
        OnnxBackend(card, out, "cpu", "auto").outputs(views, want),
        outputs_as_written(card, tensors, views, want),
    )
    assert ours.features is not None
    assert theirs.features is not None
    np.testing.assert_allclose(
        ours.features.average, theirs.features.average, atol=1e-4 * np.abs(theirs.features.average).max()
    )
    with pytest.raises(UnknownName, match="mixed_3b"):
        OnnxBackend(card, out, "cpu", "auto").outputs(views, Want(attention={"mixed_4b": None}))


def test_features_of_a_file_without_them(exported: Exported, small_card: Card) -> None:
    views = np.zeros((1, 3, 8, 64, 64), np.float32)
    backend = OnnxBackend(small_card, exported.path, "cpu", "auto")
    with pytest.raises(UsageError, match="--features"):
        backend.outputs(views, Want(features=True))
    with pytest.raises(UsageError, match="no non-local blocks"):
        backend.outputs(views, Want(attention={"mixed_3b": [0]}))
    architecture = replace(small_card.architecture, nonlocal_blocks=NonLocal(("mixed_3b",)))
    backend = OnnxBackend(replace(small_card, architecture=architecture), exported.path, "cpu", "auto")
    with pytest.raises(UsageError, match=r"attention of mixed_3b.*--features"):
        backend.outputs(views, Want(attention={"mixed_3b": [0]}))


def test_features_that_differ(exported: Exported, small_file: Path, small_card: Card) -> None:
    """The check reads the features: those of other weights are far off."""
    tensors = open_checkpoint(small_file)[1]
    views = np.random.default_rng(0).standard_normal((1, 3, 8, 64, 64), dtype=np.float32)
    backend = TorchBackend(small_card, tensors, "cpu", "fp32")
    assert check.features_difference(small_card, tensors, backend, views) < 1e-5
    changed = tensors | {"conv_2c.norm.bias": tensors["conv_2c.norm.bias"] + np.float32(1)}
    assert check.features_difference(small_card, changed, backend, views) > 1e-2
    with pytest.raises(ReferenceMismatch, match="features"):
        module._require_features(small_card, 2e-4, exported.comparisons[0])
    with pytest.raises(ReferenceMismatch, match="features"):
        module._require_features(small_card, float("nan"), exported.comparisons[0])


@pytest.fixture(scope="module")
def with_pixels(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose graph takes pixels, of any size."""
    path = tmp_path_factory.mktemp("pixels") / "pixels.onnx"
    return export_onnx(small_file, path, with_preprocess=True, device="cpu").path


def test_pixels_in_the_graph(with_pixels: Path, small_file: Path, clips: Path) -> None:
    session = onnxruntime.InferenceSession(with_pixels, providers=["CPUExecutionProvider"])
    video = session.get_inputs()[0]
    assert (video.type, video.shape) == ("tensor(uint8)", ["batch", "frames", "height", "width", 3])
    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 64, 64, 3), dtype=np.uint8)
    (scores,) = session.run(["scores"], {"video": pixels})
    normalised = ((pixels - np.float32(127.5)) / np.float32(127.5)).transpose(0, 4, 1, 2, 3)
    np.testing.assert_allclose(scores, nlvid_cli.load(small_file, precision="fp32").scores(normalised), atol=1e-4)
    assert scores_of(with_pixels, clips / "long.mp4") == pytest.approx(
        scores_of(small_file, clips / "long.mp4", precision="fp32"), abs=1e-4
    )


def test_pixels_in_the_graph_of_a_model_that_resizes_to_fractions(
    with_pixels: Path, small_card: Card, small_file: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph takes whole pixels, so the reference must too: rounding is not an error of the file."""
    reuse_graph(with_pixels, monkeypatch)
    card = replace(small_card, preprocess=replace(small_card.preprocess, resize="float_bilinear"))
    write_checkpoint(tmp_path / "small.safetensors", card, open_checkpoint(small_file)[1])
    exported = export_onnx(
        tmp_path / "small.safetensors", tmp_path / "pixels.onnx", with_preprocess=True,
        video=clips / "long.mp4", device="cpu",
    )  # fmt: skip
    assert all(row.relative_difference < 1e-5 for row in exported.comparisons)


def test_half_precision(small_file: Path, exported: Exported, clips: Path, tmp_path: Path) -> None:
    half = export_onnx(small_file, tmp_path / "half.onnx", precision="fp16", device="cpu")
    assert half.size_bytes < 0.6 * exported.size_bytes
    assert max(row.relative_difference for row in half.comparisons) < 0.01
    kinds = read_onnx(half.path).weight_kinds
    assert kinds["float16"] > kinds["float32"] > 0  # the head stays as it was
    assert nlvid_cli.load(half.path).backend.precision == "fp16"
    assert scores_of(half.path, clips / "long.mp4") == pytest.approx(
        scores_of(exported.path, clips / "long.mp4"), abs=0.02
    )


def test_int8(
    small_file: Path, exported: Exported, clips: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert graph.DTYPES["int8"] is graph.DTYPES["fp32"]
    reuse_graph(exported.path, monkeypatch)
    caplog.set_level(logging.INFO)
    (clips / "broken.mp4").write_bytes(b"no video")
    videos = sorted(clips.iterdir())
    small = export_onnx(small_file, tmp_path / "int8.onnx", precision="int8", calibrate=videos, device="cpu")
    (clips / "broken.mp4").unlink()
    assert "not calibrated on: " in caplog.text
    assert "calibrated on 4 views of 3 videos, and altered ones up to 8" in caplog.text
    # of so small a network the graph is a good part; of the real ones it is nothing
    kinds = read_onnx(small.path).weight_kinds
    assert kinds["int8"] > 0.9 * sum(read_onnx(exported.path).weight_kinds.values()) / 4
    operators = read_onnx(small.path).operators
    assert operators["QuantizeLinear"] > 10
    assert small.card.accuracy == exported.card.accuracy
    inside = card_from_json(read_onnx(small.path).metadata[CARD_KEY], "test")
    assert inside.accuracy == ()  # nobody measured it in int8
    assert scores_of(small.path, clips / "long.mp4") == pytest.approx(
        scores_of(exported.path, clips / "long.mp4"), abs=0.2
    )


def test_a_file_that_differs_is_not_kept(
    exported: Exported, small_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the exporter had lost a bias: the comparison fails, and the old file stays."""
    wrong = onnx.load(exported.path)
    (bias,) = [entry for entry in wrong.graph.initializer if entry.name.endswith("head.classifier.bias")]
    bias.raw_data = (np.frombuffer(bias.raw_data, np.float32) + np.float32(0.1)).tobytes()
    monkeypatch.setattr(graph, "build_graph", lambda *_: wrong)
    before = tmp_path / "model.onnx"
    before.write_bytes(b"old file")
    with pytest.raises(ReferenceMismatch, match="no file was written"):
        export_onnx(small_file, before, device="cpu")
    assert before.read_bytes() == b"old file"
    assert list(tmp_path.iterdir()) == [before]


def test_a_good_file_that_cannot_be_timed_is_kept(
    exported: Exported, small_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    reuse_graph(exported.path, monkeypatch)

    def fail(*_: object) -> Speed:
        raise DeviceError("device 'cuda:0' is not available here")

    monkeypatch.setattr(check, "measure_speed", fail)
    outcome = run("export", "-m", small_file, "-o", tmp_path / "m.onnx", "--json")
    assert outcome.status == 0
    assert "the file could not be timed here: device 'cuda:0' is not available here" in outcome.err
    assert json.loads(outcome.out)["speed"] is None
    assert (tmp_path / "m.onnx").is_file()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"precision": "int8"}, UsageError, "--calibrate"),
        ({"calibrate": ["a.mp4"]}, UsageError, "int8"),
        ({"output": "model.pt"}, UsageError, r"\.onnx"),
        ({"output": None}, UsageError, "named model"),
        ({"output": None, "static": True}, UsageError, "cache"),
        ({"output": None, "features": True}, UsageError, "cache"),
        ({"output": "no/such/folder/model.onnx"}, OutputError, "folder"),
        ({"output": f"{'long' * 80}.onnx"}, OutputError, "name too long"),
        ({"model": "missing.safetensors"}, ModelFileError, "file"),
    ],
)
def test_options_that_do_not_fit_an_export(
    options: dict[str, object], error: type[Exception], message: str, small_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(module, "_export", lambda *_: pytest.fail("the export began"))
    arguments = {"model": small_file, "output": tmp_path / "model.onnx", **options}
    with pytest.raises(error, match=message):
        export_onnx(**arguments)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_a_folder(small_file: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        export_onnx(small_file, tmp_path / "folder.onnx")


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("NLVID_CACHE", str(tmp_path / "file" / "cache"))
    outcome = run("export", "--model", "tiny")
    assert outcome.status == 1
    assert f"error: {tmp_path}/file/cache/models/" in outcome.err
    assert "cannot be written (Not a directory)" in outcome.err


def test_sigterm_ends_an_export_like_ctrl_c(
    small_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    def terminated(*_: object) -> Exported:
        assert len(list(tmp_path.iterdir())) == 1
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("it went on")

    monkeypatch.setattr(module, "_export", terminated)
    before = signal.getsignal(signal.SIGTERM)
    assert run("export", "-m", small_file, "-o", tmp_path / "m.onnx").status == 130
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_the_exporter_reports_as_an_error_still_ends_it(
    number: signal.Signals, small_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """As during imports of torch itself: the next attempt would go on for minutes."""

    def export(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise torch.onnx.errors.OnnxExporterError("partially initialized module") from None

    monkeypatch.setattr(torch.onnx, "export", export)
    outcome = run("export", "-m", small_file, "-o", tmp_path / "m.onnx")
    assert (outcome.status, "cannot be exported" in outcome.err) == (130, False)
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named(small_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_is_installed", lambda name: name != "onnxscript")
    with pytest.raises(UsageError, match="onnxscript"):
        export_onnx(small_file, tmp_path / "model.onnx")


def test_the_sentence_on_speed() -> None:
    computed = {"torch": "bf16 on cpu", "onnx": "fp32 on cpu"}
    assert Speed({"torch": 1.0, "onnx": 2.5}, computed).sentence() == (
        "one view takes ONNX Runtime 2.50 s in fp32 on cpu, torch 1.00 s in bf16 on cpu: "
        "torch is 2.5 times as fast here"
    )
    assert Speed({"torch": 1.0, "onnx": 1.02}, computed).sentence().endswith(": both are equally fast here")


def test_a_file_without_a_card(exported: Exported, small_card: Card, clips: Path, tmp_path: Path, run: Run) -> None:
    """With one output, for one view of another size. It needs --as."""
    model = onnx.load(exported.path)
    del model.metadata_props[:]
    graph = model.graph
    (graph.input[0].type.tensor_type.shape.dim[0]).dim_value = 1
    for axis, length in ((2, 8), (3, 48), (4, 48)):
        graph.input[0].type.tensor_type.shape.dim[axis].dim_value = length
    del graph.output[0]
    path = tmp_path / "theirs.onnx"
    onnx.save(model, path)
    outcome = run("classify", clips, "-m", path)
    assert outcome.status == 2
    assert "an ONNX file without a model card" in outcome.err
    wrong = run("classify", clips, "-m", path, "--as", "i3d")
    assert wrong.status == 3
    assert "(any, 5)" in wrong.err


def test_a_file_without_a_card_as_a_model(
    exported: Exported, small_card: Card, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    from nlvid_cli.models import find

    caplog.set_level(logging.INFO)
    model = onnx.load(exported.path)
    del model.metadata_props[:]
    for axis, length in ((0, 1), (2, 6), (3, 48), (4, 48)):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = length
    path = tmp_path / "theirs.onnx"
    onnx.save(model, path)
    monkeypatch.setattr(find, "find_card", lambda name: small_card)
    recognizer = nlvid_cli.load(path, as_name="small.test", device="cpu")
    assert "6 frames of 48 x 48" in caplog.text
    assert (recognizer.card.name, recognizer.card.accuracy) == ("theirs", ())
    result = recognizer.classify(clips / "long.mp4", ALL)
    assert result.views.frames == 6
    card = replace(
        small_card,
        sampling=replace(small_card.sampling, frames=6),
        preprocess=replace(small_card.preprocess, crop=48),
    )
    own = nlvid_cli.load(exported.path, device="cpu")
    own.card = card
    expected = {entry.label: entry.score for entry in own.classify(clips / "long.mp4", ALL).predictions}
    assert {entry.label: entry.score for entry in result.predictions} == pytest.approx(expected, abs=1e-5)


def test_a_video_to_compare_on_that_does_not_exist(small_file: Path, tmp_path: Path, run: Run) -> None:
    make_clip(tmp_path / "tiny.mp4", frames=3)
    outcome = run("export", "-m", small_file, "-o", tmp_path / "m.onnx", "--clip", tmp_path / "missing.mp4")
    assert outcome.status == 1
    assert "missing.mp4" in outcome.err
    assert not (tmp_path / "m.onnx").exists()
