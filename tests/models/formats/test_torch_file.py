"""Torch files: foreign metadata is accepted and never run; other foreign objects are refused by name."""

from __future__ import annotations

import argparse
import builtins
import collections
import contextlib
import datetime
import functools
import io
import os
import pathlib
import pickle
import subprocess
import sys
import types
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from nlvid_cli.errors import ModelFileError, NlvidError, UnsafeFile
from nlvid_cli.models.formats.opening import open_file

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}

Save = Callable[..., Path]


@pytest.fixture(params=["zip", "legacy"])
def save(request: pytest.FixtureRequest, tmp_path: Path) -> Save:
    """Write an object as torch does, or as it did before 1.6."""

    def write(content: object) -> Path:
        path = tmp_path / "checkpoint.pth"
        torch.save(content, path, _use_new_zipfile_serialization=request.param == "zip")
        return path

    return write


def assert_weights(tensors: dict[str, np.ndarray]) -> None:
    assert tensors.keys() == WEIGHTS.keys()
    for name, array in tensors.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, WEIGHTS[name].numpy())


class Runs:
    """An object that pickles as a call of a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.arguments


def foreign_class(monkeypatch: pytest.MonkeyPatch, name: str, *bases: type, **members: Callable[..., object]) -> type:
    """Make a class that seems to be in another project's module, until the end of the test."""
    module_name, _, class_name = name.rpartition(".")
    parts = module_name.split(".")
    for end in range(1, len(parts) + 1):
        part = ".".join(parts[:end])
        if part not in sys.modules:
            monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
    for member, function in members.items():
        function.__module__, function.__qualname__ = module_name, f"{class_name}.{member}"
    made = type(class_name, bases, {"__module__": module_name, **members})
    setattr(sys.modules[module_name], class_name, made)
    return made


def openmmlab_metadata(monkeypatch: pytest.MonkeyPatch) -> object:
    """What MMEngine's runner saves: logs whose statistics are methods of their class, and configurations."""
    buffer_class = foreign_class(monkeypatch, "mmengine.logging.history_buffer.HistoryBuffer", mean=lambda self: 0)
    buffer = buffer_class()
    buffer.__dict__ |= {"_log_history": np.arange(3.0), "_statistics_methods": {"mean": buffer_class.mean}}
    config = foreign_class(
        monkeypatch,
        "mmengine.config.config.Config",
        __getstate__=lambda self: ({"model": 1}, "file.py", "text"),
        __setstate__=lambda self, state: None,
    )
    dict_class = foreign_class(monkeypatch, "mmengine.config.config.ConfigDict", dict)
    by_call = foreign_class(
        monkeypatch, "mmcv.utils.config.ConfigDict", dict, __reduce_ex__=lambda self, _: (type(self), (dict(self),))
    )
    logs = collections.OrderedDict(loss=buffer, getattr=Runs(getattr, buffer_class, "mean"))
    return {"message_hub": {"log_scalars": logs}, "cfg": config(), "a": dict_class(x=[1, 2]), "b": by_call(y=(3,))}


def slowfast_metadata(monkeypatch: pytest.MonkeyPatch) -> object:
    node_class = foreign_class(monkeypatch, "fvcore.common.config.CfgNode", dict)
    node = node_class(TRAIN=node_class(BATCH=8), PATHS=("a", "b"))
    node.__dict__ |= {"__immutable__": True}
    return {"cfg": node, "epoch": 3, "scaler_state": None}


def plain_metadata(_: pytest.MonkeyPatch) -> object:
    return {
        "scores": collections.deque([1.0, 2.0], maxlen=5),
        "counts": collections.defaultdict(list, a=[1]),
        "counter": collections.Counter("aab"),
        "arguments": argparse.Namespace(lr=0.1, gpus=[0, 1]),
        "when": [datetime.datetime(2020, 1, 2), datetime.date(2020, 1, 2), datetime.timedelta(3)],
        "zone": datetime.timezone(datetime.timedelta(hours=1)),
        "where": pathlib.PurePosixPath("/data/x"),
        "best": np.float64(0.5),
        "array": np.arange(6, dtype="f4").reshape(2, 3),
        "names": np.array(["a", "b"], dtype=object),
        "numbers": {"set": {1, 2}, "frozen": frozenset({1}), "complex": 1j, "bytes": b"abc", "slice": slice(1, 2)},
        "size": torch.Size([1, 2]),
        "device": torch.device("cpu"),
        "type": [int, torch.float32, torch.int64],
    }


