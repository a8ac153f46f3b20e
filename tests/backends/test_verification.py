"""Comparisons with references, and the report of differences."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from nlvid_cli.backends import Outputs
from nlvid_cli.backends.references import ReferenceOutputs, noise_clips, read_references
from nlvid_cli.backends.verification import compare, verify, verify_onnx
from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import find_card, weights_folder
from nlvid_cli.errors import UsageError
from nlvid_cli.models.model_file import write_checkpoint
from nlvid_cli.models.onnx_file.contract import REFERENCE_KEY
from tests.conftest import Run
from tests.onnx_models import make_model, write_model

Tensors = dict[str, np.ndarray]
TAG = "1x3x8x64x64"


def _write(path: Path, card: Card, tensors: Tensors, **changes: object) -> Path:
    """Write a file of references for the test's model, made with torch."""
    from nlvid_cli.backends.torch_backend import outputs_as_written

    outputs = outputs_as_written(card, tensors, noise_clips((1, 3, 8, 64, 64), 7))
    values: dict[str, object] = {"seed": 7, f"logits_{TAG}": outputs.logits, f"scores_{TAG}": outputs.scores}
    np.savez(path, **{name: value for name, value in (values | changes).items() if value is not None})  # type: ignore[arg-type]
    return path


def test_inputs_are_the_same_on_every_machine() -> None:
    """Literal values, so that a change of the generator or of the order of axes shows."""
    clips = noise_clips((1, 3, 2, 2, 2), 1234)
    np.testing.assert_allclose(clips[0, 0, 0], [[0.471435, -1.190976], [1.432707, -0.312652]], atol=1e-6)
    other = noise_clips((1, 3, 2, 2, 2), 1234, axes="NTHWC", scale=2.0)
    np.testing.assert_allclose(other[0, :, 0, 0, 0], [0.942870, -2.381951, 2.865414], atol=1e-5)
    assert other.flags.c_contiguous


def test_without_a_stored_reference_the_plain_network_is_the_reference(card: Card, random_tensors: Tensors) -> None:
    rows = verify(card, random_tensors, "cpu")
    assert [(row.backend, row.precision) for row in rows] == [("torch", "fp32"), ("torch", "bf16")]
    assert all(row.passed and row.shape == (1, 3, 8, 64, 64) for row in rows)
    assert 0 < rows[0].relative_difference < 1e-5 < rows[1].relative_difference
    assert rows[0].same_top5
    assert rows[0].reference == "network as written, fp32"


def test_a_single_wrong_bias_is_noticed(card: Card, random_tensors: Tensors, tmp_path: Path) -> None:
    path = _write(tmp_path / "reference.npz", card, random_tensors)
    (good,) = verify(card, random_tensors, "cpu", ["fp32"], path)
    assert good.passed
    assert good.scores_difference is not None
    assert good.scores_difference < 1e-5
    bias = random_tensors["conv_1a.norm.bias"].copy()
    bias[0] += 1.0
    (bad,) = verify(card, random_tensors | {"conv_1a.norm.bias": bias}, "cpu", ["fp32"], path)
    assert not bad.passed


class Fixed:
    """A backend that returns the same logits for all views."""

    name, device, precision, views_per_batch = "fixed", "nowhere", "fp32", 1

    def __init__(self, logits: list[list[float]]) -> None:
        self._logits = np.array(logits, np.float32)

    def outputs(self, clips: np.ndarray) -> Outputs:
        return Outputs(self._logits, np.zeros_like(self._logits))


def test_compare_by_hand() -> None:
    reference = ReferenceOutputs("test", noise_clips((1, 3, 1, 1, 1), 1), np.array([[4.0, -8.0, 1.0]]), None)
    row = compare(reference, Fixed([[4.0, -8.0, 1 + 2**-11]]))
    assert (row.backend, row.device, row.precision) == ("fixed", "nowhere", "fp32")
    assert row.logits_difference == 2**-11
    assert row.relative_difference == 2**-14
    assert row.passed
    assert row.scores_difference is None
    assert not compare(reference, Fixed([[np.nan] * 3])).passed


