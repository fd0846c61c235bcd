"""Caffe2's operators in NCHW order, as its operator catalogue defines them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnxdl.converters.net import Table, Use
from onnxdl.errors import ConversionError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

# settings of implementations, which do not change what is computed
IGNORED = frozenset(
    {"cudnn_exhaustive_search", "engine", "exhaustive_search", "init_params", "is_test", "shared_buffer", "use_cudnn", "ws_nbytes_limit"}
)

TABLE = Table("Caffe2", IGNORED)
operator = TABLE.operator

LEGACY_PADS = {1: "VALID", 2: "SAME_UPPER"}
ROUNDED_UP = 3  # Caffe's own pooling

WINDOW = frozenset(
    {f"{one}{part}" for one in ("kernel", "stride", "dilation", "adj") for part in ("", "s", "_h", "_w")}
    | {"pad", "pads", "pad_t", "pad_l", "pad_b", "pad_r", "legacy_pad", "order"}
)


def _per_axis(settings: Mapping[str, Any], one: str, default: int, rank: int) -> list[int]:
    """A window's setting: one number, one for each of height and width, or a list."""
    if f"{one}s" in settings:
        return [int(v) for v in settings[f"{one}s"]]
    if f"{one}_h" in settings or f"{one}_w" in settings:
        return [int(settings.get(f"{one}_h", default)), int(settings.get(f"{one}_w", default))]
    return [int(settings.get(one, default))] * rank


def _window(x: Tensor, settings: Mapping[str, Any]) -> dict[str, Any]:
    """ONNX's attributes of a window."""
    _in_nchw(settings.get("order", "NCHW"))
    rank = x.ndim - 2
    found: dict[str, Any] = {"strides": _per_axis(settings, "stride", 1, rank), "dilations": _per_axis(settings, "dilation", 1, rank)}
    found["kernel_shape"] = _per_axis(settings, "kernel", 1, rank)
    legacy = int(settings.get("legacy_pad", 0))
    if legacy in LEGACY_PADS:
        return {**found, "auto_pad": LEGACY_PADS[legacy]}
    if "pads" in settings:
        return {**found, "pads": [int(v) for v in settings["pads"]]}
    if any(f"pad_{side}" in settings for side in "tlbr"):
        return {**found, "pads": [int(settings.get(f"pad_{side}", 0)) for side in "tlbr"]}
    return {**found, "pads": [int(settings.get("pad", 0))] * (2 * rank)}


def _in_nchw(order: Any) -> None:
    if order not in ("NCHW", ""):
        raise ConversionError(f"only the order NCHW is read, not {order}; write the net in it")


@operator("Conv", also=WINDOW)
def conv(use: Use, x: Tensor, w: Tensor, b: Tensor | None = None, *, group: int = 1, **window: Any) -> Tensor:
    """W is (out, in / group, height, width)."""
    return op.Conv(x, w, b, group=group, **_window(x, window))


@operator("ConvTranspose", also=WINDOW)
def conv_transpose(use: Use, x: Tensor, w: Tensor, b: Tensor | None = None, *, group: int = 1, **window: Any) -> Tensor:
    """W is (in, out / group, height, width)."""
    return op.ConvTranspose(x, w, b, group=group, output_padding=_per_axis(window, "adj", 0, x.ndim - 2), **_window(x, window))


@operator("MaxPool", "AveragePool", also=WINDOW)
def pool(use: Use, x: Tensor, *, global_pooling: int = 0, count_include_pad: int = 0, ceil_mode: int = 0, **window: Any) -> Tensor:
    """Averages leave padding out."""
    maximum = use.node.kind == "MaxPool"
    if global_pooling:
        return op.GlobalMaxPool(x) if maximum else op.GlobalAveragePool(x)
    settings = {**_window(x, window), "ceil_mode": int(ceil_mode or window.get("legacy_pad") == ROUNDED_UP)}
    return op.MaxPool(x, **settings) if maximum else op.AveragePool(x, count_include_pad=count_include_pad, **settings)


@operator("FC")
def fully_connected(use: Use, x: Tensor, w: Tensor, b: Tensor, *, axis: int = 1, axis_w: int = 1) -> Tensor:
    """X W^T + b, X and W as matrices."""
    return op.Gemm(op.Flatten(x, axis=axis), op.Flatten(w, axis=axis_w), b, transB=1)


