"""MXNet's layers in channels-first layout, as its operator documentation (1.9.1) defines them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.converters.net import Table, Use
from onnxdl.errors import ConversionError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

# settings of implementations, and sizes that the weights tell
IGNORED = frozenset(
    {"cudnn_algo_verbose", "cudnn_off", "cudnn_tune", "ctx_group", "dtype", "force_mirroring", "input_dim", "lr_mult", "max_calib_range",
     "min_calib_range", "num_args", "num_filter", "num_hidden", "output_dim", "sparse_grad", "use_length", "wd_mult", "weight_lr_mult",
     "weight_wd_mult", "bias_lr_mult", "workspace"}
)  # fmt: skip

TABLE = Table("MXNet", IGNORED)
operator = TABLE.operator


def _channels_first(layout: str | None) -> None:
    if layout not in (None, "None", "NCW", "NCHW", "NCDHW"):
        raise ConversionError(f"only channels-first layouts are read, not {layout}")


def _of_rank(value: int | Sequence[int], rank: int, default: int) -> list[int]:
    given = [value] * rank if isinstance(value, int) else [int(v) for v in value]
    return given or [default] * rank


@operator("Convolution", "Convolution_v1")
def convolution(
    use: Use,
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    dilate: Sequence[int] = (),
    pad: Sequence[int] = (),
    num_group: int = 1,
    no_bias: bool = False,
    layout: str | None = None,
) -> Tensor:
    """W is (out, in / group, *kernel)."""
    _channels_first(layout)
    rank, strides, dilations = x.ndim - 2, _of_rank(stride, x.ndim - 2, 1), _of_rank(dilate, x.ndim - 2, 1)
    return op.Conv(x, w, b, group=num_group, strides=strides, dilations=dilations, pads=_of_rank(pad, rank, 0) * 2)


@operator("Deconvolution")
def deconvolution(
    use: Use,
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    dilate: Sequence[int] = (),
    pad: Sequence[int] = (),
    adj: Sequence[int] = (),
    target_shape: Sequence[int] = (),
    num_group: int = 1,
    no_bias: bool = True,
    layout: str | None = None,
) -> Tensor:
    """W is (in, out / group, *kernel)."""
    _channels_first(layout)
    if any(target_shape or ()):
        raise ConversionError(f"a target_shape, here {tuple(target_shape)}, is not read; give pad and adj")
    rank = x.ndim - 2
    window: dict[str, Any] = {
        "strides": _of_rank(stride, rank, 1),
        "dilations": _of_rank(dilate, rank, 1),
        "pads": _of_rank(pad, rank, 0) * 2,
    }
    return op.ConvTranspose(x, w, b, group=num_group, output_padding=_of_rank(adj, rank, 0), **window)


@operator("Pooling", "Pooling_v1")
def pooling(
    use: Use,
    x: Tensor,
    *,
    kernel: Sequence[int] = (),
    stride: Sequence[int] = (),
    pad: Sequence[int] = (),
    pool_type: str = "max",
    global_pool: bool = False,
    pooling_convention: str = "valid",
    count_include_pad: bool = True,
    p_value: int = 2,
    layout: str | None = None,
) -> Tensor:
    """``full`` rounds the number of windows up; averages count the padding by default."""
    _channels_first(layout)
    rank = x.ndim - 2
    if global_pool:
        if pool_type == "sum":
            return op.ReduceSum(x, list(range(2, x.ndim)))
        return (
            op.GlobalLpPool(x, p=p_value) if pool_type == "lp" else op.GlobalMaxPool(x) if pool_type == "max" else op.GlobalAveragePool(x)
        )
    window: dict[str, Any] = {"kernel_shape": _of_rank(kernel, rank, 1), "strides": _of_rank(stride, rank, 1)}
    if pooling_convention == "same":
        window["auto_pad"] = "SAME_UPPER"
    else:
        window.update(pads=_of_rank(pad, rank, 0) * 2, ceil_mode=int(pooling_convention == "full"))
    if pool_type in ("max", "lp"):
        found: Tensor = op.MaxPool(x, **window) if pool_type == "max" else op.LpPool(x, p=p_value, **window)
        return found
    mean: Tensor = op.AveragePool(x, count_include_pad=int(count_include_pad or pool_type == "sum"), **window)
    return mean * float(math.prod(window["kernel_shape"])) if pool_type == "sum" else mean


@operator("FullyConnected")
def fully_connected(use: Use, x: Tensor, w: Tensor, b: Tensor | None = None, *, no_bias: bool = False, flatten: bool = True) -> Tensor:
    """x W^T + b, on the last axis or on all but the first."""
    if flatten:
        return op.Gemm(op.Flatten(x), w, b, transB=1)
    y = op.MatMul(x, op.Transpose(w, perm=[1, 0]))
    return y if b is None else y + b


@operator("Activation")
def activation(use: Use, x: Tensor, *, act_type: str) -> Tensor:
    """One without parameters."""
    known = {"relu": op.Relu, "sigmoid": op.Sigmoid, "tanh": op.Tanh, "softrelu": op.Softplus, "softsign": op.Softsign}
    if act_type not in known:
        raise ConversionError(f"the activation {act_type!r} has no equal here")
    return known[act_type](x)


@operator("LeakyReLU")
def leaky_relu(
    use: Use,
    x: Tensor,
    gamma: Tensor | None = None,
    *,
    act_type: str = "leaky",
    slope: float = 0.25,
    lower_bound: float = 0.125,
    upper_bound: float = 0.334,
) -> Tensor:
    """Rectifiers with a slope below 0 and their kin; a random slope is its mean, as in inference."""
    if act_type == "prelu" and gamma is not None:
        return op.PRelu(x, op.Reshape(gamma, [-1] + [1] * (x.ndim - 2)))
    if act_type == "rrelu":
        if use.training:
            raise ConversionError("the random slopes of rrelu are not trained with; use leaky")
        return op.LeakyRelu(x, alpha=(lower_bound + upper_bound) / 2)
    known = {"leaky": lambda: op.LeakyRelu(x, alpha=slope), "elu": lambda: op.Elu(x, alpha=slope), "selu": lambda: op.Selu(x)}
    known["gelu"] = lambda: op.Gelu(x)
    if act_type not in known:
        raise ConversionError(f"the activation {act_type!r} has no equal here")
    return known[act_type]()


@operator("BatchNorm", "BatchNorm_v1", "SyncBatchNorm", "_contrib_SyncBatchNorm", statistics=(3, 4))
def batch_norm(
    use: Use,
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    *moving: Tensor,
    eps: float = 1e-3,
    momentum: float = 0.9,
    fix_gamma: bool = True,
    use_global_stats: bool = False,
    output_mean_var: bool = False,
    axis: int = 1,
    key: str = "",
    ndev: int = 1,
) -> Tensor:
    """Gamma is 1 unless ``fix_gamma`` is off; the running variance is the biased one."""
    if output_mean_var:
        raise ConversionError("output_mean_var is not read")
    scale = op.Expand(np.ones(1, np.float32), op.Shape(beta)) if fix_gamma else gamma
    fixed = Use(use.node, use.training, use.moving and not use_global_stats, use.weights)
    turned = x if axis == 1 else op.Transpose(x, perm=(order := [0, axis % x.ndim, *(i for i in range(1, x.ndim) if i != axis % x.ndim)]))
    y = fixed.batch_normalization(turned, scale, beta, (3, 4), eps, momentum, unbiased=False)
    return y if axis == 1 else op.Transpose(y, perm=[order.index(i) for i in range(x.ndim)])


@operator("LayerNorm")
def layer_norm(
    use: Use, x: Tensor, gamma: Tensor, beta: Tensor, *, axis: int = -1, eps: float = 1e-5, output_mean_var: bool = False
) -> Tensor:
    """Over one axis, by default the last."""
    if axis % x.ndim == x.ndim - 1:
        return op.LayerNormalization(x, gamma, beta, axis=-1, epsilon=eps)
    centred = x - op.ReduceMean(x, [axis])
    shape = [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]
    y = centred / op.Sqrt(op.ReduceMean(centred * centred, [axis]) + eps)
    return y * op.Reshape(gamma, shape) + op.Reshape(beta, shape)


@operator("InstanceNorm")
def instance_norm(use: Use, x: Tensor, gamma: Tensor, beta: Tensor, *, eps: float = 1e-3) -> Tensor:
    """Each sample's channel by itself."""
    return op.InstanceNormalization(x, gamma, beta, epsilon=eps)


