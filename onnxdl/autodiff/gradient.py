"""The reverse pass: the chain rule, written as more nodes of the same graph.

For each node, from the outputs backwards, the rule of its operator turns the gradients of its outputs into gradients of
its inputs (reverse accumulation; Griewank and Walther, Evaluating Derivatives, 2008). What every rule would repeat is
done once, here: broadcasting is undone, contributions are summed, element types and absent inputs are handled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from onnxdl.autodiff import registry
from onnxdl.autodiff.functions import function_body
from onnxdl.autodiff.shapes import ones_like, unbroadcast, zeros_like
from onnxdl.errors import GradientError
from onnxdl.graph import op
from onnxdl.graph.dtypes import is_float
from onnxdl.graph.infer import describe, dims, schema_of
from onnxdl.graph.tensor import Tensor, TensorLike, as_tensor
from onnxdl.graph.trace import DEFAULT_OPSET, Trace, current_trace, outermost_scope, where
from onnxdl.graph.walk import ancestry, used_values

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
        rules: rules that stand in for the registered ones, by operator, such as ``{"Relu": guided}``.

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


def _reverse(ys: Sequence[Tensor], seeds: Sequence[Tensor], wrt: Sequence[ir.Value], trace: Trace | None, rules: Rules) -> Gradients:
    nodes, _ = ancestry([t.value for t in ys], lambda value: False)
    live = _depending(nodes, wrt)
    gradients: Gradients = {}
    for t, seed in zip(ys, seeds, strict=True):
        gradients.setdefault(t.value, []).append(seed)
    for node in reversed(nodes):
        if not any(v in live for v in node.outputs) or not any(gradients.get(v) for v in node.outputs):
            continue
        with outermost_scope(f"grad/{node.name or node.op_type}"):
            totals = [_total(gradients[v], Tensor(v, trace)) if gradients.get(v) else None for v in node.outputs]
            for value, total in zip(node.outputs, totals, strict=True):
                if total is not None:
                    gradients[value] = [total]
            for value, contribution in _contributions(node, totals, trace, rules, live):
                gradients.setdefault(value, []).append(contribution)
    return gradients


def _depending(nodes: Iterable[ir.Node], wrt: Iterable[ir.Value]) -> set[ir.Value]:
    """The float values that change with ``wrt``."""
    live = set(wrt)
    for node in nodes:
        custom = node.meta.get("custom_gradient")
        inputs: Iterable[ir.Value] = custom.inputs if custom is not None else used_values(node)
        if any(v in live for v in inputs):
            live.update(v for v in node.outputs if not isinstance(v.type, ir.TensorType) or is_float(v.dtype))
    return live


def _total(parts: Sequence[Tensor], x: Tensor) -> Tensor:
    if len(parts) == 1:
        return parts[0]
    return op.Add(*parts) if len(parts) == 2 else op.Sum(*parts)


def _contributions(
    node: ir.Node, totals: Sequence[Tensor | None], trace: Trace | None, rules: Rules, live: set[ir.Value]
) -> Iterable[tuple[ir.Value, Tensor]]:
    """What one node passes on: pairs of an input value and a gradient that has its shape and type."""
    custom = node.meta.get("custom_gradient")
    if custom is not None:
        inputs, results = custom.inputs, custom.backward(node, totals)
    else:
        inputs, results = node.inputs, _apply_rule(node, totals, trace, rules)
    results = list(results)
    while len(results) > len(inputs) and results[-1] is None:
        results.pop()
    if len(results) > len(inputs):
        raise GradientError(f"the rule of {node.op_type} gave {len(results)} gradients for {len(inputs)} inputs{_at(node)}")
    for value, result in zip(inputs, results, strict=False):
        if value is None or result is None or value not in live:
            continue
        x = Tensor(value, trace)
        g = as_tensor(result, x)
        if g.value.dtype != value.dtype and isinstance(value.type, ir.TensorType):
            g = g.astype(x.dtype)
        yield value, unbroadcast(g, x) if isinstance(value.type, ir.TensorType) else g


def _apply_rule(node: ir.Node, totals: Sequence[Tensor | None], trace: Trace | None, rules: Rules) -> Sequence[Any]:
    found = rules.get(node.op_type) if node.domain == "" else None
    entry = registry.VJP(found, False) if found is not None else registry.find(node.op_type, node.domain)
    inputs = [None if v is None else Tensor(v, trace) for v in node.inputs]
    if entry is None:
        if registry.has_no_gradient(node.op_type, node.domain):
            return []
        return _through_body(node, inputs, totals, trace, rules)
    outputs = [Tensor(v, trace) for v in node.outputs]
    if entry.multiple:
        results = entry.rule(tuple(totals), tuple(outputs), *inputs, **attributes_of(node))
    else:
        if any(t is not None for t in totals[1:]):
            raise GradientError(f"{node.op_type} passes no gradient on from its output {len(totals) - 1}{_at(node)}")
        results = entry.rule(totals[0], outputs[0], *inputs, **attributes_of(node))
    return results if isinstance(results, tuple | list) else [results]


def _through_body(
    node: ir.Node, inputs: Sequence[Tensor | None], totals: Sequence[Tensor | None], trace: Trace | None, rules: Rules
) -> Sequence[Any]:
    """Differentiates an operator without a rule through its function body in the standard."""
    outputs = function_body(node, inputs, trace)
    if outputs is None:
        raise GradientError(
            f"{node.domain + '.' if node.domain else ''}{node.op_type} has no gradient rule and no function body to differentiate; "
            f"give one with rules={{{node.op_type!r}: rule}} or @ox.custom_gradient{_at(node)}"
        )
    reached = [(o, t) for o, t in zip(outputs, totals, strict=False) if t is not None]
    wrt = [x for x in inputs if x is not None and is_float(x.value.dtype)]
    found = iter(_partial([o for o, _ in reached], [t for _, t in reached], wrt, trace, rules))
    return [next(found) if x is not None and is_float(x.value.dtype) else None for x in inputs]


def _partial(
    ys: Sequence[Tensor], seeds: Sequence[Tensor], wrt: Sequence[Tensor], trace: Trace | None, rules: Rules
) -> list[Tensor | None]:
    gradients = _reverse(ys, seeds, [x.value for x in wrt], trace, rules)
    return [_total(gradients[x.value], x) if gradients.get(x.value) else None for x in wrt]


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


def _at(node: ir.Node) -> str:
    name = f"node {node.name}" if node.name else ""
    line = node.meta.get("line")
    parts = [p for p in (name, f"at {line}" if line else "") if p]
    return f" ({', '.join(parts)})" if parts else ""


__all__ = ["attributes_of", "gradient"]