def test_right_logits_with_wrong_scores_do_not_pass() -> None:
    logits = np.array([[4.0, -8.0, 1.0]], np.float32)
    right = ReferenceOutputs("test", noise_clips((1, 3, 1, 1, 1), 1), logits, np.zeros((1, 3)))
    assert compare(right, Fixed(logits.tolist())).passed
    wrong = replace(right, scores=np.array([[0.0, np.nan, 0.0]]))
    assert not compare(wrong, Fixed(logits.tolist())).passed
    wrong = replace(right, scores=np.array([[0.0, 2**-9, 0.0]]))
    row = compare(wrong, Fixed(logits.tolist()))
    assert (row.logits_difference, row.scores_difference, row.passed) == (0, 2**-9, False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": None}, "not a file of references"),
        ({f"logits_{TAG}": None}, "logits_SHAPE"),
        ({"axes": "NCTHX"}, "axes"),
        ({"logits_1x3x8": np.zeros((1, 5))}, "shape"),
        ({"logits_999x3x9999x9999x9999": np.zeros((1, 5))}, "values"),
        ({f"logits_{TAG}": np.zeros((1, 6))}, r"shape is \(1, 6\)"),
        ({f"scores_{TAG}": np.zeros((2, 5))}, r"shape is \(2, 5\)"),
        ({f"logits_{TAG}": np.zeros((1, 5))}, "logits are zero"),
        ({f"logits_{TAG}": np.array([{}], dtype=object)}, "not a file of references"),
    ],
)
def test_files_that_are_not_references(
    card: Card, random_tensors: Tensors, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = _write(tmp_path / "bad.npz", card, random_tensors, **changes)
    with pytest.raises(UsageError, match=message):
        read_references(path, card, "test")


def _inside(**changes: object) -> str:
    good = {"seed": 1, "shape": [1, 3, 8, 16, 16], "logits": [1.0] * 5, "scores": [0.2] * 5}
    return json.dumps(good | changes)


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("[" * 100_000, "deep"),
        ("{}", "shape"),
        (_inside(shape=[]), "shape"),
        (_inside(shape=3), "iterable"),
        (_inside(shape=[1, 3, float("inf"), 16, 16]), "Infinity"),
        (_inside(shape=[1, 3, 2**26, 1, 1]), "values"),
        (_inside(shape=[1, 3, -8, 16, 16]), "shape"),
        (_inside(logits=[0.0] * 5), "logits are zero"),
        (_inside(logits=[1.0]), "reshape"),
        (_inside(seed=-1), "Seed"),
        (_inside(seed=float("inf")), "Infinity"),
    ],
)
def test_malicious_references_inside_onnx_files(inside: str, message: str, card: Card, tmp_path: Path) -> None:
    model = make_model()
    helper.set_model_props(model, {REFERENCE_KEY: inside})
    path = write_model(tmp_path / "m.onnx", model)
    with pytest.raises(UsageError, match=f"not valid .*{message}"):
        verify_onnx(card, path, "cpu")


def test_other_files_are_not_references_either(card: Card, tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "noise.npz").write_bytes(b"noise" * 100)
    for name in ("array.npy", "noise.npz", "none.npz"):
        with pytest.raises(UsageError, match=name):
            read_references(tmp_path / name, card, "test")


FP32 = ("--device", "cpu", "--precision", "fp32")


def test_the_command_says_by_how_much(run: Run, model_file: Path) -> None:
    outcome = run("models", "verify", model_file, "--device", "cpu")
    assert (outcome.status, outcome.err) == (0, "")
    assert [line.split()[-1] for line in outcome.out.splitlines()[1:]] == ["good", "good"]
    (row,) = json.loads(run("models", "verify", model_file, *FP32, "--json").out)
    assert row["passed"]
    assert row["relative_difference"] == row["logits_difference"] / row["largest_logit"] < 1e-5


def test_the_command_fails_where_outputs_differ(
    run: Run, model_file: Path, card: Card, random_tensors: Tensors, tmp_path: Path
) -> None:
    path = _write(tmp_path / "reference.npz", card, random_tensors)
    changed = {name: array * 1.01 if name.startswith("head") else array for name, array in random_tensors.items()}
    write_checkpoint(tmp_path / "changed.safetensors", card, changed)
    outcome = run("models", "verify", tmp_path / "changed.safetensors", *FP32, "--against", path)
    assert outcome.status == 3
    assert "over 1e-04" in outcome.out
    assert "1 of 1 comparisons are out of tolerance; in fp32, outputs differ by 0.01" in outcome.err
    assert run("models", "verify", model_file, *FP32, "--against", path).status == 0


def test_stored_references_belong_to_models() -> None:
    for path in (weights_folder() / "references").iterdir():
        card = find_card(path.stem)
        assert card.name == path.stem
        assert read_references(path, card, "test")


@pytest.mark.network
def test_the_real_i3d_computes_what_the_original_implementation_did(run: Run) -> None:
    outcome = run("models", "verify", "i3d", *FP32, "--json")
    rows = json.loads(outcome.out)
    assert outcome.status == 0
    assert [row["shape"] for row in rows] == [[1, 3, 16, 224, 224], [1, 3, 24, 224, 288]]
    assert all(row["reference"] == "original implementation" and row["same_top5"] for row in rows)
