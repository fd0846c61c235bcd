"""Pictures are read back as XML: every box once, none on another, indices in topological order."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from onnxdl.errors import FormatError, GraphError
from onnxdl.graph import op
from onnxdl.graph.trace import Trace, scope
from onnxdl.viz import draw
from onnxdl.viz.boxes import LIMIT, diagram, number_text
from tests.viz.graphs import branching, light, toy, toy_gradient, train_step

SVG = "{http://www.w3.org/2000/svg}"
KINDS = ("input", "constant", "forward", "backward", "output")

# name, how it is made, and its boxes: inputs, constants, forward and backward operations, outputs
WHOLE: dict[str, tuple[Callable[[], ir.Model], tuple[int, ...]]] = {
    "toy": (toy, (2, 2, 4, 0, 1)),
    "toy with gradient": (toy_gradient, (2, 3, 4, 4, 3)),
    "branching": (branching, (1, 4, 5, 0, 3)),
    "squeezenet": (lambda: light("squeezenet"), (1, 52, 66, 0, 1)),
    "resnet50": (lambda: light("resnet50"), (1, 268, 176, 0, 1)),
}
LAYERS: dict[str, Callable[[], ir.Model]] = {"train step by layers": lambda: train_step(60)}
ALL = {name: make for name, (make, _) in WHOLE.items()} | LAYERS


def picture(model: ir.Model | ir.Graph, folder: Path, **options: object) -> ET.Element:
    draw(model, folder / "graph.svg", **options)  # type: ignore[arg-type]
    return ET.parse(folder / "graph.svg").getroot()


def boxes(svg: ET.Element) -> list[ET.Element]:
    """The groups that stand for something of the graph: unlike the legend's, they have a tip."""
    return [g for g in svg.iter(f"{SVG}g") if g.get("class") in KINDS and g.find(f"{SVG}title") is not None]


def texts(element: ET.Element, name: str) -> list[str]:
    return [t.text or "" for t in element.iter(f"{SVG}text") if t.get("class") == name]


def badges(svg: ET.Element) -> list[str]:
    return [g.find(f"{SVG}text").text or "" for g in svg.iter(f"{SVG}g") if g.get("class") == "badge"]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", WHOLE)
def test_every_input_constant_operation_and_output_is_drawn_once(name: str, tmp_path: Path) -> None:
    make, expected = WHOLE[name]
    svg = picture(make(), tmp_path)
    drawn = Counter(box.get("class") for box in boxes(svg))
    assert tuple(drawn[kind] for kind in KINDS) == expected
    assert sorted(map(int, badges(svg))) == list(range(1, expected[2] + expected[3] + 1))


@pytest.mark.parametrize("name", ALL)
def test_no_two_boxes_overlap(name: str, tmp_path: Path) -> None:
    svg = picture(ALL[name](), tmp_path)
    found = []
    for box in boxes(svg):
        outline = box.find(f"{SVG}rect")
        assert outline is not None
        x, y, w, h = (float(outline.get(key, "")) for key in ("x", "y", "width", "height"))
        found.append((x, y, x + w, y + h))
    found.sort(key=lambda r: r[1])
    for i, (left, _, right, bottom) in enumerate(found):
        for other_left, other_top, other_right, _ in found[i + 1 :]:
            if other_top >= bottom:
                break
            assert other_left >= right or other_right <= left


@pytest.mark.parametrize("name", ALL)
def test_topological_indices_increase_along_wires(name: str) -> None:
    drawn = diagram(ALL[name](), {})
    checked = 0
    for wire in drawn.wires:
        source = drawn.boxes[wire.source].index
        for target, _ in wire.targets:
            reader = drawn.boxes[target].index
            if source and reader:
                assert int(source.split("–")[-1]) < int(reader.split("–")[0])
                checked += 1
    assert checked >= 2


@pytest.mark.parametrize("name", ALL)
def test_the_same_graph_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    for file in ("a.svg", "b.svg"):
        draw(ALL[name](), tmp_path / file)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize("name", ALL)
def test_everything_lies_inside_the_picture(name: str, tmp_path: Path) -> None:
    svg = picture(ALL[name](), tmp_path)
    width, height = float(svg.get("width", "")), float(svg.get("height", ""))
    moved = next(g for g in reversed(svg.findall(f"{SVG}g")) if g.get("transform"))
    dx, dy = map(float, re.findall(r"[\d.]+", moved.get("transform", "")))
    for rect in moved.iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.get(key, "")) for key in ("x", "y", "width", "height"))
        assert 0 <= x + dx <= x + w + dx <= width
        assert 0 <= y + dy <= y + h + dy <= height