@operator("LRN")
def lrn(use: Use, x: Tensor, *, nsize: int, alpha: float = 1e-4, beta: float = 0.75, knorm: float = 2.0) -> Tensor:
    """x / (knorm + alpha / nsize * sum of squares of the neighbouring channels) ** beta."""
    return op.LRN(x, size=nsize, alpha=alpha, beta=beta, bias=knorm)


@operator("L2Normalization")
def l2_normalization(use: Use, x: Tensor, *, eps: float = 1e-10, mode: str = "instance") -> Tensor:
    """x / sqrt(sum x^2 + eps), over a sample, its channels or its places."""
    axes = {"instance": list(range(1, x.ndim)), "channel": [1], "spatial": list(range(2, x.ndim))}[mode]
    return x / op.Sqrt(op.ReduceSum(x * x, axes) + eps)


@operator("Dropout")
def drop(use: Use, x: Tensor, *, p: float = 0.5, mode: str = "training", axes: Sequence[int] = ()) -> Tensor:
    """While training."""
    if mode != "training" or axes:
        raise ConversionError(f"Dropout(mode={mode!r}, axes={tuple(axes or ())}) has no equal here")
    return use.dropout(x, p)


@operator("Embedding", "_contrib_SparseEmbedding")
def embedding(use: Use, x: Tensor, w: Tensor) -> Tensor:
    """Rows by number."""
    return op.Gather(w, op.Cast(x, to="int64"))


