"""ONNX Runtime on small graphs with known outputs. tests/onnx_export tests exported networks."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from nlvid_cli.backends import BACKENDS, Outputs, Want, onnx_backend, onnx_session, providers
from nlvid_cli.backends.onnx_backend import OnnxBackend, as_input
from nlvid_cli.backends.onnx_session import reason_of, start_session, threads
from nlvid_cli.backends.providers import OnnxDevice, onnx_devices
from nlvid_cli.card.card import Card
from nlvid_cli.errors import DeviceError, InputShapeError, ModelFileError, UnsafeFile, UsageError
from tests.onnx_models import make_model, weights_of, write_model


@pytest.fixture
def clips() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, 3, 8, 16, 16), dtype=np.float32)


def _expected(clips: np.ndarray) -> np.ndarray:
    return clips.mean(axis=(2, 3, 4)) @ weights_of()


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def test_a_graph_of_logits(card: Card, clips: np.ndarray, tmp_path: Path) -> None:
    backend = BACKENDS["onnx"](card, write_model(tmp_path / "m.onnx", make_model()), "cpu", "auto")
    assert (backend.name, backend.device, backend.precision, backend.views_per_batch) == ("onnx", "cpu", "fp32", 1)
    np.testing.assert_allclose(backend.outputs(clips).logits, _expected(clips), atol=1e-6)
    np.testing.assert_allclose(backend.outputs(clips).scores, _softmax(_expected(clips)), atol=1e-6)
    several = replace(card, labels=replace(card.labels, kind="multi"))
    backend = OnnxBackend(several, tmp_path / "m.onnx", "cpu", "auto")
    np.testing.assert_allclose(backend.outputs(clips).scores, 1 / (1 + np.exp(-_expected(clips))), atol=1e-6)


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_a_graph_of_scores(kind: str, card: Card, clips: np.ndarray, tmp_path: Path) -> None:
    """Logits come back from scores: of a softmax up to what is the same for all classes, of a sigmoid exactly."""
    card = replace(card, labels=replace(card.labels, kind=kind))  # type: ignore[arg-type]
    model = make_model(last="Softmax" if kind == "single" else "Sigmoid")
    backend = OnnxBackend(card, write_model(tmp_path / "m.onnx", model), "cpu", "auto")
    outputs, expected = backend.outputs(clips), _expected(clips)
    logits, scores = outputs.logits, outputs.scores
    if kind == "single":
        np.testing.assert_allclose(scores, _softmax(expected), atol=1e-6)
        logits, expected = logits - logits[:, :1], expected - expected[:, :1]
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_a_fixed_batch_is_filled_up(card: Card, clips: np.ndarray, tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", make_model(shape=(2, 3, 8, 16, 16)))
    backend = OnnxBackend(card, path, "cpu", "auto")
    assert backend.views_per_batch == 2
    np.testing.assert_allclose(backend.outputs(clips).logits, _expected(clips), atol=1e-6)
    with pytest.raises(InputShapeError, match=r"8 x 16 x 16 \(T x H x W\), not 4 x 16 x 16"):
        backend.outputs(clips[:, :, :4])


def test_half_precision(card: Card, clips: np.ndarray, tmp_path: Path) -> None:
    model = make_model(kind=TensorProto.FLOAT16)
    model.graph.node.insert(0, helper.make_node("Cast", ["video"], ["wide"], to=TensorProto.FLOAT))
    model.graph.node[1].input[0] = "wide"
    backend = OnnxBackend(card, write_model(tmp_path / "m.onnx", model), "cpu", "auto")
    np.testing.assert_allclose(backend.outputs(clips).logits, _expected(clips), atol=1e-3)


def test_pixels_of_normalised_views(card: Card) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 6, 3), dtype=np.uint8)
    card = replace(
        card, preprocess=replace(card.preprocess, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
    )
    mean, std = np.array(card.preprocess.mean, np.float32), np.array(card.preprocess.std, np.float32)
    clips = ((pixels - mean) / std).transpose(0, 4, 1, 2, 3).astype(np.float32)
    np.testing.assert_array_equal(as_input(clips, "uint8", card), pixels)


def test_out_of_memory_halves_the_batch_and_goes_on(
    card: Card, clips: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    backend = OnnxBackend(card, write_model(tmp_path / "m.onnx", make_model()), "cpu", "auto")
    backend.views_per_batch = 3
    forward = backend._forward

    def only_one_view(batch: np.ndarray, want: Want) -> Outputs:
        if len(batch) > 1:
            raise RuntimeError("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 1")
        return forward(batch, want)

    monkeypatch.setattr(backend, "_forward", only_one_view)
    np.testing.assert_allclose(backend.outputs(clips).logits, _expected(clips), atol=1e-6)
    assert backend.views_per_batch == 1
    assert "cpu ran out of memory; going on with 1 views at a time" in caplog.text
    monkeypatch.setattr(backend, "_forward", lambda *_: (_ for _ in ()).throw(RuntimeError("out of memory")))
    with pytest.raises(DeviceError, match=r"memory for 1 view of shape \(3, 8, 16, 16\)"):
        backend.outputs(clips)


def test_a_precision_that_the_file_does_not_have(card: Card, tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", make_model())
    assert OnnxBackend(card, path, "cpu", "fp32").precision == "fp32"
    with pytest.raises(DeviceError, match="computes in fp32"):
        OnnxBackend(card, path, "cpu", "bf16")


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "cpu:1", "cuda:x", ""])
def test_devices_that_are_not_there(name: str) -> None:
    with pytest.raises(DeviceError, match=r"no such device|cannot use it|does not start"):
        start_session(Path("missing.onnx"), onnx_devices(name), strict=True)


def test_devices_in_order_of_preference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers.onnxruntime, "get_available_providers", lambda: list(providers.PROVIDERS.values()))
    monkeypatch.setattr(providers, "gpu_names", lambda: ("a GPU",))
    monkeypatch.setattr(providers, "_loads", lambda library: True)
    assert list(map(str, onnx_devices("auto"))) == ["tensorrt:0", "cuda:0", "coreml", "openvino", "cpu"]
    assert list(map(str, onnx_devices("cuda:1"))) == ["cuda:1"]
    assert list(map(str, onnx_devices("mps"))) == ["coreml"]
    monkeypatch.setattr(providers, "gpu_names", lambda: ())
    assert list(map(str, onnx_devices("auto"))) == ["coreml", "openvino", "cpu"]


def _options(path: Path, device: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Options that the provider gets for a file; the device need not exist."""
    given: list[dict[str, str]] = []
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *args, **_: given.append(args[2][0][1]))
    onnx_session._session(path, OnnxDevice(device))
    return given[0]