METADATA = {"openmmlab": openmmlab_metadata, "slowfast": slowfast_metadata, "plain": plain_metadata}


@pytest.mark.parametrize("kind", METADATA)
def test_foreign_metadata_does_not_stop(save: Save, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        path = save({"meta": METADATA[kind](patch), "state_dict": WEIGHTS})
    assert_weights(open_file(path))


def test_foreign_modules_are_not_imported(
    save: Save, tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        path = save({"meta": openmmlab_metadata(patch), "state_dict": WEIGHTS})
    folder = tmp_path / "installed" / "mmengine"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(f"open({str(canary)!r}, 'w')")
    monkeypatch.syspath_prepend(folder.parent)
    assert_weights(open_file(path))
    assert not canary.exists()
    assert "mmengine" not in sys.modules


@pytest.mark.parametrize(
    ("name", "attack"),
    [
        ("posix.system", lambda canary: Runs(os.system, f"touch {canary}")),
        ("subprocess.Popen", lambda canary: Runs(subprocess.Popen, ["touch", str(canary)])),
        ("builtins.eval", lambda canary: Runs(eval, f"open({str(canary)!r}, 'w')")),
        ("builtins.exec", lambda canary: Runs(exec, f"open({str(canary)!r}, 'w')")),
        ("io.open", lambda canary: Runs(open, str(canary), "w")),
        ("builtins.__import__", lambda canary: Runs(getattr, Runs(builtins.__import__, "os"), "system")),
        ("builtins.map", lambda canary: Runs(map, str, [1])),
        ("builtins.bytearray", lambda canary: Runs(bytearray, 10**13)),
        ("torch.storage.UntypedStorage", lambda canary: Runs(torch.UntypedStorage, 10**13)),
        ("functools.partial", lambda canary: functools.partial(str, 1)),
        ("torch.hub.load", lambda canary: Runs(torch.hub.load, "owner/repo", "model")),
        ("torch.serialization.load", lambda canary: Runs(torch.load, str(canary))),
        (f"{np.load.__module__}.load", lambda canary: Runs(np.load, str(canary), None, True)),
        ("pickle.loads", lambda canary: Runs(sys.modules["_pickle"].loads, b".")),  # type: ignore[attr-defined]
        ("torch.nn.modules.linear.Linear", lambda canary: torch.nn.Linear(2, 2)),
        ("torch._utils._rebuild_sparse_tensor", lambda canary: torch.eye(3).to_sparse()),
        ("torch.ComplexFloatStorage", lambda canary: torch.ones(2, dtype=torch.complex64)),
        ("torch._utils._rebuild_meta_tensor_no_storage", lambda canary: torch.ones(2, device="meta")),
    ],
)
@pytest.mark.parametrize("beside", [True, False])
def test_foreign_globals_are_refused_by_name(
    save: Save, canary: Path, name: str, attack: Callable[[Path], object], beside: bool
) -> None:
    hostile = attack(canary)
    path = save({"meta": hostile, "state_dict": WEIGHTS} if beside else {"state_dict": WEIGHTS | {"x": hostile}})
    with pytest.raises(UnsafeFile, match=rf"checkpoint\.pth: .*{name}"):
        open_file(path)
    assert not canary.exists()


def test_a_call_through_allowed_names_does_nothing(save: Save, canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        buffer_class = foreign_class(
            patch, "mmengine.logging.history_buffer.HistoryBuffer", run=lambda *_: canary.touch()
        )
        attack = Runs(getattr, buffer_class, "run")
        path = save({"meta": [attack, Runs(buffer_class, f"touch {canary}")], "state_dict": WEIGHTS})
    assert_weights(open_file(path))
    assert not canary.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02(S'true'\nios\nsystem\n.",  # INST
        b"\x80\x02(U\x04truecos\nsystem\no.",  # OBJ
        b"\x80\x02U\x02osU\x06system\x93.",  # STACK_GLOBAL
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x02Pos.system\n.",  # PERSID
        b"\x80\x02cos\nsystem\nU\x04true\x85R.",
    ],
)
def test_hand_written_programs_are_refused(tmp_path: Path, program: bytes) -> None:
    path = tmp_path / "checkpoint.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", program)
        archive.writestr("x/version", "3")
    with pytest.raises(UnsafeFile):
        open_file(path)


def test_a_tensor_that_repeats_its_numbers_is_refused(save: Save) -> None:
    path = save({"state_dict": {"bomb": torch.zeros(1).expand(100_000, 100_000)}})
    with pytest.raises(UnsafeFile, match="bomb unfolds"):
        open_file(path)
    small = save({"state_dict": {"bomb": torch.zeros(1).expand(5)}})
    with pytest.raises(UnsafeFile, match="bomb unfolds"):
        open_file(small)


def test_many_tensors_that_share_their_numbers_are_refused(save: Save) -> None:
    shared = torch.zeros(100_000)
    with pytest.raises(UnsafeFile, match="unfolds"):
        open_file(save({f"a{number}": shared for number in range(50)}))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float32])
