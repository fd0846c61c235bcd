"""Convolution by the CPU provider's own blocked kernels, with weights that change from step to step.

ONNX Runtime turns a Conv whose weights are constant into one on blocks of 8 or 16 channels (domain com.microsoft.nchwc); one that
is being trained it leaves on its slower way. Here the weights are put in blocks within the graph. The domain is internal to the
runtime and promises nothing, so ``block_size`` first compares a small convolution of each kind with Conv, once a process, and
answers 0 where they differ or the kernels are not there. Such a graph is never saved.

Measured on one thread, ms, forward pass with both changes of layout (channels, map, batch): blocked | Conv | PyTorch.

    depthwise 128, 16x16, 32: 1.44 | 3.14 | 1.78      16 -> 16, 3x3, 32x32, 32: 1.78 | 2.89 | 2.47
    depthwise 32, 32x32, 32: 1.32 | 2.81 | 1.63       32 -> 32, 3x3, 16x16, 32: 1.78 | 2.40 | 1.89
    depthwise 64, 32x32, stride 2: 1.90 | 2.49 | 2.21 no gain: 1x1 (0.68 | 0.62), stride 2 between many channels (7.4 | 6.3)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import onnx_ir as ir

from onnxdl import runtime
from onnxdl.errors import RuntimeFailure
from onnxdl.graph import op
from onnxdl.graph.operator import write
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import Trace
from onnxdl.graph.winograd import known_sizes

DOMAIN = "com.microsoft.nchwc"
BLOCKS = (16, 8)
MOST_WEIGHTS = 2**17
"""Elements of a kernel up to which putting it in blocks costs little."""


@cache
def block_size() -> int:
    """The channels in a block of this processor's kernels, 0 where there are none that agree with Conv."""
    for block in BLOCKS:
        try:
            if _agrees(block):
                return block
        except RuntimeFailure:
            continue  # no such kernel for this block, processor or release
    return 0


def is_worth_it(x: Sequence[int], w: Sequence[int], y: Sequence[int], group: int, strides: Sequence[int]) -> bool:
    """Whether the blocked kernels are quicker, from the known sizes [C, H, W], [M, C / group, k, k] and [M, OH, OW]."""
    if w[2] * w[3] == 1 or int(np.prod(w)) > MOST_WEIGHTS or x[0] % BLOCKS[-1] or y[0] % BLOCKS[-1]:
        return False
    depthwise = group == x[0] == y[0]
    wanted = depthwise or (group == 1 and set(strides) == {1})
    return wanted and block_size() > 0 and x[0] % block_size() == 0 == y[0] % block_size()


