from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from nlvid_cli.backends import BACKENDS, Outputs, Want
from nlvid_cli.backends import torch_backend as module
from nlvid_cli.backends.streams import Streams, streams_for
from nlvid_cli.backends.torch_backend import TorchBackend, choose_device, choose_precision, describe_devices
from nlvid_cli.card.card import Card
from nlvid_cli.errors import DeviceError, UnknownName
from nlvid_cli.models.find import find_model
from nlvid_cli.models.model_file import open_checkpoint
from nlvid_cli.network.build import load_network
from tests.small_networks import NETWORKS, random_weights


@pytest.fixture(scope="module")
def backend(card: Card, random_tensors: dict[str, np.ndarray]) -> TorchBackend:
    return TorchBackend(card, random_tensors, "cpu", "fp32")


@pytest.fixture(scope="module")
def clips() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, 3, 8, 64, 64), dtype=np.float32)


def test_scores_are_the_softmax_of_the_logits(backend: TorchBackend, clips: np.ndarray) -> None:
    outputs = backend.outputs(clips)
    logits, scores = outputs.logits, outputs.scores
    assert scores.shape == logits.shape == (3, 5)
    assert scores.dtype == np.float32
    powers = np.exp(logits)
    np.testing.assert_allclose(scores, powers / powers.sum(axis=1, keepdims=True), rtol=1e-5)


def test_the_batch_size_does_not_change_the_scores(backend: TorchBackend, clips: np.ndarray) -> None:
    one_by_one = np.concatenate([backend.outputs(clip[None]).scores for clip in clips])
    backend.views_per_batch = 2
    np.testing.assert_allclose(backend.outputs(clips).scores, one_by_one, rtol=1e-4)
    backend.views_per_batch = 1


@pytest.mark.parametrize("name", ["tiny", "dot product, bottlenecks, dilation"])
@pytest.mark.parametrize("size", [(8, 64, 64), (7, 53, 71)])
def test_features_are_the_map_before_the_head(name: str, size: tuple[int, int, int]) -> None:
    if name == "tiny":
        card, path = find_model("tiny")
        tensors = open_checkpoint(path)[1]
    else:
        card, tensors = NETWORKS[name], random_weights(NETWORKS[name])
    clips = np.random.default_rng(0).standard_normal((2, 3, *size), dtype=np.float32)
    outputs = TorchBackend(card, tensors, "cpu", "fp32").outputs(clips, Want(features=True))
    with torch.no_grad():
        expected = load_network(card, tensors).features(torch.from_numpy(clips)).numpy()
    assert outputs.attention is None
    assert outputs.features is not None
    assert outputs.features.map.dtype == outputs.features.average.dtype == np.float32
    largest = np.abs(expected).max()
    np.testing.assert_allclose(outputs.features.map, expected, atol=1e-5 * largest)
    np.testing.assert_allclose(outputs.features.average, expected.mean(axis=(2, 3, 4)), atol=1e-5 * largest)


def test_asking_for_more_changes_no_score_and_leaves_no_hook() -> None:
    card = NETWORKS["embedded Gaussian, groups of frames, sigmoid"]
    backend = TorchBackend(card, random_weights(card), "cpu", "bf16")
    clips = np.random.default_rng(0).standard_normal((2, 3, 8, 64, 64), dtype=np.float32)
    plain = backend.outputs(clips)
    assert plain.features is plain.attention is None
    more = backend.outputs(clips, Want(features=True, attention={"res3.0": [0]}))
    np.testing.assert_array_equal(more.logits, plain.logits)
    np.testing.assert_array_equal(more.scores, plain.scores)
    assert more.features is not None
    assert more.features.map.dtype == np.float32
    assert not any(module._forward_pre_hooks for module in backend._network.modules())


def test_views_side_by_side_keep_their_own_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    card = NETWORKS["along time alone"]
    clips = np.random.default_rng(0).standard_normal((9, 3, 8, 32, 32), dtype=np.float32)
    want = Want(features=True, attention={"res3.0": [3]})
    backend = TorchBackend(card, random_weights(card), "cpu", "fp32")
    backend._streams = None
    one_by_one = [backend.outputs(clip[None], want) for clip in clips]
    backend.views_per_batch, backend._streams = 4, Streams(4, 1)
    together = backend.outputs(clips, want)
    assert together.features is not None
    assert together.attention is not None
    for place, one in enumerate(one_by_one):
        assert one.features is not None
        assert one.attention is not None
        np.testing.assert_allclose(together.features.average[place], one.features.average[0], rtol=1e-5)
        np.testing.assert_allclose(
            together.attention["res3.0"].weights[place], one.attention["res3.0"].weights[0], atol=1e-6
        )


@pytest.mark.parametrize(("threads", "expected"), [(1, (1, 1)), (2, (2, 1)), (6, (3, 2)), (8, (4, 2)), (64, (4, 16))])
def test_views_share_the_processors(threads: int, expected: tuple[int, int]) -> None:
    assert streams_for(threads) == expected