def test_floats_of_all_sizes_become_float32(save: Save, dtype: torch.dtype) -> None:
    assert_weights(open_file(save({name: tensor.to(dtype) for name, tensor in WEIGHTS.items()})))


def test_parameters_views_and_counters_are_read(save: Save) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    content = {"view": whole[1:, ::2].T, "parameter": torch.nn.Parameter(whole), "counter": torch.tensor(7)}
    tensors = open_file(save(content))
    np.testing.assert_array_equal(tensors["view"], [[4, 8], [6, 10]])
    np.testing.assert_array_equal(tensors["parameter"], whole.numpy())
    assert tensors["counter"] == 7


def test_a_state_dict_with_metadata_of_torch_is_read(save: Save) -> None:
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 2, 1), torch.nn.BatchNorm3d(2))
    assert open_file(save({"state_dict": network.state_dict()})).keys() == network.state_dict().keys()


def test_the_optimisers_state_is_left_out(save: Save) -> None:
    network = torch.nn.Linear(2, 2)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    content = {
        "epoch": 1,
        "model_state": network.state_dict(),
        "optimizer_state": optimiser.state_dict(),
        "cfg": "x: 1",
    }
    assert open_file(save(content)).keys() == {"weight", "bias"}


@pytest.mark.parametrize("content", [[torch.ones(2)], {"state_dict": {}}, {"epoch": 1}, {}, 5, "text"])
def test_without_named_tensors_nothing_is_read(save: Save, content: object) -> None:
    assert open_file(save(content)) == {}


def test_a_bare_tensor_is_not_a_checkpoint(save: Save) -> None:
    assert list(open_file(save(torch.ones(2)))) == [""]


def test_another_pickle_protocol_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save({"a": torch.ones(1)}, path, pickle_protocol=4)
    with pytest.raises(ModelFileError, match="protocol 4"):
        open_file(path)


def test_a_torch_file_under_another_name_is_read(save: Save) -> None:
    path = save(WEIGHTS)
    assert_weights(open_file(path.rename(path.with_name("x.safetensors"))))


