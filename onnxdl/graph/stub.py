"""Writes ``op.pyi``, so that editors and type checkers know every operator of the standard.

``python -m onnxdl.graph.stub`` writes it anew from the schemas of the installed onnx; ``--check`` only shows what would
change, and exits with 1 if anything would.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

import numpy as np
import onnx

from onnxdl.graph.operator import DTYPE_ATTRIBUTES, operator_names, operator_schema

PATH = Path(__file__).with_name("op.pyi")
LINE_LENGTH = 140

_Option = onnx.defs.OpSchema.FormalParameterOption
_Kind = onnx.defs.OpSchema.AttrType

_HEADER = '''"""Every ai.onnx operator of onnx {version}; written by ``python -m onnxdl.graph.stub``, do not edit."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import onnx_ir as ir

from onnxdl.graph.dtypes import DTypeLike
from onnxdl.graph.tensor import Tensor, TensorLike
'''

_PYTHON_TYPES = {
    _Kind.INT: "int",
    _Kind.INTS: "Sequence[int]",
    _Kind.FLOAT: "float",
    _Kind.FLOATS: "Sequence[float]",
    _Kind.STRING: "str",
    _Kind.STRINGS: "Sequence[str]",
    _Kind.TENSOR: "TensorLike",
    _Kind.GRAPH: "Callable[..., Any] | ir.Graph",
    _Kind.TYPE_PROTO: "ir.TypeAndShape",
    _Kind.SPARSE_TENSOR: "ir.SparseTensorProtocol",
}


def stub() -> str:
    """The text of ``op.pyi`` for the installed onnx."""
    version = ".".join(onnx.__version__.split(".")[:2])
    return "\n".join([_HEADER.format(version=version), *(_function(operator_schema(name)) for name in operator_names())])


def _function(schema: onnx.defs.OpSchema) -> str:
    outputs = [f.option for f in schema.outputs]
    if _Option.Variadic in outputs:
        return _definition(schema, "outputs: int | None = None", "Any")
    required = outputs.count(_Option.Single)
    returned = _returned(required or len(outputs))
    if _Option.Optional not in outputs:
        return _definition(schema, "", returned)
    by_default, one, several = "outputs: Literal[1] | None = None", "outputs: Literal[1]", "outputs: int"
    pairs = [(by_default, returned), (several, _returned(None))]
    if required != 1:
        pairs = [(one, _returned(1)), (f"{several} | None = None", _returned(None))]
    return "".join(f"@overload\n{_definition(schema, count, result)}" for count, result in pairs)


def _returned(count: int | None) -> str:
    if count == 1:
        return "Tensor"
    return "tuple[Tensor, ...]" if count is None else f"tuple[{', '.join(['Tensor'] * count)}]"


def _definition(schema: onnx.defs.OpSchema, outputs: str, returned: str) -> str:
    keywords = [_attribute(schema.attributes[name]) for name in sorted(schema.attributes)] + ([outputs] if outputs else [])
    parameters = _inputs(schema)
    if keywords and not any(p.startswith("*") for p in parameters):
        parameters.append("*")
    parameters += keywords
    line = f"def {schema.name}({', '.join(parameters)}) -> {returned}:"
    if len(line) > LINE_LENGTH:
        line = "\n    ".join([f"def {schema.name}(", *(f"{p}," for p in parameters)]) + f"\n) -> {returned}:"
    return f'{line}\n    """{_summary(schema)}"""\n'


def _inputs(schema: onnx.defs.OpSchema) -> list[str]:
    """The positional parameters: without a default up to the least number of inputs, a star for any number more."""
    parameters = []
    variadic = []
    for i, formal in enumerate(schema.inputs):
        if formal.option == _Option.Variadic:
            variadic.append(f"*{formal.name}: TensorLike")
            continue
        annotation = "TensorLike | None" if formal.option == _Option.Optional else "TensorLike"
        parameters.append(f"{formal.name}: {annotation}" + (" = None" if i >= schema.min_input else ""))
    return [*parameters, *(["/"] if parameters else []), *variadic]


def _attribute(formal: onnx.defs.OpSchema.Attribute) -> str:
    annotation = "DTypeLike" if formal.name in DTYPE_ATTRIBUTES else _PYTHON_TYPES[formal.type]
    if formal.required:
        return f"{formal.name}: {annotation}"
    return f"{formal.name}: {annotation} | None = {_default(formal)}"


def _default(formal: onnx.defs.OpSchema.Attribute) -> str:
    if not formal.default_value.type:
        return "None"
    value = onnx.helper.get_attribute_value(formal.default_value)
    if isinstance(value, bytes):
        return f'"{value.decode()}"'
    if isinstance(value, float):
        return str(np.float32(value))
    return str(value) if isinstance(value, int) else "..."


def _summary(schema: onnx.defs.OpSchema) -> str:
    """The first sentence of the standard's text, on one line."""
    paragraph = (schema.doc or "").strip().split("\n\n")[0]
    text = " ".join(paragraph.replace("\\", "/").replace('"""', "'''").split())
    sentence = text.split(". ")[0].rstrip(".:")
    room = LINE_LENGTH - len('    """."""')
    return f"{sentence}." if len(sentence) <= room else sentence[: room - 3].rsplit(" ", 1)[0] + " ..."


def main() -> int:
    """Writes or checks the stub; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m onnxdl.graph.stub", description="Write op.pyi from the schemas of the installed onnx.")
    parser.add_argument("--check", action="store_true", help="only show what would change; exit with 1 if anything would")
    wanted = stub()
    if not parser.parse_args().check:
        PATH.write_text(wanted, encoding="utf-8")
        return 0
    present = PATH.read_text(encoding="utf-8")
    diff = difflib.unified_diff(present.splitlines(True), wanted.splitlines(True), "op.pyi", "op.pyi from the installed onnx")
    sys.stdout.writelines(diff)
    return int(present != wanted)


if __name__ == "__main__":
    sys.exit(main())