@operator("SoftmaxOutput", "Softmax")
def softmax_output(
    use: Use,
    x: Tensor,
    *,
    multi_output: bool = False,
    preserve_shape: bool = False,
    grad_scale: float = 1.0,
    ignore_label: float = -1.0,
    use_ignore: bool = False,
    normalization: str = "null",
    out_grad: bool = False,
    smooth_alpha: float = 0.0,
) -> Tensor:
    """The prediction of the layer; its loss is what ``compile`` is told."""
    if multi_output:
        return op.Softmax(x, axis=1)
    return op.Softmax(x, axis=-1) if preserve_shape or x.ndim == 2 else op.Reshape(op.Softmax(op.Flatten(x), axis=1), op.Shape(x))


@operator("softmax", "log_softmax", "SoftmaxActivation", "softmin")
def softmax(use: Use, x: Tensor, *, axis: int = -1, temperature: float | None = None, mode: str = "instance") -> Tensor:
    """Along an axis, of x / temperature."""
    scaled = x / temperature if temperature is not None else x
    if use.node.kind == "SoftmaxActivation":
        axis = 1 if mode == "channel" or x.ndim == 2 else 0
        if axis == 0:
            return op.Reshape(op.Softmax(op.Flatten(x), axis=1), op.Shape(x))
    if use.node.kind == "log_softmax":
        return op.LogSoftmax(scaled, axis=axis)
    return op.Softmax(-scaled if use.node.kind == "softmin" else scaled, axis=axis)


@operator(
    "LinearRegressionOutput",
    "MAERegressionOutput",
    "SVMOutput",
    "MakeLoss",
    "make_loss",
    "BlockGrad",
    "_copy",
    "identity",
    "IdentityAttachKLSparseReg",
)
def same(
    use: Use, x: Tensor, *, grad_scale: float = 1.0, margin: float = 1.0, regularization_coefficient: float = 1.0, use_linear: bool = False,
    normalization: str = "null", valid_thresh: float = 0.0,
) -> Tensor:  # fmt: skip
    """What goes in comes out."""
    return op.Identity(x)


@operator("LogisticRegressionOutput")
def logistic(use: Use, x: Tensor, *, grad_scale: float = 1.0) -> Tensor:
    """A sigmoid."""
    return op.Sigmoid(x)


@operator("UpSampling")
def upsampling(use: Use, x: Tensor, *others: Tensor, scale: int, sample_type: str = "nearest", multi_input_mode: str = "concat") -> Tensor:
    """Each pixel repeated."""
    if sample_type != "nearest" or others:
        raise ConversionError("only UpSampling of one input by nearest neighbours is read")
    scales = np.array([1, 1, scale, scale], np.float32)
    return op.Resize(x, None, scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")


@operator("_contrib_AdaptiveAvgPooling2D")
def adaptive_average(use: Use, x: Tensor, *, output_size: int | Sequence[int] = (1, 1)) -> Tensor:
    """Means over windows that split the image into as many."""
    out = _of_rank(output_size, 2, 1)
    out = out * 2 if len(out) == 1 else out
    if out == [1, 1]:
        return op.GlobalAveragePool(x)
    sizes = x.shape[2:]
    if any(not isinstance(s, int) or s % o for s, o in zip(sizes, out, strict=True)):
        raise ConversionError(f"adaptive pooling of {list(sizes)} to {out} is read only where the sizes divide")
    window = [int(s) // o for s, o in zip(sizes, out, strict=True)]  # type: ignore[arg-type]
    return op.AveragePool(x, kernel_shape=window, strides=window)


@operator("_contrib_BilinearResize2D")
def bilinear_resize(use: Use, x: Tensor, *, height: int, width: int, mode: str = "size", align_corners: bool = True) -> Tensor:
    """To a size."""
    if mode != "size":
        raise ConversionError(f"BilinearResize2D(mode={mode!r}) has no equal here")
    size = op.Concat(op.Shape(x, end=2), np.array([height, width], np.int64), axis=0)
    return op.Resize(x, None, None, size, mode="linear", coordinate_transformation_mode="align_corners" if align_corners else "half_pixel")