def test_values_and_gradients_stand_in_the_boxes(tmp_path: Path) -> None:
    values = {"x": np.float32(3), "y": np.float32(-4), "Mul": 6.0, "f": -4.0, "grad/x": -2.0, "grad/Mul": np.float64(-2)}
    svg = picture(toy(), tmp_path, values=values)
    written = {texts(box, "title")[0]: (texts(box, "value"), texts(box, "gradient")) for box in boxes(svg) if texts(box, "value")}
    by_index = {badge: texts(box, "value") for box in boxes(svg) for badge in badges(box)}
    assert written["x"] == (["= 3"], ["∂ = -2"])
    assert written["y"] == (["= -4"], [])
    assert by_index == {"1": ["= 6"], "2": [], "3": [], "4": ["= -4"]}


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.float32(0.1), "0.1"),
        (np.int64(1234567), "1234567"),
        (np.float32([1.5, -2]), "[1.5, -2]"),
        (np.arange(6.0).reshape(2, 3), "0 … 5"),
        (np.float32(np.nan), "nan"),
        (np.array(True), "True"),
        (np.zeros(0, np.int64), "[]"),
        (np.array(["a", "b"]), "2 elements"),
    ],
)
def test_numbers_are_short(array: np.ndarray, text: str) -> None:
    assert number_text(array) == text


def test_shapes_stand_on_the_wires_and_unnamed_dimensions_are_question_marks(tmp_path: Path) -> None:
    assert "1×64×111×111" in texts(picture(light("squeezenet"), tmp_path), "shape")
    with Trace() as t:
        x = t.input("x", "float32", ["N", 3])
        found = op.NonZero(x)
        svg = picture(t.model({"found": op.Neg(found)}), tmp_path)
    labels = texts(svg, "shape")
    assert len(labels) == 2
    assert all(re.fullmatch(r"2×(\?|d\d+)", label) for label in labels)


def test_names_are_escaped(tmp_path: Path) -> None:
    hostile = "<script>&\"'\x00\ud800]]>"
    x = ir.Value(name=hostile, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(["<&>"]))
    node = ir.Node("", "Relu", [x], name=hostile)
    node.outputs[0].name, node.outputs[0].shape = "y", x.shape
    svg = picture(ir.Graph([x], node.outputs, nodes=[node], opset_imports={"": 21}, name="g"), tmp_path)
    assert texts(svg, "title") == ["Relu", "<script>&\"'\ufffd\ufffd]]>", "y"]
    assert texts(svg, "shape") == ["<&>"]
    assert not list(svg.iter(f"{SVG}script"))


def test_a_large_graph_is_drawn_by_layers(tmp_path: Path) -> None:
    model = train_step(60)
    n_operations = sum(node.op_type != "Constant" for node in model.graph)
    assert n_operations > 1000
    svg = picture(model, tmp_path)
    spans = sorted(tuple(map(int, badge.split("–"))) for badge in badges(svg))
    assert len(spans) <= LIMIT
    assert [i for span in spans for i in range(span[0], span[-1] + 1)] == list(range(1, n_operations + 1))
    titles = Counter(texts(box, "title")[0] for box in boxes(svg))
    for i in range(60):
        assert titles[f"encoder/{i}"] == 1
        assert titles[f"grad/encoder/{i}"] == 1
    assert titles["sgd"] == 1


def test_a_large_graph_without_layers_is_drawn_whole(tmp_path: Path) -> None:
    svg = picture(light("densenet121"), tmp_path)
    assert len(badges(svg)) == 910
    assert len(boxes(svg)) > 1700


def test_a_layer_called_twice_is_two_boxes() -> None:
    with Trace() as t:
        x = t.input("x", "float32", [4])
        for _ in range(2):
            with scope("shared"):
                for _ in range(LIMIT):
                    x = op.Tanh(x)
            x = op.Neg(x)
        drawn = diagram(t.model({"y": x}), {})
    assert [box.title for box in drawn.boxes] == ["shared", "Neg", "shared", "Neg", "x", "y"]


def test_the_graph_is_left_as_it_was(tmp_path: Path) -> None:
    model = light("squeezenet")
    before = ir.to_proto(model).SerializeToString()
    draw(model, tmp_path / "graph.svg")
    assert ir.to_proto(model).SerializeToString() == before


def test_an_empty_graph_is_an_empty_picture(tmp_path: Path) -> None:
    assert boxes(picture(ir.Graph([], [], nodes=[], opset_imports={"": 21}, name="g"), tmp_path)) == []


def test_an_output_may_be_an_input_or_a_weight(tmp_path: Path) -> None:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([2]))
    w = ir.Value(name="w", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([2]), const_value=ir.tensor(np.float32([1, 2])))
    graph = ir.Graph([x], [x, w, x], nodes=[], initializers=[w], opset_imports={"": 21}, name="g")
    drawn = Counter(box.get("class") for box in boxes(picture(graph, tmp_path)))
    assert drawn == {"input": 1, "constant": 1, "output": 3}


def test_a_value_that_the_graph_lacks_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="no value named grad/q"):
        draw(toy(), tmp_path / "graph.svg", values={"x": 1.0, "grad/q": 2.0})


def test_a_graph_out_of_order_is_an_error(tmp_path: Path) -> None:
    a = ir.Node("", "Neg", [None])
    b = ir.Node("", "Neg", [a.outputs[0]])
    a.replace_input_with(0, b.outputs[0])
    a.outputs[0].name, b.outputs[0].name = "a", "b"
    with pytest.raises(GraphError, match="topological order"):
        draw(ir.Graph([], b.outputs, nodes=[a, b], opset_imports={"": 21}, name="g"), tmp_path / "graph.svg")


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"graph\.svg: No such file"):
        draw(toy(), tmp_path / "missing" / "graph.svg")