def test_a_compressed_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\x80\x02}.")
        archive.writestr("x/data/0", bytes(50_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(UnsafeFile, match=r"bomb\.pth: .*compressed"):
        open_file(path)


def test_a_zip_whose_members_overlap_is_refused(tmp_path: Path) -> None:
    """Ten entries in the directory for the same bytes."""
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02}.")
        archive.writestr("x/data/0", bytes(10_000))
        again = archive.infolist()[1]
        archive.filelist += [again] * 9
    with pytest.raises(UnsafeFile, match=r"zip .*bytes"):
        open_file(path)


@pytest.mark.parametrize("members", [["x/other"], ["x/data.pkl", "y/data.pkl"], ["x/data.pkl", "x/constants.pkl"]])
def test_other_zips_are_refused(tmp_path: Path, members: list[str]) -> None:
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, b"\x80\x02}.")
    with pytest.raises(ModelFileError, match=r"other\.zip: .*torch"):
        open_file(path)


class Twice(torch.nn.Module):
    """A network whose class is code of this module."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def test_a_whole_model_is_told_to_save_its_weights(save: Save) -> None:
    with pytest.raises(UnsafeFile, match=r"test_torch_file\.Twice.*torch\.save\(model\.state_dict\(\)"):
        open_file(save(Twice()))


def test_a_whole_model_in_a_plain_pickle(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Twice(), protocol=4))
    with pytest.raises(UnsafeFile, match=r"torch\.save\(model\.state_dict\(\)"):
        open_file(path)


def test_a_torchscript_program_is_told_to_save_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "script.pt"
    with warnings.catch_warnings(action="ignore"):  # torch calls it deprecated
        torch.jit.save(torch.jit.script(Twice()), path)  # type: ignore[no-untyped-call]
    with pytest.raises(ModelFileError, match=r"script\.pt: a TorchScript.*state_dict"):
        open_file(path)


def test_an_archive_with_a_checkpoint_in_it(tmp_path: Path) -> None:
    path = tmp_path / "release.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("release/README", "text")
        archive.writestr("release/best.pth", bytes(100))
    with pytest.raises(ModelFileError, match=r"release\.zip: .*unpack it, and name release/best\.pth"):
        open_file(path)


def test_hyperparameters_of_lightning_are_passed_over(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        attributes = foreign_class(patch, "lightning.fabric.utilities.data.AttributeDict", dict)
        path = save({"state_dict": WEIGHTS, "hyper_parameters": attributes(lr=0.1)})
    assert_weights(open_file(path))


def test_missing_storages_are_an_error(save: Save) -> None:
    """The pickle of another file with larger tensors, before few numbers."""
    path = save({"state_dict": {"a": torch.zeros(1000)}})
    data = path.read_bytes()
    wrong = data.replace(b"M\xe8\x03", b"M\xff\xff")  # 1000 -> 65535 elements
    assert wrong != data
    path.write_bytes(wrong)
    with pytest.raises((ModelFileError, UnsafeFile)):
        open_file(path)


def test_truncations_are_errors(save: Save) -> None:
    path = save({"state_dict": WEIGHTS})
    data = path.read_bytes()
    for length in {*range(0, len(data), 97), len(data) - 1}:
        path.write_bytes(data[:length])
        with pytest.raises(ModelFileError):
            open_file(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_give_arrays_or_a_typed_error(save: Save, data: st.DataObject) -> None:
    path = save({"state_dict": WEIGHTS})
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    with contextlib.suppress(NlvidError):
        open_file(path)


def test_reading_leaves_torchs_own_list_of_safe_names_alone(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(torch.serialization.get_safe_globals())
    with monkeypatch.context() as patch:
        path = save({"meta": openmmlab_metadata(patch), "state_dict": WEIGHTS})
    open_file(path)
    assert set(torch.serialization.get_safe_globals()) == before


def test_safetensors_without_a_card_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "x.safetensors"
    halves: dict[str, Tensor] = {name: tensor.to(torch.bfloat16) for name, tensor in WEIGHTS.items()}
    save_file(halves, path, {"format": "pt"})
    assert_weights(open_file(path))
    renamed = path.rename(path.with_suffix(".bin"))
    assert_weights(open_file(renamed))
    buffer = io.BytesIO(renamed.read_bytes()[:-1])
    renamed.write_bytes(buffer.getvalue())
    with pytest.raises(ModelFileError, match=r"x\.bin: damaged"):
        open_file(renamed)
