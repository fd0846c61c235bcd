"""The node tests of the ONNX standard that a gradient can be asked of, and their forward passes in the highest precision there is.

Eligible is a test that is not the expansion of another, has a float32 or float16 tensor among its inputs and its outputs, and
whose forward pass stock ONNX Runtime runs on the CPU.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from onnxdl import runtime
from onnxdl.errors import RuntimeFailure
from tests.autodiff.oracle import Erf, Gelu

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
SETTINGS = {"Dropout": (1,), "Resize": (1, 2), "Upsample": (1,)}
"""Float inputs that are settings, as shapes and axes are, and count as constants: a ratio of dropout, regions and scales of resizing."""
RANDOM = {"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
REFUSALS = (ArithmeticError, AssertionError, AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What a forward pass of onnx.reference may raise where it does not know an operator, or not in float64."""

Feeds = dict[str, Any]
Results = dict[str, Any]
Forward = Callable[[Mapping[str, Any]], Results]


@dataclass(frozen=True, eq=False)
class NodeTest:
    """One test: a model of one node and its inputs."""

    name: str
    model: onnx.ModelProto
    feeds: Feeds

    @property
    def operator(self) -> str:
        """The operator under test, with its domain where that is not ai.onnx."""
        node = self.model.graph.node[0]
        return f"{node.domain}.{node.op_type}" if node.domain else node.op_type

    @property
    def inputs(self) -> list[str]:
        """The inputs to differentiate by."""
        node = self.model.graph.node[0]
        left_out = {node.input[i] for i in SETTINGS.get(node.op_type, ()) if i < len(node.input)}
        return [v.name for v in self.model.graph.input if _is_float_tensor(v) and v.name not in left_out]

    @property
    def outputs(self) -> list[str]:
        """The outputs to differentiate."""
        return [v.name for v in self.model.graph.output if _is_float_tensor(v)]

    @property
    def is_half(self) -> bool:
        """Whether float16 takes part, in the model or inside a Cast of it."""
        elements = [v.type.tensor_type.elem_type for v in (*self.model.graph.input, *self.model.graph.output)]
        return TensorProto.FLOAT16 in elements or any(_narrow_cast(n) for n in self.model.graph.node)

    def run(self, feeds: Mapping[str, Any]) -> Results:
        """The forward pass on ONNX Runtime as it stands; a fresh session where the operator draws random numbers."""
        session = self._session() if any(n.op_type in RANDOM for n in self.model.graph.node) else self._kept_session()
        return run_model(session, feeds)

    def _session(self) -> Any:
        return runtime.create_session(self.model.SerializeToString(), threads=1)

    @cache  # noqa: B019  (a test lives as long as its judgement)
    def _kept_session(self) -> Any:
        return self._session()

    def in_float64(self) -> Iterator[Forward]:
        """Forward passes in float64, those that there are: onnx.reference, ONNX Runtime."""
        model = retyped(self.model)
        if any(n.op_type in RANDOM for n in model.graph.node):
            return
        try:
            reference = ReferenceEvaluator(model, new_ops=[Erf, Gelu])
            names = [o.name for o in model.graph.output]
            yield lambda feeds: dict(zip(names, _quietly(reference, wide(feeds)), strict=True))
        except REFUSALS:
            pass
        try:
            session = runtime.create_session(model.SerializeToString(), threads=1)
        except RuntimeFailure:
            return
        yield lambda feeds: run_model(session, wide(feeds))


def node_tests(operator: str | None = None, *, one_each: bool = False) -> Iterator[NodeTest]:
    """The eligible tests: all of them, those of one operator, or one of each."""
    seen: set[str] = set()
    for case in _all_cases():
        graph = case.model.graph
        op_type = graph.node[0].op_type
        if "_expanded" in case.name or operator not in (None, op_type) or op_type in seen:
            continue
        feeds = {v.name: _plain(x) for v, x in zip(graph.input, case.data_sets[0][0], strict=True)}
        if not any(map(_is_float_tensor, graph.input)) or not any(map(_is_float_tensor, graph.output)):
            continue
        if (model := _runnable(case.model, feeds)) is not None:
            if one_each:
                seen.add(op_type)
            yield NodeTest(case.name, model, feeds)


@cache
def _all_cases() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the standard's own generators divide by zero on purpose
        from onnx.backend.test.case.node import collect_testcases

        return sorted(collect_testcases(None), key=lambda case: case.name)  # type: ignore[no-any-return]


def _runnable(model: onnx.ModelProto, feeds: Feeds) -> onnx.ModelProto | None:
    """The model as ONNX Runtime runs it: as it is, or of the newest opset that it knows if that means the same."""
    for candidate in (model, _of_earlier_opset(model)):
        if candidate is None:
            continue
        try:
            run_model(runtime.create_session(candidate.SerializeToString(), threads=1), feeds)
        except RuntimeFailure:
            continue
        return candidate
    return None


def _of_earlier_opset(model: onnx.ModelProto, opset: int = 26) -> onnx.ModelProto | None:
    entry = next((e for e in model.opset_import if not e.domain), None)
    if entry is None or entry.version <= opset:
        return None
    if any(onnx.defs.get_schema(n.op_type, entry.version, n.domain).since_version > opset for n in model.graph.node if not n.domain):
        return None
    earlier = onnx.ModelProto()
    earlier.CopyFrom(model)
    next(e for e in earlier.opset_import if not e.domain).version = opset
    return earlier


def _plain(x: Any) -> Any:
    return x if x is None or isinstance(x, list) else np.asarray(x)


def _is_float_tensor(value: onnx.ValueInfoProto) -> bool:
    return value.type.tensor_type.elem_type in FLOATS


def _narrow_cast(node: onnx.NodeProto) -> bool:
    return any(a.name == "to" and a.i == TensorProto.FLOAT16 for a in node.attribute)


def run_model(session: Any, feeds: Mapping[str, Any]) -> Results:
    """The outputs of a session by name."""
    names = [v.name for v in session.get_outputs()]
    return dict(zip(names, runtime.run(session, names, feeds), strict=True))


def _quietly(reference: ReferenceEvaluator, feeds: Feeds) -> list[Any]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return reference.run(None, feeds)  # type: ignore[return-value]


def wide(feeds: Mapping[str, Any]) -> Feeds:
    """Float arrays in float64, also inside lists."""
    return {name: _wide(x) for name, x in feeds.items()}


def _wide(x: Any) -> Any:
    if isinstance(x, list):
        return [_wide(e) for e in x]
    return x.astype(np.float64) if x is not None and x.dtype.kind == "f" else x


def retyped(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with float64 in place of float32 and float16: inputs, outputs, casts, constants, bodies."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _retype_graph(copy.graph)
    return copy


def _retype_graph(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info):
        _retype(value.type)
    for tensor in graph.initializer:
        _retype_tensor(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype", "output_dtype") and attribute.i in FLOATS:
                attribute.i = TensorProto.DOUBLE
            if attribute.HasField("t"):
                _retype_tensor(attribute.t)
            if attribute.HasField("g"):
                _retype_graph(attribute.g)


def _retype(type_: onnx.TypeProto) -> None:
    match type_.WhichOneof("value"):
        case "tensor_type" if type_.tensor_type.elem_type in FLOATS:
            type_.tensor_type.elem_type = TensorProto.DOUBLE
        case "sequence_type":
            _retype(type_.sequence_type.elem_type)
        case "optional_type":
            _retype(type_.optional_type.elem_type)


def _retype_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type in FLOATS:
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
