"""Hostile and damaged pickles: refused, nothing executed, no memory reserved."""

import contextlib
import io
import os
import pickle
import pickletools
import resource
import struct
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nlvid_cli.errors import ModelFileError, NlvidError, UnsafeFile
from nlvid_cli.models.find import find_file
from nlvid_cli.models.formats.safe_pickle import read_arrays

RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
NDARRAY = b"cnumpy\nndarray\n"
DTYPE = b"cnumpy\ndtype\n"


class Runs:
    """An object that pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.fixture
def read(tmp_path):
    def read_bytes(data):
        path = tmp_path / "weights.ckpt"
        path.write_bytes(data)
        return read_arrays(path)

    return read_bytes


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "attack",
    [
        lambda canary: Runs(os.system, f"touch {canary}"),
        lambda canary: {"params": {"a": np.ones(2), "b": Runs(os.system, f"touch {canary}")}},
        lambda canary: Runs(eval, f"open({str(canary)!r}, 'w')"),
        lambda canary: Runs(exec, f"open({str(canary)!r}, 'w')"),
        lambda canary: Runs(open, str(canary), "w"),
        lambda canary: Runs(getattr, Runs(__import__, "os"), "system"),
        lambda canary: Runs(map, os.system, [f"touch {canary}"]),
        lambda canary: Runs(np.load, str(canary), None, True),
        lambda canary: Runs(np.save, str(canary), np.ones(1)),
        lambda canary: Runs(pickle.loads, pickle.dumps(Runs(os.system, f"touch {canary}"))),
        lambda canary: bytearray(b"x"),
    ],
)
def test_calls_are_refused(read, canary, attack, protocol):
    with pytest.raises(UnsafeFile):
        read(pickle.dumps(attack(canary), protocol))
    assert not canary.exists()


def test_the_refused_global_is_named(read, canary):
    with pytest.raises(UnsafeFile, match=r"weights\.ckpt: .*posix\.system"):
        read(pickle.dumps(Runs(os.system, f"touch {canary}"), 4))


@pytest.mark.parametrize(
    "program",
    [
        b"(S'true'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'true'\no.",  # OBJ
        b"\x80\x02cnumpy\nndarray\n)\x81.",  # NEWOBJ of an allowed global
        b"\x80\x04\x82\x01.",  # EXT1
        b"Pos.system\n.",  # PERSID
        b"N\x51.",  # BINPERSID
        b"\x80\x02" + NDARRAY + b")R.",  # numpy.ndarray() itself
        b"\x80\x02" + RECONSTRUCT + b"}X\x08\x00\x00\x00__call__K\x01sb.",  # BUILD on a global
        b"\x80\x02" + DTYPE + b"N}X\x04\x00\x00\x00nameK\x01s\x86b.",  # BUILD with slots on a global
        b"\x80\x02" + RECONSTRUCT + DTYPE + b"K\x00\x85C\x01b\x87R.",  # _reconstruct of another class
        b"\x80\x02cnumpy.core.multiarray\nscalar\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",  # an attribute of an allowed global
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    ],
)
def test_hand_written_programs_are_refused(read, program):
    with pytest.raises(UnsafeFile):
        read(program)


@pytest.mark.parametrize(
    "array",
    [
        np.array([Runs(os.system, "true")], dtype=object),
        np.array([None, 1], dtype=object),
        np.zeros(2, dtype=[("a", "f4"), ("b", "O")]),
        np.zeros(2, dtype="V8"),
        np.array(["text"]),
        np.array(["2020-01-01"], dtype="M8[D]"),
    ],
)
def test_arrays_of_anything_but_numbers_are_refused(read, array):
    with pytest.raises(UnsafeFile):
        read(pickle.dumps({"a": array}, 4))


@pytest.mark.parametrize("dtype", ["f2", "<f4", ">f4", "f8", "i1", "u1", "<i8", ">i2", "?"])
@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_out_as_they_went_in(read, dtype, protocol, order):
    array = np.asarray(np.arange(24).reshape(2, 3, 4), dtype=dtype, order=order)
    out = read(pickle.dumps({"a": {"b": array}, "note": "text", "empty": np.zeros((0, 3), "f4")}, protocol))
    np.testing.assert_array_equal(out["a", "b"], array)
    assert out["a", "b"].dtype == array.dtype
    assert out["empty",].shape == (0, 3)
    assert set(out) == {("a", "b"), ("empty",)}


@pytest.mark.parametrize("protocol", [2, 4])
def test_ordered_dicts_are_read(read, protocol):
    arrays = read(pickle.dumps(OrderedDict(a=OrderedDict(b=np.ones(2)), c=np.zeros(3)), protocol))
    assert {keys: array.sum() for keys, array in arrays.items()} == {("a", "b"): 2, ("c",): 0}
    with pytest.raises(UnsafeFile, match="OrderedDict with arguments"):
        read(pickle.dumps(Runs(OrderedDict, [("a", 1)]), protocol))


def test_both_spellings_of_numpy_are_read(read):
    data = pickle.dumps({"a": np.ones(3, "f4")}, 3)
    old, new = b"numpy.core.multiarray", b"numpy._core.multiarray"
    assert (old in data) != (new in data)
    other = data.replace(old, new) if old in data else data.replace(new, old)
    for spelling in (data, other):
        np.testing.assert_array_equal(read(spelling)["a",], np.ones(3))


def test_python_2_files_are_read(read):
    dtype = b"cnumpy\ndtype\nS'f4'\nK\x00K\x01\x87R(K\x03S'<'\nNNNK\xffK\xffK\x00tb"
    raw = np.float32([1.5, -200]).tobytes()
    array = RECONSTRUCT + NDARRAY + b"K\x00\x85S'b'\n\x87R(K\x01K\x02\x85" + dtype + b"I00\n"
    array = array.replace(b"I00\n", b"\x89") + b"T" + struct.pack("<i", len(raw)) + raw + b"tb"
    program = b"\x80\x02}U\x01a" + array.replace(b"S'f4'\n", b"U\x02f4").replace(b"S'b'\n", b"U\x01b") + b"s."
    program = program.replace(b"S'<'\n", b"U\x01<")
    pickletools.dis(program, io.StringIO())  # the program itself is a valid one
    np.testing.assert_array_equal(read(program)["a",], [1.5, -200])


def test_a_shape_that_does_not_fit_the_bytes_is_an_error(read):
    data = pickle.dumps({"a": np.ones((3,), "f4")}, 4)
    huge = data.replace(b"K\x03\x85\x94", b"J\xff\xff\xff\x7f\x85\x94", 1)
    assert huge != data
    with pytest.raises(ModelFileError, match="fit"):
        read(huge)
    with pytest.raises(ModelFileError, match="shape"):
        read(data.replace(b"K\x03\x85\x94", b"J\xff\xff\xff\xff\x85\x94", 1))


def test_every_truncation_is_an_error(read):
    data = pickle.dumps({"a": np.ones(3, "f4"), "b": {"c": np.ones((2, 2), "f4")}}, 4)
    for length in range(len(data)):
        with pytest.raises(ModelFileError):
            read(data[:length])


def test_memory_is_not_reserved_for_what_is_not_there(read):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for program in (
        b"\x80\x02}r\xff\xff\xff\x1f.",  # LONG_BINPUT far away
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",  # BINBYTES8 of 2^63 bytes
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.",  # such a FRAME
        b"\x80\x02\x8b\xff\xff\xff\x7f.",  # LONG4
    ):
        with pytest.raises((UnsafeFile, ModelFileError)):
            read(program)
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mib < 200


def test_endless_and_exponential_nesting_ends(read):
    endless = {}
    endless["self"] = endless
    exponential = {}
    for _ in range(60):
        exponential = {"a": exponential, "b": exponential}
    for tree in (endless, exponential):
        with pytest.raises(ModelFileError, match="nested"):
            read(pickle.dumps(tree, 4))


@pytest.mark.parametrize("value", [1, "text", [np.ones(2)], None, {1: np.ones(2, "f4")}])
def test_anything_but_nested_dicts_is_an_error(read, value):
    with pytest.raises(ModelFileError):
        read(pickle.dumps(value, 4))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_bytes_give_arrays_or_a_typed_error(read, data):
    good = bytearray(pickle.dumps({"a": np.ones(3, "f4"), "b": {"c": np.ones((2, 2), "f4")}}, 4))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(NlvidError):
        read(bytes(good))


def test_a_hostile_release_leaves_the_cache_as_it_was(publish, tools, server, cache, canary, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    evil = pickle.dumps({"params": Runs(os.system, f"touch {canary}")}, 4)
    with pytest.raises(UnsafeFile, match=r"posix\.system") as error:
        find_file(publish(tools.tar({"w": evil}), member="w"))
    assert error.value.exit_status == 3
    assert not canary.exists()
    assert [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
