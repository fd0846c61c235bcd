"""What ``op.X`` is: the standard's schema, asked at run time, as a function that checks its call and writes one node."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from onnxdl.errors import GraphError
from onnxdl.graph.dtypes import to_ir
from onnxdl.graph.infer import describe, schema_of
from onnxdl.graph.tensor import Operators, Tensor, as_tensor
from onnxdl.graph.trace import DEFAULT_OPSET, Trace, current_trace, new_node, where

DTYPE_ATTRIBUTES = frozenset({"to", "dtype", "output_dtype", "output_datatype", "precision", "softmax_precision", "stash_type"})
"""Integer attributes that name an element type; a NumPy dtype will do as well."""

_Option = onnx.defs.OpSchema.FormalParameterOption


@cache
def _first_versions() -> dict[str, int]:
    versions: dict[str, int] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            versions[schema.name] = min(schema.since_version, versions.get(schema.name, schema.since_version))
    return versions


def operator_names() -> list[str]:
    """The names of all ai.onnx operators that are not deprecated."""
    return sorted(name for name in _first_versions() if not operator_schema(name).deprecated)


def operator_schema(name: str, opset: int = DEFAULT_OPSET) -> onnx.defs.OpSchema:
    """The schema of an operator as of an opset, or of its first version where that came later."""
    schema = schema_of(name, max(opset, _first_versions()[name]))
    assert schema is not None  # the name is in the table of first versions
    return schema


class Operator:
    """One operator of the standard; called, it writes one node and returns its outputs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.__name__ = name
        self.__doc__ = operator_schema(name).doc

    def __call__(self, *inputs: Any, outputs: int | None = None, **attributes: Any) -> Any:
        trace = _trace_of(inputs)
        schema = operator_schema(self.name, trace.root.opset if trace is not None else DEFAULT_OPSET)
        given = _inputs(schema, inputs)
        attrs = _attributes(schema, attributes, trace, given)
        n_outputs = outputs if outputs is not None else _output_count(schema, attrs, len(given))
        if not schema.min_output <= n_outputs <= schema.max_output:
            raise GraphError(f"{self.name} has {schema.min_output} to {schema.max_output} outputs, not {n_outputs}{where()}")
        results = write(self.name, given, attrs, n_outputs, trace=trace, version=schema.since_version)
        return results[0] if n_outputs == 1 else results

    def __repr__(self) -> str:
        return f"op.{self.name}"


