"""op.pyi says what op does: its names, its positional inputs, its attributes and how many outputs come back."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnxdl.errors import GraphError
from onnxdl.graph import op, stub
from onnxdl.graph.operator import operator_names
from onnxdl.graph.tensor import Tensor, tensor

TREE = ast.parse(stub.PATH.read_text(encoding="utf-8"))
SIGNATURES = [node for node in TREE.body if isinstance(node, ast.FunctionDef)]
KNOWN = [node for node in SIGNATURES if node.name in set(operator_names())]
WRITTEN_FOR = (ast.get_docstring(TREE) or "").split("of onnx ")[1].split(";")[0]
INSTALLED = ".".join(onnx.__version__.split(".")[:2])


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


@pytest.mark.skipif(_version(INSTALLED) < _version(WRITTEN_FOR), reason=f"op.pyi is written for onnx {WRITTEN_FOR}")
def test_the_stub_is_up_to_date() -> None:
    assert stub.PATH.read_text(encoding="utf-8") == stub.stub(), "run python -m onnxdl.graph.stub"


def test_check_fails_with_a_diff_where_the_stub_is_stale(tmp_path: Path) -> None:
    stale = tmp_path / "op.pyi"
    stale.write_text(stub.stub().replace("def Relu(X:", "def Relu(input:"), encoding="utf-8")
    program = f"import pathlib, sys; from onnxdl.graph import stub; stub.PATH = pathlib.Path({str(stale)!r}); sys.exit(stub.main())"
    ran = subprocess.run([sys.executable, "-c", program, "--check"], capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran.stderr
    assert "-def Relu(input:" in ran.stdout
    assert "+def Relu(X:" in ran.stdout
    written = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (written.returncode, stale.read_text(encoding="utf-8")) == (0, stub.stub())


@pytest.mark.skipif(_version(INSTALLED) < _version(WRITTEN_FOR), reason=f"op.pyi is written for onnx {WRITTEN_FOR}")
def test_every_operator_has_a_signature() -> None:
    assert {node.name for node in SIGNATURES} == set(operator_names()) == set(dir(op))


def _calls() -> list[tuple[str, list[object], dict[str, object]]]:
    x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(1, 2, 3, 4)
    square = np.ones((1, 1, 2, 2), np.float32)
    sequence, weight, recurrent = np.ones((3, 1, 2), np.float32), np.ones((1, 12, 2), np.float32), np.ones((1, 12, 3), np.float32)
    return [
        ("Relu", [x], {}),
        ("Clip", [x, None, 0.5], {}),
        ("Concat", [x, x], {"axis": 0}),
        ("Cast", [x], {"to": np.float64}),
        ("TopK", [x, [2]], {}),
        ("MaxPool", [square], {"kernel_shape": [2, 2]}),
        ("MaxPool", [square], {"kernel_shape": [2, 2], "outputs": 2}),
        ("Dropout", [x], {"outputs": 2}),
        ("LSTM", [sequence, weight, recurrent], {"hidden_size": 3}),
        ("LSTM", [sequence, weight, recurrent], {"hidden_size": 3, "outputs": 1}),
        ("LSTM", [sequence, weight, recurrent], {"hidden_size": 3, "outputs": 2}),
    ]


def _signature(node: ast.FunctionDef) -> tuple[inspect.Signature, str]:
    names: dict[str, object] = {}
    source = ast.unparse(ast.Module([ast.FunctionDef(**{**vars(node), "decorator_list": []})], []))
    exec(f"from __future__ import annotations\n{source}", names)  # the package's own text
    signature = inspect.signature(names[node.name])  # type: ignore[arg-type]
    return signature, str(signature.return_annotation)


def _accepts(signature: inspect.Signature, inputs: list[object], attributes: dict[str, object]) -> bool:
    try:
        signature.bind(*inputs, **attributes)
    except TypeError:
        return False
    wanted = signature.parameters.get("outputs")
    count = attributes.get("outputs")
    return wanted is None or count is None or "Literal" not in str(wanted.annotation) or f"[{count}]" in str(wanted.annotation)


@pytest.mark.parametrize(("name", "inputs", "attributes"), _calls())
def test_the_first_matching_signature_tells_what_comes_back(name: str, inputs: list[object], attributes: dict[str, object]) -> None:
    overloads = [_signature(node) for node in SIGNATURES if node.name == name]
    returned = next(result for signature, result in overloads if _accepts(signature, inputs, attributes))
    results = getattr(op, name)(*[tensor(x) if isinstance(x, np.ndarray) else x for x in inputs], **attributes)
    if returned == "Tensor":
        assert isinstance(results, Tensor)
    else:
        assert isinstance(results, tuple)
        assert returned in ("tuple[Tensor, ...]", f"tuple[{', '.join(['Tensor'] * len(results))}]")


def _required(node: ast.FunctionDef) -> int:
    return len(node.args.posonlyargs) - len(node.args.defaults)


@pytest.mark.parametrize("node", [n for n in KNOWN if _required(n) and not n.decorator_list], ids=lambda n: n.name)
def test_one_input_less_than_the_signature_asks_for_is_refused(node: ast.FunctionDef) -> None:
    with pytest.raises(GraphError, match="takes the inputs"):
        getattr(op, node.name)(*[1.0] * (_required(node) - 1))
