"""The graph being written.

A static trace owns an ``ir.Graph`` and appends to it. Without a trace, nodes are free: each is kept alive by the handles
and nodes that still need it, and is evaluated on demand (the dynamic graph, see ``evaluate``). Names are given here and
nowhere else: ``encoder.0.weight`` for a parameter, ``encoder/0/MatMul_3`` for a node.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph.dtypes import DTypeLike, to_ir
from onnxdl.graph.infer import describe, infer
from onnxdl.graph.target import PORTABLE, Target

if TYPE_CHECKING:
    from onnxdl.graph.tensor import Tensor

DEFAULT_OPSET = 21
IR_VERSION = 10

_current: ContextVar[Trace | None] = ContextVar("onnxdl_trace", default=None)
_scopes: ContextVar[tuple[str, ...]] = ContextVar("onnxdl_scopes", default=())
_PACKAGE = str(Path(__file__).parents[1]) + os.sep


def current_trace() -> Trace | None:
    """The innermost trace being written, None in dynamic mode."""
    return _current.get()


def scope_path() -> str:
    """Where the code being traced stands among the layers: ``encoder/0``."""
    return "/".join(_scopes.get())


@contextlib.contextmanager
def scope(name: str) -> Iterator[None]:
    """Names written inside are prefixed by ``name/``."""
    token = _scopes.set((*_scopes.get(), name))
    try:
        yield
    finally:
        _scopes.reset(token)


@contextlib.contextmanager
def outermost_scope(name: str) -> Iterator[None]:
    """Names written inside are prefixed by ``name/`` alone, wherever the caller stands."""
    token = _scopes.set((name,))
    try:
        yield
    finally:
        _scopes.reset(token)


@contextlib.contextmanager
def no_trace() -> Iterator[None]:
    """Expressions written inside are dynamic, whatever is being traced."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