@cache
def operator(name: str) -> Operator:
    """The operator of that name; raises AttributeError with the nearest names."""
    if name.startswith("_") or name not in _first_versions():
        near = difflib.get_close_matches(name, _first_versions(), 3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise AttributeError(f"the standard has no operator {name!r}{hint}")
    return Operator(name)


def write(
    op_type: str,
    inputs: Sequence[Tensor | None],
    attributes: dict[str, ir.Attr],
    n_outputs: int,
    *,
    trace: Trace | None,
    domain: str = "",
    version: int | None = None,
    output_names: Sequence[str | None] | None = None,
) -> tuple[Tensor, ...]:
    """Writes one node into ``trace``, or a free node where it is None. Unlike ``op.X`` it trusts its caller."""
    values = [None if t is None else _visible(t, trace, op_type).value for t in inputs]
    if trace is not None:
        outputs = trace.emit(op_type, values, attributes, n_outputs, domain=domain, version=version, output_names=output_names)
    else:
        outputs = new_node(op_type, values, attributes, n_outputs, domain=domain, version=version).outputs
        if any(v is not None and v.meta.get("symbolic") for v in values):
            for output in outputs:
                output.meta["symbolic"] = True
    return tuple(Tensor(v, trace) for v in outputs)


def _trace_of(inputs: Sequence[Any]) -> Trace | None:
    """The trace that the node belongs to: the current one, or the innermost among the inputs' own."""
    trace = current_trace()
    for x in inputs:
        owner = x.trace if isinstance(x, Tensor) else None
        if owner is not None and (trace is None or trace.encloses(owner)):
            trace = owner
    return trace


def _visible(t: Tensor, trace: Trace | None, op_type: str) -> Tensor:
    if t.trace is None and trace is not None:
        if trace.over_dynamic:
            return t
        if t.symbolic:
            raise GraphError(f"{op_type} mixes an Input of one model with the graph of another{where()}")
        return trace.constant(t._evaluated())
    if t.trace is not None and not t.trace.encloses(trace):
        raise GraphError(f"{op_type} was given {t.name!r} of another trace; pass it in as an input{where()}")
    return t


def _inputs(schema: onnx.defs.OpSchema, inputs: Sequence[Any]) -> list[Tensor | None]:
    formal = list(schema.inputs)
    variadic = bool(formal) and formal[-1].option == _Option.Variadic
    while inputs and inputs[-1] is None and len(inputs) > schema.min_input:
        inputs = inputs[:-1]
    if len(inputs) < schema.min_input or (not variadic and len(inputs) > len(formal)):
        names = ", ".join(f.name for f in formal)
        raise GraphError(f"{schema.name} takes the inputs ({names}), {schema.min_input} at least; got {len(inputs)}{where()}")

    def formal_of(i: int) -> onnx.defs.OpSchema.FormalParameter:
        return formal[min(i, len(formal) - 1)]

    given: list[Tensor | None] = [as_tensor(x) if isinstance(x, Operators) or hasattr(x, "__tensor__") else None for x in inputs]
    bound = {formal_of(i).type_str: t for i, t in reversed(list(enumerate(given))) if t is not None}
    for i, x in enumerate(inputs):
        if x is None and formal_of(i).option == _Option.Single:
            raise GraphError(f"{schema.name}: input {formal_of(i).name!r} is missing{where()}")
        if x is not None and given[i] is None:
            given[i] = t = _as_input(x, formal_of(i), bound, schema)
            if formal_of(i).is_homogeneous:
                bound.setdefault(formal_of(i).type_str, t)
    _check_types(schema, given, formal_of)
    return given


def _as_input(x: Any, formal: onnx.defs.OpSchema.FormalParameter, bound: dict[str, Tensor], schema: onnx.defs.OpSchema) -> Tensor:
    """Data given in place of a tensor, in the element type that the operator wants there."""
    allowed = formal.types
    like = bound.get(formal.type_str)
    if like is None and not isinstance(x, np.ndarray) and len(allowed) == 1:
        x = np.asarray(x, dtype=_NUMPY[next(iter(allowed))])
    elif like is None and not isinstance(x, np.ndarray | np.generic) and "tensor(int64)" in allowed and "tensor(float)" not in allowed:
        x = np.asarray(x, dtype=np.int64)
    try:
        return as_tensor(x, like)
    except (ValueError, TypeError) as error:
        raise GraphError(f"{schema.name}: input {formal.name!r}: {error}{where()}") from None


def _check_types(schema: onnx.defs.OpSchema, given: Sequence[Tensor | None], formal_of: Any) -> None:
    bound: dict[str, Tensor] = {}
    for i, t in enumerate(given):
        if t is None or t.value.type is None:
            continue
        formal = formal_of(i)
        spelled = _spell(t.value.type)
        if spelled not in formal.types:
            allowed = ", ".join(sorted(a.removeprefix("tensor(").removesuffix(")") for a in formal.types))
            raise GraphError(f"{schema.name}: input {formal.name!r} is {describe(t.value)}, but must be one of {allowed}{where()}")
        first = bound.setdefault(formal.type_str, t)
        if formal.is_homogeneous and first.value.dtype != t.value.dtype:
            raise GraphError(
                f"{schema.name}: inputs {describe(first.value)} and {describe(t.value)} must have one element type; "
                f"convert one with .astype{where()}"
            )


def _spell(type_: ir.TypeProtocol) -> str:
    if isinstance(type_, ir.SequenceType):
        return f"seq({_spell(type_.elem_type)})"
    if isinstance(type_, ir.OptionalType):
        return f"optional({_spell(type_.elem_type)})"
    return f"tensor({type_.dtype.name.lower()})"


_NUMPY = {f"tensor({d.name.lower()})": d.numpy() for d in ir.DataType if d not in (ir.DataType.UNDEFINED, ir.DataType.STRING)}
_NUMPY["tensor(string)"] = np.dtype(object)


def _attributes(
    schema: onnx.defs.OpSchema, given: dict[str, Any], trace: Trace | None, inputs: Sequence[Tensor | None]
) -> dict[str, ir.Attr]:
    attributes: dict[str, ir.Attr] = {}
    for name, value in given.items():
        if name not in schema.attributes:
            near = difflib.get_close_matches(name, schema.attributes, 1)
            known = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(schema.attributes)) or 'none'}"
            raise GraphError(f"{schema.name} has no attribute {name!r}; {known}{where()}")
        if value is not None:
            attributes[name] = _attribute(schema, name, value, given, inputs, trace)
    for name, formal in schema.attributes.items():
        if formal.required and name not in attributes:
            raise GraphError(f"{schema.name} needs the attribute {name!r}{where()}")
    return attributes


