"""The reverse pass: the chain rule, written as more nodes of the same graph.

For each node, from the outputs backwards, the rule of its operator turns the gradients of its outputs into gradients of
its inputs (reverse accumulation; Griewank and Walther, Evaluating Derivatives, 2008). What every rule would repeat is
done once, here: broadcasting is undone, contributions are summed, element types and absent inputs are handled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxdl.autodiff import registry
from onnxdl.autodiff.functions import function_body
from onnxdl.autodiff.sequences import add_sequences, is_sequence
from onnxdl.autodiff.shapes import ones_like, unbroadcast, zeros_like
from onnxdl.errors import GradientError
from onnxdl.graph import op
from onnxdl.graph.dtypes import is_float
from onnxdl.graph.infer import describe, dims, schema_of
from onnxdl.graph.remat import Region, held_back
from onnxdl.graph.tensor import Tensor, TensorLike, as_tensor
from onnxdl.graph.trace import DEFAULT_OPSET, Trace, current_trace, outermost_scope, where
from onnxdl.graph.walk import RECORD, ancestry, copy_nodes, used_values

Rules = Mapping[str, registry.Rule]
Gradients = dict[ir.Value, list[Tensor]]


def gradient(
    y: TensorLike | Sequence[TensorLike],
    xs: Sequence[TensorLike],
    seeds: Sequence[TensorLike | None] | None = None,
    *,
    rules: Rules | None = None,
) -> list[Tensor]:
    r"""The gradients :math:`\sum_k \mathrm{seed}_k \cdot \partial y_k / \partial x_i`, as nodes of the graph of ``y``.

    Args:
        y: what to differentiate; one tensor or several.
        xs: with respect to what: float tensors or Parameters. Gradients that do not exist along any path are zeros.
        seeds: the gradient that comes in at each ``y``; ones where absent.
        rules: rules that stand in for the registered ones, by operator, such as ``{"Relu": guided}``, or that the library lacks,
            such as ``{"some.domain.Odd": rule}``.

    Returns:
        One tensor for each of ``xs``, of its shape and type.

    Raises:
        GradientError: an operator on the way has no gradient, or an ``x`` is not of a float type.
    """
    ys = [as_tensor(t) for t in (y if isinstance(y, Sequence) else [y])]
    wrt = [as_tensor(x) for x in xs]
    for t in (*ys, *wrt):
        if not is_float(t.value.dtype):
            raise GradientError(f"{describe(t.value)} has no gradient: only float tensors have; convert it with .astype{where()}")
    given = list(seeds) if seeds is not None else [None] * len(ys)
    if len(given) != len(ys):
        raise GradientError(f"{len(ys)} outputs but {len(given)} seeds; give one each, None for ones{where()}")
    with outermost_scope("grad"):
        incoming = [ones_like(t) if s is None else as_tensor(s, t) for t, s in zip(ys, given, strict=True)]
    for t, s in zip(ys, incoming, strict=True):
        if (want := dims(t.value)) is not None and (have := dims(s.value)) is not None and len(want) != len(have):
            raise GradientError(f"the seed {describe(s.value)} does not have the shape of {describe(t.value)}{where()}")
    trace = current_trace() or next((t.trace for t in ys if t.trace is not None), None)
    gradients = _reverse(ys, incoming, [x.value for x in wrt], trace, rules or {})
    with outermost_scope("grad"):
        return [_total(gradients[x.value], x) if gradients.get(x.value) else zeros_like(x) for x in wrt]


@dataclass(frozen=True)
class Reverse:
    """The reverse pass under way, as rules of operators with bodies need it: where it writes, and what changes with ``wrt``."""

    trace: Trace | None
    rules: Rules
    live: set[ir.Value]

    def within(self, trace: Trace | None) -> Reverse:
        """The same pass, writing into a body."""
        return replace(self, trace=trace)

    def gradients(self, ys: Sequence[Tensor], seeds: Sequence[Tensor], wrt: Sequence[Tensor]) -> list[Tensor | None]:
        """The gradients of ``ys`` by each of ``wrt``, which counts as independent of the others; None where there is no path."""
        values = [x.value for x in wrt]
        gradients = _reverse(ys, seeds, values, self.trace, self.rules, frozenset(values))
        return [_total(gradients[x.value], x) if gradients.get(x.value) else None for x in wrt]


def _reverse(
    ys: Sequence[Tensor],
    seeds: Sequence[Tensor],
    wrt: Sequence[ir.Value],
    trace: Trace | None,
    rules: Rules,
    leaves: frozenset[ir.Value] = frozenset(),
) -> Gradients:
    """The gradients of all values between ``ys`` and ``wrt``; the walk stops at ``leaves``."""
    nodes, _ = ancestry([t.value for t in ys], leaves.__contains__, _uses)
    _open_regions(nodes, wrt)
    live = depending(nodes, wrt)
    first = {id(record): node for node in reversed(nodes) if (record := _record(node)) is not None}
    gradients: Gradients = {}
    for t, seed in zip(ys, seeds, strict=True):
        gradients.setdefault(t.value, []).append(seed)
    for node in reversed(nodes):
        record = _record(node)
        if record is not None and first[id(record)] is not node:
            continue  # its backward runs once, when the gradients of all its outputs are complete
        outputs = node.outputs if record is None else record.outputs
        arrived = [v not in leaves and bool(gradients.get(v)) for v in outputs]  # a leaf's other half may have led here
        if not any(arrived) or not any(v in live for v in outputs):
            continue
        with outermost_scope(f"grad/{node.name or node.op_type}"):
            totals = [_total(gradients[v], Tensor(v, trace)) if there else None for v, there in zip(outputs, arrived, strict=True)]
            for value, total in zip(outputs, totals, strict=True):
                if total is not None:
                    gradients[value] = [total]
            for value, contribution in _contributions(node, totals, trace, rules, live):
                gradients.setdefault(value, []).append(contribution)
    return gradients


def _record(node: ir.Node) -> Any:
    """The record at each output of a ``custom_gradient`` or of a region to be computed again: their common inputs and outputs."""
    return node.meta.get(RECORD)


def _open_regions(nodes: Iterable[ir.Node], wrt: Iterable[ir.Value]) -> None:
    """Regions are kept, not computed again, where a gradient by one of their own values is asked for: its copy is another value."""
    makers = {v.producer() for v in wrt} - {None}
    for node in nodes if makers else ():
        record = _record(node)
        if isinstance(record, Region) and not makers.isdisjoint(record.nodes()):
            del node.meta[RECORD]


def _uses(node: ir.Node) -> Iterable[ir.Value]:
    """What has to stand before a node: what it uses, and where it has a record all that its backward reads or reaches."""
    record = _record(node)
    return used_values(node) if record is None else (*record.inputs, *record.results)


def depending(nodes: Iterable[ir.Node], wrt: Iterable[ir.Value]) -> set[ir.Value]:
    """The values that change with ``wrt``: floats, and the integers that quantized numbers are while they are only moved about."""
    live = set(wrt)
    for node in nodes:
        record = _record(node)
        inputs: Iterable[ir.Value] = record.inputs if record is not None else used_values(node)
        if changing := [v for v in inputs if v in live]:
            quantized = {v.dtype for v in changing if isinstance(v.type, ir.TensorType) and not is_float(v.dtype)}
            kept = registry.is_straight_through(node.op_type, node.domain) or (quantized and node.op_type == "Cast")
            for v in node.outputs:
                if not isinstance(v.type, ir.TensorType) or is_float(v.dtype) or kept or v.dtype in quantized:
                    live.add(v)
    return live


def _total(parts: Sequence[Tensor], x: Tensor) -> Tensor:
    if len(parts) == 1:
        return parts[0]
    if is_sequence(x):
        return reduce(add_sequences, parts)
    return op.Add(*parts) if len(parts) == 2 else op.Sum(*parts)


def _contributions(
    node: ir.Node, totals: Sequence[Tensor | None], trace: Trace | None, rules: Rules, live: set[ir.Value]
) -> Iterable[tuple[ir.Value, Tensor]]:
    """What one node passes on: pairs of an input value and a gradient that has its shape and type."""
    record = _record(node)
    reverse = Reverse(trace, rules, live)
    if isinstance(record, Region):
        pairs: Iterable[tuple[ir.Value | None, Any]] = _computed_again(record, totals, reverse)
    elif record is not None:
        pairs = _paired(node, record.inputs, record.backward(totals))
    else:
        pairs = _apply_rule(node, totals, reverse)
    for value, result in pairs:
        if value is None or result is None or value not in live:
            continue
        x = Tensor(value, trace)
        g = as_tensor(result, x)
        if g.value.dtype != value.dtype and isinstance(value.type, ir.TensorType):
            g = g.astype(x.dtype if is_float(value.dtype) else np.float32)
        yield value, unbroadcast(g, x) if isinstance(value.type, ir.TensorType) else g


def _computed_again(region: Region, totals: Sequence[Tensor | None], reverse: Reverse) -> Iterable[tuple[ir.Value | None, Any]]:
    """Differentiates a copy of a region, which cannot run before the first of the gradients that come in."""
    reached = [(v, t) for v, t in zip(region.results, totals, strict=True) if t is not None]
    known: dict[ir.Value, Tensor | None] = dict(held_back([Tensor(v, reverse.trace) for v in region.inputs], reached[0][1]))
    with outermost_scope("again"):
        copy_nodes(region.nodes(), known, reverse.trace, keep_names=True)
    again = {v: t for v in (*region.results, *region.inputs) if (t := known[v]) is not None}
    wrt = [v for v in region.inputs if v in reverse.live]
    found = reverse.gradients([again[v] for v, _ in reached], [t for _, t in reached], [again[v] for v in wrt])
    return zip(wrt, found, strict=True)


def _paired(node: ir.Node, inputs: Sequence[ir.Value | None], results: Any) -> Iterable[tuple[ir.Value | None, Any]]:
    given = list(results) if isinstance(results, tuple | list) else [results]
    while len(given) > len(inputs) and given[-1] is None:
        given.pop()
    if len(given) > len(inputs):
        raise GradientError(f"the rule of {node.op_type} gave {len(given)} gradients for {len(inputs)} inputs{_at(node)}")
    return zip(inputs, given, strict=False)


def _apply_rule(node: ir.Node, totals: Sequence[Tensor | None], reverse: Reverse) -> Iterable[tuple[ir.Value | None, Any]]:
    found = reverse.rules.get(_operator(node))
    entry = registry.VJP(found, "single") if found is not None else registry.find(node.op_type, node.domain)
    if entry is None and registry.has_no_gradient(node.op_type, node.domain):
        return []
    for value in (*node.inputs, *node.outputs):
        if value is not None and value.type is None:
            giver = value.producer() or node
            raise GradientError(f"the type of {value.name!r} is not known; name it in the model's value_info{_at(giver)}")
    if entry is not None and entry.form == "node":
        return entry.rule(node, totals, reverse)  # type: ignore[no-any-return]
    inputs = [None if v is None else _number(v, reverse) for v in node.inputs]
    outputs = [_number(v, reverse) for v in node.outputs]
    if entry is None or entry.form == "lowering":
        return _through_definition(node, inputs, totals, reverse, entry)
    if entry.form == "multiple":
        return _paired(node, node.inputs, entry.rule(tuple(totals), tuple(outputs), *inputs, **attributes_of(node)))
    if any(t is not None for t in totals[1:]):
        raise GradientError(f"{node.op_type} passes no gradient on from its output {len(totals) - 1}{_at(node)}")
    return _paired(node, node.inputs, entry.rule(totals[0], outputs[0], *inputs, **attributes_of(node)))


def _number(value: ir.Value, reverse: Reverse) -> Tensor:
    """A value as a rule sees it: the integers that quantized numbers are, as the real numbers that they stand for."""
    t, producer = Tensor(value, reverse.trace), value.producer()
    if value in reverse.live and isinstance(value.type, ir.TensorType) and not is_float(value.dtype):
        return op.Cast(t, to=np.float32)
    if producer is not None and producer.op_type == "DequantizeLinear" and producer.inputs[0].dtype == ir.DataType.INT8:  # type: ignore[union-attr]
        return op.Max(t)  # ONNX Runtime 1.31 moves an int8 DequantizeLinear past what only moves its numbers, and then refuses the result
    return t


def _through_definition(
    node: ir.Node, inputs: Sequence[Tensor | None], totals: Sequence[Tensor | None], reverse: Reverse, entry: registry.VJP | None
) -> Iterable[tuple[ir.Value | None, Any]]:
    """Differentiates an operator through its lowering, or its function body in the standard."""
    if entry is not None:
        lowered = entry.rule(*inputs, **attributes_of(node))
        outputs = list(lowered) if isinstance(lowered, tuple | list) else [lowered]
    else:
        body = function_body(node, inputs, reverse.trace)
        if body is None:
            raise GradientError(
                f"{_operator(node)} has no gradient rule, and the standard does not define it by simpler operators{_at(node)}; "
                f"give it a rule, such as rules={{{_operator(node)!r}: lambda g, y, x: g * op.Cos(x)}}"
            )
        outputs = body
    reached = [(o, t) for o, t in zip(outputs, totals, strict=False) if t is not None]
    pairs = zip(node.inputs, inputs, strict=True)
    wrt = {v: x for v, x in pairs if x is not None and is_float(x.value.dtype)}  # once each, however often it is an input
    return zip(wrt, reverse.gradients([o for o, _ in reached], [t for _, t in reached], list(wrt.values())), strict=True)


def attributes_of(node: ir.Node, opset: int = DEFAULT_OPSET) -> dict[str, Any]:
    """A node's attributes as Python values, the schema's defaults filled in."""
    values: dict[str, Any] = {}
    owner = node.graph
    version = node.version or (owner.opset_imports.get(node.domain) if isinstance(owner, ir.Graph) else None) or opset
    schema = schema_of(node.op_type, version, node.domain)
    if schema is not None:
        for name, formal in schema.attributes.items():
            if formal.default_value.type:
                values[name] = _plain(ir.serde.deserialize_attribute(formal.default_value))
    values.update((a.name, _plain(a)) for a in node.attributes.values() if isinstance(a, ir.Attr))
    return values


def _plain(attribute: ir.Attr) -> Any:
    value = attribute.value
    if attribute.type in (ir.AttributeType.INTS, ir.AttributeType.FLOATS, ir.AttributeType.STRINGS):
        return list(value)
    return value


def _operator(node: ir.Node) -> str:
    """``Relu``, and ``some.domain.Odd`` outside ai.onnx: the key of a rule that stands in for the registered one."""
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def _at(node: ir.Node) -> str:
    name = f"node {node.name}" if node.name else ""
    line = node.meta.get("line")
    parts = [p for p in (name, f"at {line}" if line else "") if p]
    return f" ({', '.join(parts)})" if parts else ""


__all__ = ["Reverse", "Rules", "attributes_of", "depending", "gradient"]