def convolution(
    x: Tensor,
    w: Tensor,
    block: int,
    *,
    pads: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    group: int,
    transposed: bool = False,
) -> Tensor:
    """``Conv(x, w)`` with x [N, C, H, W], or with ``transposed`` the adjoint of one of stride 1 in one group, w [C, M, k, k]."""
    first, second, *kernel = known_sizes(w)
    taps = kernel[0] * kernel[1]
    if group > 1:
        blocks = op.Transpose(op.Reshape(w, _ints(first // block, block, taps)), perm=[0, 2, 1])
    else:
        blocks = op.Reshape(w, _ints(first // block, block, second // block, block, taps))
        if transposed:
            blocks = op.Slice(blocks, _ints(-1), _ints(-(2**31)), _ints(4), _ints(-1))
        blocks = op.Transpose(blocks, perm=[2, 0, 4, 1, 3] if transposed else [0, 2, 4, 3, 1])
    filters = second if transposed else first
    shape = [filters, first if transposed else second, *kernel]
    reach = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
    height, width = (
        (int(n) + a + b - r - 1) // s + 1 for n, a, b, r, s in zip(known_sizes(x)[2:], pads[:2], pads[2:], reach, strides, strict=True)
    )
    attributes: dict[str, ir.Attr] = {
        "kernel_shape": ir.AttrInt64s("kernel_shape", kernel),
        "pads": ir.AttrInt64s("pads", list(pads)),
        "strides": ir.AttrInt64s("strides", list(strides)),
        "dilations": ir.AttrInt64s("dilations", list(dilations)),
        "group": ir.AttrInt64("group", group),
    }
    y_shape = [x.shape[0], filters, height, width]
    inside = _node("ReorderInput", [x], {}, x, x.shape)
    made = _node("Conv", [inside, op.Reshape(blocks, _ints(*shape))], attributes, x, y_shape)
    return _node("ReorderOutput", [made], {"channels": ir.AttrInt64("channels", filters)}, x, y_shape)


def depthwise_weight_gradient(
    g: Tensor, x: Tensor, block: int, *, kernel: Sequence[int], pads: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Tensor:
    """The gradient [C, 1, *kernel] of the weights of a depthwise convolution of x [N, C, H, W], from g [N, C, OH, OW].

    It is one depthwise convolution itself: all images of the batch stand below each other, with rows of zeros between them,
    and the gradient, spaced likewise, is its kernel; what its kernel was is the size of its output.
    """
    _, channels, height, _ = known_sizes(x)
    out = known_sizes(g)[2:]
    pitch = max(out[0], -(-(height + max(pads[0], pads[2])) // strides[0]))
    tall = _column(x, channels, pads[0], strides[0] * pitch - height - pads[0])
    weights = op.Reshape(_column(g, channels, 0, pitch - out[0]), _ints(channels, 1, -1, out[1]))
    below = max(0, (kernel[0] - 1) * dilations[0] - strides[0] + 1)
    attributes: dict[str, ir.Attr] = {
        "pads": ir.AttrInt64s("pads", [0, pads[1], below, pads[3]]),
        "strides": ir.AttrInt64s("strides", list(dilations)),
        "dilations": ir.AttrInt64s("dilations", list(strides)),
        "group": ir.AttrInt64("group", channels),
    }
    made = _node("Conv", [tall, weights], attributes, x, [1, channels, None, None])
    found = _node("ReorderOutput", [made], {"channels": ir.AttrInt64("channels", channels)}, x, [1, channels, None, None])
    dw: Tensor = op.Reshape(op.Slice(found, _ints(0, 0), _ints(*kernel), _ints(2, 3)), _ints(channels, 1, *kernel))
    return dw


def _column(x: Tensor, channels: int, above: int, below: int) -> Tensor:
    """The images of a batch below each other, rows of zeros around each, in blocks: [1, C, N * rows, W]."""
    images = op.Transpose(x, perm=[1, 0, 2, 3])
    if above or below:
        images = op.Pad(images, _ints(0, 0, above, 0, 0, 0, below, 0))
    column = op.Reshape(images, _ints(1, channels, -1, known_sizes(x)[3]))
    return _node("ReorderInput", [column], {}, x, column.shape)


def _node(name: str, inputs: Sequence[Tensor], attributes: dict[str, ir.Attr], like: Tensor, shape: Sequence[int | str | None]) -> Tensor:
    """A node of the runtime's domain, whose output no schema describes."""
    (y,) = write(name, inputs, attributes, 1, trace=like.trace, domain=DOMAIN, version=1)
    y.value.type, y.value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(shape)
    return y


def _agrees(block: int) -> bool:
    """Whether blocked convolutions of every kind give what Conv gives; with another block size their numbers are others."""
    c, n = 2 * block, 2
    rng = np.random.default_rng(0)
    kinds = [(1, False, (1, 1)), (1, True, (1, 1)), (c, False, (1, 1)), (c, False, (2, 2))]
    with Trace("probe") as trace:
        x = trace.input("x", "float32", ["n", c, 7, 6])
        outputs = {}
        feeds = {"x": rng.normal(size=(n, c, 7, 6)).astype(np.float32)}
        for i, (group, transposed, strides) in enumerate(kinds):
            w = trace.input(f"w{i}", "float32", [c, c // group, 3, 3])
            feeds[f"w{i}"] = rng.normal(size=(c, c // group, 3, 3)).astype(np.float32)
            pads = [1, 0, 1, 2]
            outputs[f"blocked{i}"] = convolution(
                x, w, block, pads=pads, strides=strides, dilations=(1, 1), group=group, transposed=transposed
            )
            plain = (
                op.ConvTranspose(x, w, pads=[2 - p for p in pads]) if transposed else op.Conv(x, w, pads=pads, strides=strides, group=group)
            )
            outputs[f"plain{i}"] = plain
        for i, strides in enumerate(((1, 1), (2, 2))):
            size = (7, 7) if i == 0 else (4, 4)
            g = trace.input(f"g{i}", "float32", ["n", c, *size])
            feeds[f"g{i}"] = rng.normal(size=(n, c, *size)).astype(np.float32)
            outputs[f"blocked{len(kinds) + i}"] = depthwise_weight_gradient(
                g, x, block, kernel=(3, 3), pads=[1, 1, 1, 2], strides=strides, dilations=(1, 1)
            )
            padded = op.Pad(x, _ints(0, 0, 1, 1, 0, 0, 1, 2))
            taps = [(a, b) for a in range(3) for b in range(3)]
            ends = [(size[0] - 1) * strides[0] + 1, (size[1] - 1) * strides[1] + 1]
            parts = [op.Slice(padded, _ints(*t), _ints(t[0] + ends[0], t[1] + ends[1]), _ints(2, 3), _ints(*strides)) for t in taps]
            sums = [op.ReduceSum(g * part, [0, 2, 3], keepdims=0) for part in parts]
            outputs[f"plain{len(kinds) + i}"] = op.Reshape(op.Concat(*(op.Unsqueeze(s, [1]) for s in sums), axis=1), _ints(-1, 1, 3, 3))
        model = trace.model(outputs)
    session = runtime.create_session(ir.to_proto(model).SerializeToString(), threads=1)
    found = dict(zip(outputs, runtime.run(session, list(outputs), feeds), strict=True))
    return all(np.allclose(found[f"blocked{i}"], found[f"plain{i}"], rtol=1e-4, atol=1e-3) for i in range(len(kinds) + 2))


def _ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)