@pytest.mark.parametrize(
    ("device", "key"),
    [("tensorrt", "trt_engine_cache_path"), ("coreml", "ModelCacheDirectory"), ("openvino", "cache_dir")],
)
def test_compiled_models_are_cached_by_the_content_of_the_file(
    device: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime's own key covers only the graph: it would use the weights of the first file for the second."""
    monkeypatch.setenv("NLVID_CACHE", str(tmp_path / "cache"))
    model = make_model()
    first = _options(write_model(tmp_path / "first.onnx", model), device, monkeypatch)[key]
    model.graph.initializer[1].raw_data = bytes(60)
    second = _options(write_model(tmp_path / "second.onnx", model), device, monkeypatch)[key]
    assert Path(first).is_dir()
    assert first != second
    (tmp_path / "first.onnx").rename(tmp_path / "moved.onnx")
    assert _options(tmp_path / "moved.onnx", device, monkeypatch)[key] == first


@pytest.mark.parametrize("device", ["tensorrt", "cuda", "coreml"])
def test_a_cache_that_cannot_be_written_is_not_used(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("NLVID_CACHE", str(tmp_path / "file" / "cache"))
    options = _options(write_model(tmp_path / "m.onnx", make_model()), device, monkeypatch)
    assert not any("cache" in key.lower() for key in options)


def test_no_cache_folder_without_compiled_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLVID_CACHE", str(tmp_path / "cache"))
    _options(write_model(tmp_path / "m.onnx", make_model()), "cuda", monkeypatch)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "words",
    [
        "CUDNN failure 5003: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
        "CUDA failure 2: out of memory ; GPU=0",
        "std::bad_alloc",
    ],
)
def test_messages_that_mean_too_little_memory(words: str, card: Card, clips: np.ndarray, tmp_path: Path) -> None:
    backend = OnnxBackend(card, write_model(tmp_path / "m.onnx", make_model()), "cpu", "auto")
    backend._make_smaller(clips, RuntimeError(words))
    assert backend.views_per_batch == 1


def test_the_reason_of_an_error() -> None:
    """It follows the place in ONNX Runtime's source, at the end; it may hold names from the file."""
    place = "/onnxruntime_src/onnxruntime/core/x.h:91 void onnxruntime::Validate(const std::vector<int>&, bool) "
    told = f"[ONNXRuntimeError] : 1 : FAIL : Load model from m.onnx failed:{place}Opset 99 (\x1b[31mred) is too new\n"
    assert reason_of(RuntimeError(told)) == "Load model from m.onnx failed:Opset 99 (\x1b[31mred) is too new"
    assert reason_of(RuntimeError("x" * 1000 + "the reason")).endswith("xxthe reason")
    assert len(reason_of(RuntimeError("x" * 1000))) < 310
    assert reason_of(RuntimeError()) == "RuntimeError"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")
def test_a_file_whose_name_is_not_utf8(card: Card, clips: np.ndarray, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.onnx"))
    backend = OnnxBackend(card, write_model(path, make_model()), "cpu", "auto")
    np.testing.assert_allclose(backend.outputs(clips).logits, _expected(clips), atol=1e-6)


@pytest.mark.parametrize("raises", [False, True])
def test_a_provider_that_does_not_start_is_reported(
    raises: bool, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """ONNX Runtime raises an error, or silently uses the CPU."""
    path = write_model(tmp_path / "m.onnx", make_model())
    start = onnx_session._session

    def no_gpu(path: Path, device: OnnxDevice) -> onnxruntime.InferenceSession:
        if raises and device.name == "cuda":
            raise RuntimeError("some/file.cc:1 : CUDA failure 35: driver version is insufficient")
        return start(path, OnnxDevice("cpu"))

    monkeypatch.setattr(onnx_session, "_session", no_gpu)
    monkeypatch.setattr(onnx_backend, "onnx_devices", lambda name: [OnnxDevice("cuda"), OnnxDevice("cpu")])
    assert OnnxBackend(card, path, "auto", "auto").device == "cpu"
    reason = "CUDA failure 35: driver version is insufficient" if raises else "ONNX Runtime went on without it"
    assert f"device cuda:0 does not start: {reason}" in caplog.text
    monkeypatch.setattr(onnx_backend, "onnx_devices", lambda name: [OnnxDevice("cuda")])
    with pytest.raises(DeviceError, match=f"device 'cuda:0' does not start: {reason}"):
        OnnxBackend(card, path, "cuda", "auto")


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 5}, raising=False)
    assert threads() == 2
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert threads() == 0


def _unknown_operator() -> onnx.ModelProto:
    model = make_model()
    model.graph.node[0].op_type = "NoSuchOperator"
    return model


def _wrong_classes() -> onnx.ModelProto:
    model = make_model(classes=7)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "classes"
    return model


def test_files_that_cannot_run(card: Card, clips: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"unknown\.onnx.*NoSuchOperator"):
        OnnxBackend(card, write_model(tmp_path / "unknown.onnx", _unknown_operator()), "cpu", "auto")
    backend = OnnxBackend(card, write_model(tmp_path / "wrong.onnx", _wrong_classes()), "cpu", "auto")
    with pytest.raises(ModelFileError, match=r"'out' has the shape \(1, 7\)"):
        backend.outputs(clips)


def test_a_hostile_file_never_reaches_the_runtime(card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    model.graph.node[0].domain = "my.ops"
    monkeypatch.setattr(onnx_backend, "start_session", lambda *_: pytest.fail("ONNX Runtime got the file"))
    with pytest.raises(UnsafeFile):
        OnnxBackend(card, write_model(tmp_path / "m.onnx", model), "cpu", "auto")


def _with_features(node: onnx.NodeProto, shape: list[int | str]) -> onnx.ModelProto:
    """A graph of scores and logits with a third output, ``features``, of one more operator on the input."""
    model = make_model(output="logits")
    model.graph.node.extend([helper.make_node("Softmax", ["logits"], ["scores"]), node])
    model.graph.output.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 5]))
    model.graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, shape))
    return model