class Trace:
    """One ONNX graph being written.

    Args:
        name: the graph's name.
        training: whether layers behave as in training (dropout drops, batch statistics are used). Fixed for the trace.
        opset: the lowest ai.onnx opset to write for; operators of later opsets raise it.
        parent: the trace around a branch or loop body, whose tensors may be used inside.
        over_dynamic: whether this is a body inside a dynamic expression, whose tensors may be used inside.
        target: where it will run; by default anywhere.
    """

    def __init__(
        self,
        name: str = "main",
        *,
        training: bool = False,
        opset: int = DEFAULT_OPSET,
        parent: Trace | None = None,
        over_dynamic: bool = False,
        target: Target = PORTABLE,
    ) -> None:
        self.graph = ir.Graph([], [], nodes=[], opset_imports={} if parent else {"": opset}, name=name)
        self.training = training
        self.target: Target = target if parent is None else parent.target
        self.parent = parent
        self.root: Trace = parent.root if parent is not None else self
        self.opset: int = opset if parent is None else parent.root.opset
        self.over_dynamic: bool = over_dynamic or (parent is not None and parent.over_dynamic)
        self.domains: dict[str, int] = {}
        self.variables: dict[Any, Tensor] = {}
        self.updates: dict[Any, Tensor] = {}
        self.losses: list[Tensor] = []
        self.lookups: dict[Any, list[tuple[Tensor, Tensor]]] = {}
        self.declare: Callable[[Any], Tensor] | None = None
        self.random_key: Callable[[], tuple[Tensor, Tensor]] | None = None
        self._names: Counter[str] = Counter() if parent is None else parent.root._names
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Tensor] = {}

    def __enter__(self) -> Trace:
        self._tokens = (_current.set(self), _scopes.set(() if self.parent is None else _scopes.get()))
        return self

    def __exit__(self, *_: object) -> None:
        _current.reset(self._tokens[0])
        _scopes.reset(self._tokens[1])

    def encloses(self, other: Trace | None) -> bool:
        """Whether tensors of ``self`` may be used while ``other`` is being written."""
        while other is not None and other is not self:
            other = other.parent
        return other is self

    def unique(self, name: str) -> str:
        """``name``, or ``name_1``, ``name_2``, ... where it is taken."""
        names = self.root._names
        count = names[name]
        names[name] += 1
        if not count:
            return name
        candidate = f"{name}_{count}"
        while names[candidate]:
            count += 1
            candidate = f"{name}_{count}"
        names[name] = count + 1
        names[candidate] += 1
        return candidate

    def input(self, name: str, dtype: DTypeLike, shape: Sequence[int | str | None] | None) -> Tensor:
        """A new input of the graph; a dimension given as a string is symbolic."""
        from onnxdl.graph.tensor import Tensor

        if self._names[name] and self.parent is None:
            raise GraphError(f"the graph already has a value named {name!r}; give this input another name")
        value = ir.Value(name=self.unique(name), type=ir.TensorType(to_ir(dtype)), shape=None if shape is None else ir.Shape(shape))
        self.graph.inputs.append(value)
        return Tensor(value, self)

    def initializer(self, name: str, array: ir.TensorProtocol | np.ndarray) -> Tensor:
        """A weight stored in the file under ``name``."""
        from onnxdl.graph.tensor import Tensor

        tensor = ir.tensor(array, name=name) if isinstance(array, np.ndarray) else array
        name = self.unique(name)
        value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape.numpy()), const_value=tensor)
        self.root.graph.register_initializer(value)
        return Tensor(value, self.root)

    def constant(self, array: np.ndarray) -> Tensor:
        """A Constant node; equal small constants are written once."""
        from onnxdl.graph.tensor import Tensor

        key = (str(array.dtype), array.shape, array.tobytes()) if array.size <= 64 else None
        if key is not None and (known := self._constant_in_reach(key)) is not None:
            return known
        array = np.array(array)  # a copy: the graph must not change with the caller's buffer
        value = self.emit("Constant", [], {"value": ir.AttrTensor("value", ir.tensor(array))}, 1)[0]
        tensor = Tensor(value, self)
        if key is not None:
            self._constants[key] = tensor
        return tensor

    def forget_constants(self) -> None:
        """Writes constants anew from here on."""
        self._constants.clear()

    def _constant_in_reach(self, key: tuple[str, tuple[int, ...], bytes]) -> Tensor | None:
        trace: Trace | None = self
        while trace is not None:
            if key in trace._constants:
                return trace._constants[key]
            trace = trace.parent
        return None

    def variable(self, parameter: Any) -> Tensor:
        """The tensor that stands for a Parameter in this trace: an input (training) or an initializer (export)."""
        root = self.root
        if parameter not in root.variables:
            if root.declare is None:
                raise GraphError(f"{parameter} was used in a trace that declares no parameters; call the layer through its Model")
            root.variables[parameter] = root.declare(parameter)
        return root.variables[parameter]

    def emit(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, ir.Attr],
        n_outputs: int,
        *,
        domain: str = "",
        version: int | None = None,
        output_names: Sequence[str | None] | None = None,
    ) -> Sequence[ir.Value]:
        """Appends one node and infers its outputs."""
        if domain == "" and version is not None and version > self.root.opset:
            self.root.opset = version
            self.root.graph.opset_imports[""] = version
        elif domain:
            self.root.graph.opset_imports.setdefault(domain, self.root.domains.get(domain, version or 1))
        node = new_node(op_type, inputs, attributes, n_outputs, domain=domain, opset=self.root.opset)
        prefix = scope_path()
        node.name = self.unique(f"{prefix}/{op_type}" if prefix else op_type)
        for i, output in enumerate(node.outputs):
            given = output_names[i] if output_names is not None else None
            output.name = node.name if not given and i == 0 else self.unique(given or f"{node.name}:{i}")
        self.graph.append(node)
        return node.outputs

    def add_output(self, result: Tensor) -> None:
        """Appends an output; a value that is not this graph's own, or is one already, goes through an Identity."""
        value = result.value
        if value.graph is not self.graph or value.is_graph_output() or value.is_graph_input():
            value = self.emit("Identity", [value], {}, 1)[0]
        self.graph.outputs.append(value)

    def model(self, outputs: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> ir.Model:
        """The finished model with these outputs, without the nodes that none of them needs."""
        from onnxdl.graph.passes import finish

        return finish(self, outputs, metadata or {})


def new_node(
    op_type: str,
    inputs: Sequence[ir.Value | None],
    attributes: Mapping[str, ir.Attr],
    n_outputs: int,
    *,
    domain: str = "",
    opset: int = DEFAULT_OPSET,
    version: int | None = None,
) -> ir.Node:
    """A node in no graph yet, its outputs inferred; raises ShapeError with the user's line, the operator and its inputs."""
    node = ir.Node(domain, op_type, inputs, dict(attributes), num_outputs=n_outputs, version=version)
    node.meta["line"] = user_line()
    try:
        infer(node, max(opset, version or 0))
    except ShapeError as error:
        message = f"{op_type}({', '.join(describe(v) for v in inputs)}): {error}{where(node)}"
        discard(node)
        raise ShapeError(message) from None
    return node


def discard(node: ir.Node) -> Iterable[ir.Value]:
    """Takes a node off its inputs, so that they no longer know it; returns what it used."""
    used = [v for v in node.inputs if v is not None]
    for attribute in node.attributes.values():
        if isinstance(attribute, ir.Attr) and attribute.type == ir.AttributeType.GRAPH:
            for inner in attribute.as_graph().all_nodes():
                used.extend(v for v in inner.inputs if v is not None)
                inner.resize_inputs(0)
    node.resize_inputs(0)
    return used


def where(node: ir.Node | None = None) -> str:
    """`` (layer encoder/0; script.py:12)``: the end of an error message."""
    path = scope_path()
    line = node.meta.get("line") if node is not None else user_line()
    parts = ([f"in layer {path}"] if path else []) + ([f"at {line}"] if line else [])
    return f" ({', '.join(parts)})" if parts else ""


def user_line() -> str | None:
    """``file.py:12`` of the innermost frame outside this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        filename = frame.f_code.co_filename
        if not filename.startswith(_PACKAGE) and not filename.startswith("<frozen"):
            return f"{os.path.basename(filename)}:{frame.f_lineno}"
        frame = frame.f_back
    return None
