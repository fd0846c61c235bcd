"""What onnx's version converter leaves wrong, set right: before it runs, and after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx

_ASYMMETRIC_UNTIL = 10  # Upsample, and the first Resize, placed samples at x * scale, which later is one mode of several
_FLOAT = onnx.TensorProto.FLOAT
_HIDDEN = "onnxdl.hidden"


def rewrite_group_norms(model: onnx.ModelProto) -> None:
    """GroupNormalization of opset 18, with one scale a group: the standard withdrew it, so the checker and the converter refuse it.

    It is the InstanceNormalization of the channels of a group taken together.
    """
    for nodes in _node_lists(model):
        rewritten = [part for node in nodes for part in (_group_norm(node) if _is(node, "GroupNormalization") else [node])]
        if len(rewritten) > len(nodes):
            kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in rewritten]
            del nodes[:]
            nodes.extend(kept)


def _group_norm(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    x, scale, bias = node.input
    y = node.output[0]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    shape = onnx.helper.make_tensor("", onnx.TensorProto.INT64, [3], [0, attributes["num_groups"], -1])
    return [
        onnx.helper.make_node("Constant", [], [f"{y}/groups"], value=shape),
        onnx.helper.make_node("Reshape", [x, f"{y}/groups"], [f"{y}/grouped"]),
        onnx.helper.make_node(
            "InstanceNormalization", [f"{y}/grouped", scale, bias], [f"{y}/normalised"], node.name, epsilon=attributes.get("epsilon", 1e-5)
        ),
        onnx.helper.make_node("Shape", [x], [f"{y}/shape"]),
        onnx.helper.make_node("Reshape", [f"{y}/normalised", f"{y}/shape"], [y]),
    ]


def rewrite_batch_scans(model: onnx.ModelProto) -> bool:
    """Scan of opset 8, which ran once for each element of a batch: a Scan of today over the batch, around one over the sequence.

    The converter takes it for today's Scan, so both are hidden from it in a domain of their own. Returns whether there were any.
    """
    found = [n for nodes in _node_lists(model) for n in nodes if _is(n, "Scan")]  # inner ones first
    for node in found:
        node.CopyFrom(_over_batch(node))
    if found:
        model.opset_import.append(onnx.helper.make_opsetid(_HIDDEN, 1))
    return bool(found)


def _over_batch(node: onnx.NodeProto) -> onnx.NodeProto:
    attributes = {a.name: a for a in node.attribute}
    body, n_scanned = attributes["body"].g, attributes["num_scan_inputs"].i
    ways = list(attributes["directions"].ints) if "directions" in attributes else [0] * n_scanned
    inputs, outputs = [f"{node.output[0]}/{v.name}" for v in body.input], [f"{node.output[0]}/{v.name}" for v in body.output]
    inner = onnx.helper.make_node("Scan", inputs, outputs, domain=_HIDDEN, body=body, num_scan_inputs=n_scanned, scan_input_directions=ways)
    ins, outs = (
        [onnx.helper.make_tensor_value_info(name, v.type.tensor_type.elem_type, None) for name, v in zip(names, values, strict=True)]
        for names, values in ((inputs, body.input), (outputs, body.output))
    )
    around = onnx.helper.make_graph([inner], "batch", ins, outs)
    given = list(node.input)[1:]
    return onnx.helper.make_node("Scan", given, list(node.output), node.name, domain=_HIDDEN, body=around, num_scan_inputs=len(given))


def show_scans(model: onnx.ModelProto) -> None:
    """Ends their hiding."""
    for nodes in _node_lists(model):
        for node in nodes:
            node.domain = "" if node.domain == _HIDDEN else node.domain
    kept = [entry for entry in model.opset_import if entry.domain != _HIDDEN]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def asymmetric_resizes(model: onnx.ModelProto, opset: int) -> set[str]:
    """The outputs of nodes that become a Resize whose mode the converter does not say."""
    if opset > _ASYMMETRIC_UNTIL:
        return set()
    return {n.output[0] for nodes in _node_lists(model) for n in nodes if _is(n, "Upsample") or _is(n, "Resize")}


def restore_asymmetric(model: onnx.ModelProto, outputs: set[str]) -> None:
    """Says that mode."""
    for nodes in _node_lists(model):
        for node in nodes:
            if _is(node, "Resize") and node.output[0] in outputs:
                node.attribute.append(onnx.helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
                node.attribute.append(onnx.helper.make_attribute("nearest_mode", "floor"))


def match_pad_values(model: onnx.ModelProto) -> None:
    """Gives the number that fills a Pad, which the converter writes as float32, the type of what is padded."""
    graph = model.graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.value_info)}
    types.update((t.name, t.data_type) for t in graph.initializer)
    for nodes in _node_lists(model):
        for i, node in reversed(list(enumerate(nodes))):
            if (
                _is(node, "Pad")
                and len(node.input) > 2
                and types.get(node.input[0], _FLOAT) != _FLOAT == _type_of(node.input[2], nodes, types)
            ):
                value = f"{node.output[0]}/value"
                nodes.insert(i, onnx.helper.make_node("CastLike", [node.input[2], node.input[0]], [value]))
                nodes[i + 1].input[2] = value


def _type_of(name: str, nodes: Any, types: dict[str, int]) -> int | None:
    made = next((n for n in nodes if name in n.output and n.op_type == "Constant"), None)
    return made.attribute[0].t.data_type if made is not None else types.get(name)


def _is(node: onnx.NodeProto, op_type: str) -> bool:
    return node.op_type == op_type and node.domain == ""


def _node_lists(model: onnx.ModelProto) -> Iterator[Any]:
    """The nodes of the graph, of every body in it, and of every function."""
    yield from _with_bodies(model.graph.node)
    for function in model.functions:
        yield from _with_bodies(function.node)


def _with_bodies(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        for attribute in node.attribute:
            for body in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _with_bodies(body.node)
    yield nodes