def test_features_of_a_graph(card: Card, clips: np.ndarray, tmp_path: Path) -> None:
    model = _with_features(helper.make_node("Identity", ["video"], ["features"]), ["n", 3, "t", "h", "w"])
    path = write_model(tmp_path / "m.onnx", model)
    backend = OnnxBackend(card, path, "cpu", "auto")
    assert backend.outputs(clips).features is None
    features = backend.outputs(clips, Want(features=True)).features
    assert features is not None
    np.testing.assert_array_equal(features.map, clips)
    np.testing.assert_allclose(features.average, clips.mean(axis=(2, 3, 4)), atol=1e-6)


def test_features_in_somebody_elses_form(card: Card, clips: np.ndarray, tmp_path: Path) -> None:
    """An output of that name with another shape is not used; one that lies about its shape is an error."""
    node = helper.make_node("Flatten", ["video"], ["features"])
    path = write_model(tmp_path / "flat.onnx", _with_features(node, ["n", "values"]))
    with pytest.raises(UsageError, match="--features"):
        OnnxBackend(card, path, "cpu", "auto").outputs(clips, Want(features=True))
    node = helper.make_node("Transpose", ["video"], ["features"], perm=[1, 0, 2, 3, 4])
    path = write_model(tmp_path / "turned.onnx", _with_features(node, ["a", "b", "t", "h", "w"]))
    backend = OnnxBackend(card, path, "cpu", "auto")
    np.testing.assert_allclose(backend.outputs(clips).logits, _expected(clips), atol=1e-6)
    backend.views_per_batch = 4
    with pytest.raises(ModelFileError, match="'features' has the shape"):
        backend.outputs(np.concatenate([clips, clips[:1]]), Want(features=True))


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu(card: Card, clips: np.ndarray, tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", make_model())
    backend = OnnxBackend(card, path, "cuda", "auto")
    assert backend.device == "cuda:0"
    np.testing.assert_allclose(
        backend.outputs(clips).scores, OnnxBackend(card, path, "cpu", "auto").outputs(clips).scores, atol=1e-5
    )


def test_no_gradients(card: Card, clips: np.ndarray, tmp_path: Path) -> None:
    backend = OnnxBackend(card, write_model(tmp_path / "m.onnx", make_model()), "cpu", "auto")
    with pytest.raises(UsageError, match="gradients"):
        backend.gradients(clips[:1], 0)
