"""ONNX files from outside: what is read from them, and that hostile ones are refused before they are run."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nlvid_cli.errors import ModelError, ModelFileError, UnsafeFile
from nlvid_cli.models.onnx_file.read import Port, read_onnx
from tests.onnx_models import make_model, write_model


def test_what_a_file_says_of_itself(tmp_path: Path) -> None:
    model = make_model(last="Softmax")
    model.producer_name, model.producer_version = "somebody", "1.2"
    helper.set_model_props(model, {"key": "value"})
    found = read_onnx(write_model(tmp_path / "model.onnx", model))
    assert (found.opset, found.producer, found.metadata) == (18, "somebody 1.2", {"key": "value"})
    assert found.inputs == (Port("video", "float32", (None, 3, None, None, None)),)
    assert found.outputs == (Port("out", "float32", (None, 5)),)
    assert found.operators == {"ReduceMean": 1, "MatMul": 1, "Softmax": 1}
    assert found.makers["out"] == ("Softmax", "logits_")
    assert found.weight_kinds == {"int64": 24, "float32": 60}


def test_weights_that_old_files_list_as_inputs_are_not_inputs(tmp_path: Path) -> None:
    """Before version 4 of the format, as in GluonCV's published files, every weight was an input too."""
    model = make_model()
    model.graph.input.append(helper.make_tensor_value_info("weights", TensorProto.FLOAT, [3, 5]))
    assert [port.name for port in read_onnx(write_model(tmp_path / "old.onnx", model)).inputs] == ["video"]


def _external(model: onnx.ModelProto, location: str) -> None:
    tensor = model.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def _external_in_a_constant(model: onnx.ModelProto) -> None:
    tensor = TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def _inside(node: onnx.NodeProto, depth: int) -> onnx.GraphProto:
    graph = helper.make_graph([node], "inner", [], [])
    for _ in range(depth):
        branch = helper.make_node("If", ["x"], ["y"], then_branch=graph, else_branch=graph)
        graph = helper.make_graph([branch], "outer", [], [])
    return graph


def _add(*nodes: onnx.NodeProto) -> Callable[[onnx.ModelProto], None]:
    return lambda model: model.graph.node.extend(nodes)


def _foreign(operator: str, domain: str) -> onnx.NodeProto:
    return helper.make_node(operator, [], ["z"], domain=domain)


def _shape(*lengths: int) -> TensorProto:
    return numpy_helper.from_array(np.array(lengths, np.int64), "shape")


def _made_of_a_shape(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(_shape(10**6, 10**6))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["huge"]))


def _made_of_a_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["s"], value=_shape(2**20, 2**20)))
    model.graph.node.append(helper.make_node("Expand", ["weights", "s"], ["huge"]))


def _function(model: onnx.ModelProto, name: str, *nodes: onnx.NodeProto) -> onnx.FunctionProto:
    """A function of the file, of the domain ``own``."""
    function = model.functions.add(name=name, domain="own", input=["x"], output=["y"])
    function.opset_import.append(helper.make_opsetid("", 18))
    function.node.extend(nodes)
    return function


def _external_by_default(model: onnx.ModelProto) -> None:
    """The default of a function's attribute, which the runtime uses as the constant's value."""
    constant = helper.make_node("Constant", [], ["c"])
    constant.attribute.add(name="value", ref_attr_name="given", type=onnx.AttributeProto.TENSOR)
    function = _function(model, "Add", constant, helper.make_node("Add", ["x", "c"], ["y"]))
    default = function.attribute_proto.add(name="given", type=onnx.AttributeProto.TENSOR)
    default.t.CopyFrom(TensorProto(data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL))
    default.t.external_data.add(key="location", value="secret.bin")


def _made_of_integers(model: onnx.ModelProto) -> None:
    """The operator comes before its input: runtimes sort operators by themselves."""
    model.graph.node.append(helper.make_node("ConstantOfShape", ["s"], ["huge"]))
    model.graph.node.append(helper.make_node("Constant", [], ["s"], value_ints=[2**20, 2**20]))


def _call(name: str, output: str) -> onnx.NodeProto:
    return helper.make_node(name, ["x"], [output], domain="own")


def _functions_in_functions(model: onnx.ModelProto) -> None:
    _function(model, "One", helper.make_node("Relu", ["x"], ["y"]))
    _function(model, "Two", _call("One", "z"), _call("One", "y"))


def _many_calls(model: onnx.ModelProto) -> None:
    _function(model, "Long", *[helper.make_node("Relu", ["x"], ["y"]) for _ in range(1000)])
    model.graph.node.extend(_call("Long", f"y{index}") for index in range(100))


def _graph_for_a_function(model: onnx.ModelProto) -> None:
    """A function could use the graph that it is given in any number of branches."""
    _function(model, "F", helper.make_node("Relu", ["x"], ["y"]))
    call = _call("F", "y")
    call.attribute.append(helper.make_attribute("body", _inside(helper.make_node("Relu", ["a"], ["b"]), 0)))
    model.graph.node.append(call)


