"""For the CPU: each convolution in the form that was measured quickest for its sizes.

Winograd's algorithm where it does clearly less arithmetic (``graph.winograd``), else the provider's own blocked kernels where they
gain (``graph.blocked``), else Conv and ConvTranspose as they stand. The gradient of the weights chooses its form where it is
written, in ``autodiff.rules.conv``, by the same rules; this runs before what is written twice is merged, so that both share the
transformed input. Only graphs for a session of the library's own are changed (``Target``): a saved file has plain nodes, for
which other providers have algorithms of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx_ir as ir

from onnxdl.graph import blocked, op, winograd
from onnxdl.graph.infer import dims
from onnxdl.graph.passes.rewriting import rewrite
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import outermost_scope

if TYPE_CHECKING:
    from onnxdl.graph.trace import Trace


class Convolution(NamedTuple):
    """What a Conv or ConvTranspose node of two dimensions and known sizes computes; ``pads`` are those of a convolution."""

    x: list[int]  # [C, H, W]
    w: list[int]
    y: list[int]  # [M, OH, OW]
    pads: list[int]
    strides: list[int]
    dilations: list[int]
    group: int
    transposed: bool

    @property
    def plain(self) -> bool:
        """Whether stride, dilation and group are 1."""
        return set(self.strides) == set(self.dilations) == {1} and self.group == 1


def choose_convolutions(trace: Trace) -> None:
    """Replaces convolutions, and the transposed ones that are gradients of their inputs."""

    def chosen(node: ir.Node) -> Tensor | None:
        found = _convolution(node)
        if found is None or node.outputs[0].is_graph_output():
            return None
        with outermost_scope(node.name or node.op_type):
            return _rewritten(node, found, trace)

    rewrite(trace, chosen)


def _rewritten(node: ir.Node, found: Convolution, trace: Trace) -> Tensor | None:
    """The node's result in another form, None where it is best as it stands."""
    x, w, *bias = (None if v is None else Tensor(v, trace) for v in node.inputs)
    assert x is not None and w is not None  # Conv has both
    square = found.w[2] == found.w[3] and found.w[2] in winograd.KERNELS
    form = winograd.best_form(found.w[2], found.x[0], found.y[0], found.y[1:], trace.target.exact) if found.plain and square else None
    if form is not None:
        y = winograd.convolution(x, w, found.pads, form, transposed=found.transposed)
    elif blocked.is_worth_it(found.x, found.w, found.y, found.group, found.strides):
        y = blocked.convolution(
            x,
            w,
            blocked.block_size(),
            pads=found.pads,
            strides=found.strides,
            dilations=found.dilations,
            group=found.group,
            transposed=found.transposed,
        )
    else:
        return None
    return y + op.Reshape(bias[0], np.array([-1, 1, 1], np.int64)) if bias and bias[0] is not None else y


def _convolution(node: ir.Node) -> Convolution | None:
    """What a node computes, if it is a convolution that could have another form: float32, two dimensions, sizes known."""
    if node.domain or node.op_type not in ("Conv", "ConvTranspose") or node.outputs[0].dtype != ir.DataType.FLOAT:
        return None
    x, w, y = (None if v is None else dims(v) for v in (node.inputs[0], node.inputs[1], node.outputs[0]))
    if x is None or w is None or y is None or len(x) != 4:
        return None
    if not all(isinstance(d, int) and d > 0 for d in (*x[1:], *w, *y[1:])):
        return None
    get, transposed = node.attributes.get_ints, node.op_type == "ConvTranspose"
    pads, strides, dilations = (
        list(get(name, (default,) * n)) for name, default, n in (("pads", 0, 4), ("strides", 1, 2), ("dilations", 1, 2))
    )
    group = node.attributes.get_int("group", 1)
    if node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET":
        return None
    sizes = [[d for d in s if isinstance(d, int)] for s in (x[1:], w, y[1:])]
    if not transposed:
        return Convolution(sizes[0], sizes[1], sizes[2], pads, strides, dilations, group, False)
    reach = [int(k) - 1 for k in w[2:] if isinstance(k, int)] * 2
    plain = (
        group == 1
        and set(strides) == set(dilations) == {1}
        and not any(get("output_padding", ()))
        and "output_shape" not in node.attributes
    )
    if not plain or any(p > r for p, r in zip(pads, reach, strict=True)):
        return None
    return Convolution(sizes[0], sizes[1], sizes[2], [r - p for p, r in zip(pads, reach, strict=True)], strides, dilations, group, True)
