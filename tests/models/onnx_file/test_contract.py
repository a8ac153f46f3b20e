"""Inputs and outputs of other programs' ONNX files, and files that are not for videos."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from nlvid_cli.card.card import Card
from nlvid_cli.errors import CheckpointMismatch, ModelFileError
from nlvid_cli.models.onnx_file.contract import facts_of, fit_card, interface_of
from nlvid_cli.models.onnx_file.read import read_onnx
from tests.onnx_models import make_model, write_model


def test_a_fixed_size_becomes_that_of_the_card(card: Card, tmp_path: Path) -> None:
    path = write_model(tmp_path / "theirs.onnx", make_model(shape=(1, 3, 32, 224, 224)))
    interface = interface_of(read_onnx(path), card, "theirs.onnx")
    assert (interface.input, interface.batch, interface.frames, interface.size) == ("video", 1, 32, (224, 224))
    fitted = fit_card(card, path)
    assert (fitted.sampling.frames, fitted.preprocess.crop, fitted.preprocess.short_side) == (32, 224, 224)
    assert fitted.sampling.step == card.sampling.step
    assert fit_card(card, write_model(tmp_path / "free.onnx", make_model())) == card


@pytest.mark.parametrize(
    ("last", "scores", "logits"), [(None, None, "out"), ("Softmax", "out", None), ("Sigmoid", "out", None)]
)
def test_the_last_operator_distinguishes_scores_from_logits(
    last: str | None, scores: str | None, logits: str | None, card: Card, tmp_path: Path
) -> None:
    interface = interface_of(read_onnx(write_model(tmp_path / "m.onnx", make_model(last=last))), card, "m.onnx")
    assert (interface.scores, interface.logits, interface.precision) == (scores, logits, "fp32")


@pytest.mark.parametrize("last", ["Softmax", "Sigmoid", "Relu"])
def test_operators_that_compute_nothing_are_skipped(last: str, card: Card, tmp_path: Path) -> None:
    """Otherwise scores would be mistaken for logits, and go through softmax again."""
    model = make_model(output="made", last=last)
    model.graph.node.append(helper.make_node("Cast", ["made"], ["cast"], to=TensorProto.FLOAT))
    model.graph.node.append(helper.make_node("Flatten", ["cast"], ["out"]))
    model.graph.output[0].name = "out"
    interface = interface_of(read_onnx(write_model(tmp_path / "m.onnx", model)), card, "m.onnx")
    assert (interface.scores, interface.logits) == ((None, "out") if last == "Relu" else ("out", None))


def test_operators_in_a_circle(card: Card, tmp_path: Path) -> None:
    model = make_model(output="made")
    model.graph.node.append(helper.make_node("Identity", ["out"], ["out"]))
    model.graph.output[0].name = "out"
    assert interface_of(read_onnx(write_model(tmp_path / "m.onnx", model)), card, "m.onnx").logits == "out"


def test_facts(card: Card, tmp_path: Path) -> None:
    facts = facts_of(write_model(tmp_path / "m.onnx", make_model(last="Softmax")), card)
    assert facts.input == "video, float32 (any, 3, any, any, any)"
    assert facts.outputs == ("out, float32 (any, 5)",)
    assert (facts.opset, facts.precision) == (18, "fp32")


def _two_inputs() -> onnx.ModelProto:
    model = make_model()
    model.graph.input.append(helper.make_tensor_value_info("rois", TensorProto.FLOAT, [4]))
    return model


def _two_outputs() -> onnx.ModelProto:
    model = make_model()
    model.graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 3]))
    return model


def _in_precision(name: str) -> onnx.ModelProto:
    model = make_model()
    helper.set_model_props(model, {"nlvid_precision": name})
    return model


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (_two_inputs(), ModelFileError, r"has 2 inputs \(video, rois\)"),
        (_two_outputs(), ModelFileError, "outputs out, features"),
        (make_model(shape=("n", 3, 224, 224)), ModelFileError, r"\(any, 3, 224, 224\); clips"),
        (make_model(shape=(1, 10, 3, 32, 224, 224)), ModelFileError, "clips are"),
        (make_model(shape=("n", 16, 3, 112, 112)), ModelFileError, "clips are"),
        (make_model(kind=TensorProto.UINT8, shape=(1, 3, 16, 112, 112)), ModelFileError, r"are \(N, T, H, W, 3\)"),
        (make_model(kind=TensorProto.INT32), ModelFileError, "int32"),
        (make_model(shape=("n", 3, 10**5, 10**5, 10**5)), ModelFileError, "100000 x 100000"),
        (make_model(shape=(10**9, 3, "t", "h", "w")), ModelFileError, r"1000000000 x 8 x 64 x 64 \(views x"),
        (make_model(shape=("n", 3, 10**6, "h", "w")), ModelFileError, "1 x 1000000 x 64 x 64"),
        (_in_precision("\x1b[31mfp4"), ModelFileError, r"precision is '\\x1b\[31mfp4'"),
        (make_model(classes=400), CheckpointMismatch, r"shape \(any, 400\).* 5 labels"),
    ],
)  # fmt: skip
def test_files_that_are_not_for_videos(
    model: onnx.ModelProto, error: type[Exception], message: str, card: Card, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        interface_of(read_onnx(write_model(tmp_path / "m.onnx", model)), card, "m.onnx")


def test_frames_that_are_not_square(card: Card, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="340 x 256 pixels"):
        fit_card(card, write_model(tmp_path / "m.onnx", make_model(shape=(1, 3, 8, 256, 340))))