HOSTILE: dict[str, tuple[Callable[[onnx.ModelProto], None], str]] = {
    "a file beside it": (lambda model: _external(model, "w.bin"), r"another file, 'w\.bin'"),
    "a file elsewhere": (lambda model: _external(model, "../../etc/passwd"), r"another file, '\.\./\.\./etc/passwd'"),
    "in a constant": (_external_in_a_constant, "another file, '/etc/passwd'"),
    "in a function's default": (_external_by_default, r"another file, 'secret\.bin'"),
    "in a branch": (
        _add(helper.make_node("If", ["x"], ["y"], then_branch=_inside(_foreign("Magic", "evil"), 2))),
        "operator Magic of 'evil'.* library",
    ),
    "a library": (_add(_foreign("Run", "my.ops")), "Run of 'my.ops'.* library"),
    "a loop": (_add(helper.make_node("Loop", ["a", "b"], ["c"])), r"loop \(operator Loop\)"),
    "too deep": (
        _add(helper.make_node("If", ["x"], ["y"], then_branch=_inside(helper.make_node("Relu", ["a"], ["b"]), 12))),
        "graphs deeper than 8",
    ),
    "made of a shape": (_made_of_a_shape, r"1000000000000 values .*\(operator ConstantOfShape\)"),
    "made of integers": (_made_of_integers, r"1099511627776 values .*\(operator ConstantOfShape\)"),
    "functions in functions": (_functions_in_functions, r"function .*\(One\)"),
    "many calls": (_many_calls, "100000 operators"),
    "a graph for a function": (_graph_for_a_function, "graphs to a function"),
    "made of a constant": (_made_of_a_constant, r"1099511627776 values .*\(operator Expand\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name: str, tmp_path: Path) -> None:
    spoil, message = HOSTILE[name]
    model = make_model()
    spoil(model)
    path = write_model(tmp_path / "model.onnx", model)
    with pytest.raises(UnsafeFile, match=message) as caught:
        read_onnx(path)
    assert str(caught.value).startswith(f"{path}: ")


def _absurd(model: onnx.ModelProto) -> None:
    model.graph.initializer[1].dims[:] = [2**40, 2**40]


def _negative(model: onnx.ModelProto) -> None:
    model.graph.initializer[1].dims[:] = [-3, -5]


def _unknown_type(model: onnx.ModelProto) -> None:
    model.graph.initializer[1].data_type = 99


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_absurd, r"'weights' has the shape \[1099511627776, 1099511627776\].* holds 15"),
        (_negative, r"'weights' has the shape \[-3, -5\]"),
        (_unknown_type, "'weights' .* type 99"),
    ],
)
def test_tensors_that_are_not_what_they_state(
    spoil: Callable[[onnx.ModelProto], None], message: str, tmp_path: Path
) -> None:
    model = make_model()
    spoil(model)
    with pytest.raises(ModelFileError, match=message):
        read_onnx(write_model(tmp_path / "model.onnx", model))


def test_tensors_in_all_the_ways_of_writing_them(tmp_path: Path) -> None:
    """The package onnx writes typed fields. Their number must match the shape too."""
    kinds = [
        TensorProto.FLOAT,
        TensorProto.DOUBLE,
        TensorProto.INT64,
        TensorProto.INT8,
        TensorProto.BOOL,
        TensorProto.UINT64,
    ]
    tensors = [helper.make_tensor(f"t{kind}", kind, [2, 3], [1, 0, 1, 1, 0, 1]) for kind in kinds]
    model = make_model(initializers=tensors)
    assert read_onnx(write_model(tmp_path / "model.onnx", model)).weight_kinds["float64"] == 48
    model.graph.initializer[-1].dims[:] = [2, 4]
    with pytest.raises(ModelFileError, match="8 values, but holds 6"):
        read_onnx(write_model(tmp_path / "model.onnx", model))


def _field(number: int, content: bytes) -> bytes:
    """One field on the wire, of less than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


def test_a_field_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    """Of two operators, nlvid could inspect the one and a runtime run the other."""
    loop = helper.make_node("Loop", ["a", "b"], ["c"]).SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(_field(7, _field(1, _field(4, b"Relu") + loop)))
    with pytest.raises(ModelFileError, match="op_type occurs twice"):
        read_onnx(path)


def test_a_field_number_that_other_programs_truncate_is_refused(tmp_path: Path) -> None:
    """4 + 2**29, which the runtime reads as 4: the type of the operator."""
    path = tmp_path / "model.onnx"
    path.write_bytes(_field(7, _field(1, b"\xa2\x80\x80\x80\x10\x04Loop")))
    with pytest.raises(ModelFileError, match=r"a field has the number 536870916"):
        read_onnx(path)


@pytest.mark.parametrize("place", ["operator", "input", "producer"])
def test_names_with_control_characters_are_refused(place: str, tmp_path: Path) -> None:
    model, name = make_model(), "\x1b[31mred"
    if place == "operator":
        model.graph.node[0].op_type = name
    elif place == "input":
        model.graph.input[0].name = name
    else:
        model.producer_name = name
    with pytest.raises(ModelFileError, match="holds control characters") as caught:
        read_onnx(write_model(tmp_path / "model.onnx", model))
    assert "\x1b" not in str(caught.value)


def test_many_small_fields_are_refused_quickly(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x72\x00" * 2_000_000)
    started = time.process_time()
    with pytest.raises(ModelFileError, match="131072 fields"):
        read_onnx(path)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "it is empty"), (b"\x08\x0a", "no graph"), (b"PK\x03\x04" + bytes(100), "ONNX file")],
)
def test_files_that_are_not_onnx(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=message):
        read_onnx(path)
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_onnx(tmp_path / "missing.onnx")


def test_no_damage_to_a_file_is_a_crash(tmp_path: Path) -> None:
    """A file that is cut off, or has changed bytes, is read or refused with an error of nlvid's own."""
    good = make_model(last="Softmax").SerializeToString()
    path = tmp_path / "model.onnx"
    chance = random.Random(0)
    cut = [good[:length] for length in range(len(good))]
    changed = []
    for _ in range(500):
        data = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        changed.append(bytes(data))
    refused = 0
    for data in cut + changed:
        path.write_bytes(data)
        try:
            read_onnx(path)
        except ModelError:
            refused += 1
    assert refused > len(good) // 2