@operator("SpatialBN", statistics=(3, 4))
def spatial_bn(
    use: Use, x: Tensor, scale: Tensor, bias: Tensor, *statistics: Tensor, epsilon: float = 1e-5, momentum: float = 0.9
) -> Tensor:
    """Its running variance is the unbiased one."""
    return use.batch_normalization(x, scale, bias, (3, 4), epsilon, momentum, unbiased=True)


@operator("LRN")
def lrn(use: Use, x: Tensor, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Tensor:
    """x / (bias + alpha / size * sum of squares of the neighbouring channels) ** beta."""
    return op.LRN(x, size=size, alpha=alpha, beta=beta, bias=bias)


@operator("Dropout")
def drop(use: Use, x: Tensor, *, ratio: float = 0.5) -> Tensor:
    """While training."""
    return use.dropout(x, ratio)


@operator("Softmax")
def softmax(use: Use, x: Tensor, *, axis: int = 1) -> Tensor:
    """Over all axes from ``axis`` on."""
    if axis % x.ndim == x.ndim - 1:
        return op.Softmax(x, axis=-1)
    return op.Reshape(op.Softmax(op.Flatten(x, axis=axis), axis=1), op.Shape(x))


@operator("Add", "Sub", "Mul", "Div")
def arithmetic(use: Use, a: Tensor, b: Tensor, *, broadcast: int = 0, axis: int = -1, axis_str: Any = "", order: Any = "NCHW") -> Tensor:
    """The second operand's axes stand at ``axis`` of the first, where it has fewer."""
    if axis_str:
        axis = str(order).index(str(axis_str))
    if broadcast and axis != -1 and b.ndim < a.ndim:
        b = op.Unsqueeze(b, list(range(b.ndim, a.ndim - axis % a.ndim)))
    return {"Add": op.Add, "Sub": op.Sub, "Mul": op.Mul, "Div": op.Div}[use.node.kind](a, b)


@operator("Sum")
def total(use: Use, *xs: Tensor) -> Tensor:
    """Of all inputs."""
    return op.Sum(*xs)


@operator("Concat")
def concat(use: Use, *xs: Tensor, axis: int | None = None, order: Any = "NCHW", add_axis: int = 0) -> Tensor:
    """Along the channels by default."""
    place = axis if axis is not None else str(order).index("C")
    if add_axis:
        return op.Concat(*(op.Unsqueeze(x, [place]) for x in xs), axis=place)
    return op.Concat(*xs, axis=place)


@operator("Relu", "Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Abs", "Softplus", "Softsign", "Negative", "Sqr", "Selu")
def unary(use: Use, x: Tensor) -> Tensor:
    """Elementwise."""
    kind = use.node.kind
    return x * x if kind == "Sqr" else op.Neg(x) if kind == "Negative" else getattr(op, kind)(x)


@operator("LeakyRelu")
def leaky_relu(use: Use, x: Tensor, *, alpha: float = 0.01) -> Tensor:
    """alpha x below 0."""
    return op.LeakyRelu(x, alpha=alpha)


@operator("Elu")
def elu(use: Use, x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """alpha (exp(x) - 1) below 0."""
    return op.Elu(x, alpha=alpha)


@operator("PRelu")
def prelu(use: Use, x: Tensor, slope: Tensor) -> Tensor:
    """One slope for all channels, or one for each."""
    return op.PRelu(x, op.Reshape(slope, [-1] + [1] * (x.ndim - 2)))


@operator("Clip")
def clip(use: Use, x: Tensor, *, min: float = float(np.finfo(np.float32).min), max: float = float(np.finfo(np.float32).max)) -> Tensor:
    """Between two bounds."""
    return op.Clip(x, np.float32(min), np.float32(max))


@operator("Copy", "StopGradient", "EnsureCPUOutput", "CopyCPUToGPU", "CopyGPUToCPU", "Alias")
def same(use: Use, x: Tensor) -> Tensor:
    """Nothing changes."""
    return op.Identity(x)


@operator("Reshape", also=frozenset({"shape"}))
def reshape(use: Use, x: Tensor, at_run_time: Tensor | None = None, **settings: Any) -> Tensor:
    """0 keeps a dimension, -1 is the rest."""
    return op.Reshape(x, at_run_time if at_run_time is not None else [int(d) for d in settings["shape"]])


@operator("Flatten", "FlattenToVec")
def flatten(use: Use, x: Tensor, *, axis: int = 1) -> Tensor:
    """To a matrix, or to a vector."""
    return op.Reshape(x, [-1]) if use.node.kind == "FlattenToVec" else op.Flatten(x, axis=axis)


@operator("Transpose")
def transpose(use: Use, x: Tensor, *, axes: Sequence[int] = ()) -> Tensor:
    """The axes turned round by default."""
    return op.Transpose(x, perm=[int(a) for a in axes] or list(range(x.ndim))[::-1])


@operator("Squeeze", "ExpandDims")
def dims(use: Use, x: Tensor, *, dims: Sequence[int] = ()) -> Tensor:
    """Axes of size 1, taken away or put in."""
    return (op.Squeeze if use.node.kind == "Squeeze" else op.Unsqueeze)(x, [int(d) for d in dims])


@operator("MatMul")
def matmul(use: Use, a: Tensor, b: Tensor, *, axis_a: int = 1, axis_b: int = 1, trans_a: int = 0, trans_b: int = 0) -> Tensor:
    """Of matrices."""
    return op.Gemm(op.Flatten(a, axis=axis_a), op.Flatten(b, axis=axis_b), transA=trans_a, transB=trans_b)


@operator("BatchMatMul")
def batch_matmul(use: Use, a: Tensor, b: Tensor, *, trans_a: int = 0, trans_b: int = 0, broadcast: int = 0) -> Tensor:
    """Of the last two axes."""
    turned = [op.Transpose(x, perm=[*range(x.ndim - 2), x.ndim - 1, x.ndim - 2]) if t else x for x, t in ((a, trans_a), (b, trans_b))]
    return op.MatMul(*turned)


@operator("ChannelShuffle")
def channel_shuffle(use: Use, x: Tensor, *, group: int = 1) -> Tensor:
    """(g, c / g) to (c / g, g)."""
    channels = int(x.shape[1])  # type: ignore[arg-type]
    split = op.Reshape(x, [0, group, channels // group, -1])
    return op.Reshape(op.Transpose(split, perm=[0, 2, 1, 3]), op.Shape(x))


@operator("ResizeNearest", "UpsampleNearest")
def resize_nearest(use: Use, x: Tensor, *, width_scale: float = 1.0, height_scale: float = 1.0, scale: int = 2) -> Tensor:
    """Each pixel repeated."""
    factors = [scale, scale] if use.node.kind == "UpsampleNearest" else [height_scale, width_scale]
    scales = np.array([1, 1, *factors], np.float32)
    return op.Resize(x, None, scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")


@operator("Slice")
def slice_(use: Use, x: Tensor, *, starts: Sequence[int], ends: Sequence[int]) -> Tensor:
    """-1 as an end is the end itself."""
    last = np.iinfo(np.int64).max
    return op.Slice(x, [int(s) for s in starts], [last if e == -1 else int(e) + (e < 0) for e in ends], list(range(len(starts))))


@operator("Split")
def split(use: Use, x: Tensor, *, axis: int = 1, split: Sequence[int] | None = None) -> tuple[Tensor, ...]:
    """Equal parts by default."""
    n = len(use.node.outputs)
    if split is not None:
        return tuple(op.Split(x, [int(s) for s in split], axis=axis, outputs=n))
    return tuple(op.Split(x, axis=axis, num_outputs=n, outputs=n))


@operator("ReduceMean", "ReduceSum", "ReduceMax")
def reduce(use: Use, x: Tensor, *, axes: Sequence[int] = (), keepdims: int = 1) -> Tensor:
    """Over all axes by default."""
    return getattr(op, use.node.kind)(x, [int(a) for a in axes] or list(range(x.ndim)), keepdims=keepdims)  # type: ignore[no-any-return]


@operator("InstanceNorm")
def instance_norm(use: Use, x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    """Each image's channel by itself."""
    return op.InstanceNormalization(x, scale, bias, epsilon=epsilon)