def test_views_side_by_side(
    card: Card, random_tensors: dict[str, np.ndarray], clips: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # or there are no more than processors
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    expected = TorchBackend(card, random_tensors, "cpu", "fp32").outputs(clips).logits
    try:
        torch.set_num_threads(2)
        backend = TorchBackend(card, random_tensors, "cpu", "fp32")
        assert backend.views_per_batch == 2
        forward, seen = backend._forward, []

        def noted(batch: torch.Tensor, want: Want) -> Outputs:
            seen.append((threading.current_thread().name.startswith("nlvid-view"), torch.get_num_threads(), len(batch)))
            return forward(batch, want)

        backend._forward = noted  # type: ignore[method-assign]
        np.testing.assert_allclose(backend.outputs(clips).logits, expected, rtol=1e-5)
        assert seen == [(True, 1, 1), (True, 1, 1), (False, 2, 1)]
        started: list[int] = []
        thread = threading.Thread(target=lambda: started.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert started == [2]  # what others begin with is as before
    finally:
        torch.set_num_threads(before)


def test_out_of_memory_halves_the_batch_and_goes_on(
    card: Card,
    random_tensors: dict[str, np.ndarray],
    clips: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = TorchBackend(card, random_tensors, "cpu", "fp32")
    expected = backend.outputs(clips).scores
    backend.views_per_batch, backend._streams = 3, None  # as on a GPU
    forward = backend._forward

    def only_one_view(batch: torch.Tensor, want: Want) -> Outputs:
        if len(batch) > 1:
            raise torch.OutOfMemoryError("made by the test")
        return forward(batch, want)

    monkeypatch.setattr(backend, "_forward", only_one_view)
    np.testing.assert_allclose(backend.outputs(clips).scores, expected, rtol=1e-4)
    assert backend.views_per_batch == 1
    assert "cpu ran out of memory; going on with 1 views at a time" in caplog.text


def test_out_of_memory_for_one_view_is_an_error(
    card: Card, random_tensors: dict[str, np.ndarray], clips: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = TorchBackend(card, random_tensors, "cpu", "fp32")

    def never(batch: torch.Tensor, want: Want) -> Outputs:
        raise torch.OutOfMemoryError("made by the test")

    monkeypatch.setattr(backend, "_forward", never)
    with pytest.raises(DeviceError, match="not enough memory for a single view"):
        backend.outputs(clips)


@pytest.mark.parametrize("name", ["cuda:99", "mps:7", "xpu", "tpu", ""])
def test_devices_that_are_not_there(name: str) -> None:
    with pytest.raises(DeviceError, match=r"no such device|not available here"):
        choose_device(name)


def test_auto_precision_follows_the_units_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for units, expected in ({"amx_bf16": True}, "bf16"), ({"avx512_bf16": True}, "bf16"), ({"avx2": True}, "fp32"):
        monkeypatch.setattr(module.torch.cpu, "get_capabilities", lambda units=units: units)
        assert choose_precision(cpu, "auto") == expected
        assert choose_precision(cpu, "fp32") == "fp32"


@pytest.mark.parametrize("name", ["fp16", "int3"])
def test_precisions_that_a_cpu_does_not_do(name: str) -> None:
    with pytest.raises(DeviceError):
        choose_precision(torch.device("cpu"), name)  # type: ignore[arg-type]


def test_the_dict_of_backends(card: Card, model_file: Path) -> None:
    backend = BACKENDS["torch"](card, model_file, "cpu", "auto")
    assert (backend.name, backend.device) == ("torch", "cpu")
    assert backend.precision in ("bf16", "fp32")


def test_describe_devices() -> None:
    assert "threads" in describe_devices()["cpu"]


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_cuda_agrees_with_the_cpu(
    precision: str, card: Card, random_tensors: dict[str, np.ndarray], clips: np.ndarray
) -> None:
    expected = TorchBackend(card, random_tensors, "cpu", "fp32").outputs(clips).scores
    backend = TorchBackend(card, random_tensors, "cuda", precision)  # type: ignore[arg-type]
    np.testing.assert_allclose(backend.outputs(clips).scores, expected, atol=1e-3 if precision == "fp32" else 2e-2)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradients_and_what_a_block_adds(precision: str) -> None:
    card, path = find_model("tiny")
    backend = TorchBackend(card, open_checkpoint(path)[1], "cpu", precision)  # type: ignore[arg-type]
    view = np.random.default_rng(0).standard_normal((1, 3, 16, 64, 80), dtype=np.float32)
    found = backend.gradients(view, 3, ["mixed_4b"])
    plain = backend.outputs(view, Want(features=True))
    assert found.logit == pytest.approx(float(plain.logits[0, 3]), abs=1e-4 if precision == "fp32" else 0.1)
    assert plain.features is not None
    assert found.features.shape == found.feature_gradient.shape == plain.features.map[0].shape
    change = found.blocks["mixed_4b"]
    assert change.size.shape == change.effect.shape == found.features.shape[1:]
    assert change.size.min() > 0
    assert not change.ignores_weights
    with pytest.raises(UnknownName, match="non-local block"):
        backend.gradients(view, 3, ["mixed_5c"])
