"""nlvid's own safetensors files: written completely, read with their card, refused if their header is wrong."""

import contextlib
import importlib
import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save

from nlvid_cli._version import __version__
from nlvid_cli.card.card import CARD_KEY, card_to_json
from nlvid_cli.card.manifest import find_card
from nlvid_cli.errors import ModelFileError, NlvidError
from nlvid_cli.models.model_file import in_fp16, open_checkpoint, read_card, replace_card, write_checkpoint

TENSORS = {"a": np.arange(6, dtype="f4").reshape(2, 3).T, "b": np.ones((), "f2")}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.safetensors"
    write_checkpoint(path, find_card("i3d"), TENSORS)
    return path


def test_card_and_tensors_come_back(path):
    card, tensors = open_checkpoint(path)
    assert card == find_card("i3d") == read_card(path)
    assert tensors.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], array)
        assert tensors[name].dtype == np.float32
        assert tensors[name].flags.writeable


def test_half_the_size_is_half_the_precision(path):
    card = find_card("i3d")
    arrays = {"a": np.array([1.0, 1 / 3, -65504.0, 1e-9], np.float32), "n": np.array([7], np.int64)}
    write_checkpoint(path, card, in_fp16({"a": arrays["a"]}) | {"n": arrays["n"]})
    for _ in range(2):
        _, read = open_checkpoint(path)
        assert read["a"].dtype == np.float32
        assert read["a"].tolist() == [1.0, 0.333251953125, -65504.0, 0.0]
        assert read["n"].dtype == np.int64
        with safe_open(path, framework="numpy") as file:
            assert file.get_tensor("a").dtype == np.float16
        replace_card(path, replace(card, temperature=2.0))  # which leaves the tensors as they are
    with pytest.raises(ModelFileError, match=r"^a: .*fp16"):
        in_fp16({"a": np.array([65520.0], np.float32)})


def test_the_metadata_is_what_other_tools_expect(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    assert metadata == {"format": "pt", "nlvid_version": __version__, CARD_KEY: card_to_json(find_card("i3d"))}


def test_no_temporary_file_is_left_and_the_mode_follows_the_umask(path, tmp_path):
    assert list(tmp_path.iterdir()) == [path]
    other = tmp_path / "other"
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


def test_files_beside_it_stay_as_they_are(path):
    other = path.with_name(path.name + ".tmp")
    other.write_text("the user's own")
    write_checkpoint(path, find_card("i3d"), TENSORS, source_sha256="0" * 64)
    assert other.read_text() == "the user's own"
    assert sorted(path.parent.iterdir()) == [path, other]


def test_a_failed_write_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", _no_space)
    with pytest.raises(OSError, match="No space"):
        write_checkpoint(path, find_card("i3d"), {"a": np.zeros(1)})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def _no_space(_):
    raise OSError(28, "No space left on device")


def test_a_file_without_a_card_is_refused(tmp_path):
    path = tmp_path / "plain.safetensors"
    for metadata in (None, {"format": "pt"}):
        path.write_bytes(save(TENSORS, metadata))
        with pytest.raises(ModelFileError, match="no model card"):
            open_checkpoint(path)
    path.write_bytes(save(TENSORS, {CARD_KEY: '{"name": "x"}'}))
    with pytest.raises(ModelFileError, match=r"plain\.safetensors: .*card.*summary"):
        read_card(path)


def test_a_truncated_file_is_refused(path):
    data = path.read_bytes()
    for length in (0, 4, 8, 100, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ModelFileError, match="safetensors file"):
            open_checkpoint(path)


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**63]}},
        {"a": {"dtype": "OBJ", "shape": [2], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "b": {"dtype": "F32", "shape": [2]}},
        [],
    ],
)
def test_a_lying_header_is_refused(path, header):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 8)
    with pytest.raises(ModelFileError, match=r"safetensors file|type 'OBJ'"):
        open_checkpoint(path)
    path.write_bytes(struct.pack("<Q", 2**62) + text)
    with pytest.raises(ModelFileError, match="safetensors file"):
        open_checkpoint(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(ModelFileError, match="no such model file"):
            open_checkpoint(path)


@pytest.mark.parametrize("taught", [False, True])
def test_number_types_that_numpy_lacks_are_refused(path, taught):
    if taught:
        importlib.import_module("ml_dtypes")  # which comes with onnx, and from then on numpy has them
    text = json.dumps(
        {
            "__metadata__": {CARD_KEY: card_to_json(find_card("i3d"))},
            "a": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]},
        }
    ).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 8)
    with pytest.raises(ModelFileError, match="safetensors file"):
        open_checkpoint(path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_bytes_give_a_result_or_a_typed_error(path, data):
    good = bytearray(path.read_bytes())
    damaged = path.with_name("damaged")
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    damaged.write_bytes(good)
    with contextlib.suppress(NlvidError):
        open_checkpoint(damaged)