def _body(op_type: str, name: str, function: Any, given: dict[str, Any], inputs: Sequence[Tensor | None], trace: Trace | None) -> ir.Graph:
    from onnxdl.graph.bodies import trace_body

    if not callable(function):
        raise TypeError("a body is a function of tensors, or an ir.Graph")
    return trace_body(op_type, name, function, inputs, given.get("num_scan_inputs", 0), trace)


def _attribute(
    schema: onnx.defs.OpSchema, name: str, value: Any, given: dict[str, Any], inputs: Sequence[Tensor | None], trace: Trace | None
) -> ir.Attr:
    if isinstance(value, ir.Attr):
        return value
    kind = ir.AttributeType(schema.attributes[name].type.value)  # type: ignore[attr-defined]  # the stub of onnx lacks it
    try:
        match kind:
            case ir.AttributeType.INT:
                is_dtype = name in DTYPE_ATTRIBUTES and not isinstance(value, int | np.integer)
                return ir.AttrInt64(name, to_ir(value).value if is_dtype else int(np.int64(value)))
            case ir.AttributeType.INTS:
                return ir.AttrInt64s(name, [int(np.int64(v)) for v in value])
            case ir.AttributeType.FLOAT:
                return ir.AttrFloat32(name, float(value))
            case ir.AttributeType.FLOATS:
                return ir.AttrFloat32s(name, [float(v) for v in value])
            case ir.AttributeType.STRING:
                return ir.AttrString(name, str(value))
            case ir.AttributeType.STRINGS:
                return ir.AttrStrings(name, [str(v) for v in value])
            case ir.AttributeType.TENSOR:
                return ir.AttrTensor(name, value if isinstance(value, ir.TensorProtocol) else ir.tensor(np.array(value)))
            case ir.AttributeType.GRAPH:
                return ir.AttrGraph(name, value if isinstance(value, ir.Graph) else _body(schema.name, name, value, given, inputs, trace))
            case _:
                return ir.Attr(name, kind, value)
    except (TypeError, ValueError, OverflowError) as error:
        raise GraphError(f"{schema.name}: attribute {name!r} ({kind.name.lower()}) cannot be {value!r}: {error}{where()}") from None


def _output_count(schema: onnx.defs.OpSchema, attributes: dict[str, ir.Attr], n_inputs: int) -> int:
    match schema.name:
        case "If":
            return len(attributes["then_branch"].as_graph().outputs)
        case "Loop":
            return len(attributes["body"].as_graph().outputs) - 1
        case "Scan":
            return len(attributes["body"].as_graph().outputs)
        case "Split" if "num_outputs" in attributes:
            return attributes["num_outputs"].as_int()
        case "Split":
            raise GraphError(f"Split needs num_outputs=, or outputs= beside a split input{where()}")
    required = sum(f.option == _Option.Single for f in schema.outputs)
    return required or len(schema.outputs)
