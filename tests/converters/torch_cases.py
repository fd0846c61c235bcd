"""A small case for every ATen operator of the table: its names, and torch's arguments, positional and named.

Those of layers and losses are in ``torch_layer_cases``.

Arrays of floats are inputs that gradients are taken of; all other arrays are inputs without one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """Operators that take the same arguments."""

    names: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    gradient: bool
    first: int | None = None  # how many results are compared: others are empty in torch, or have no equal


class DType(NamedTuple):
    """A torch element type by its name."""

    name: str


_rng = np.random.default_rng(3)


def F(*shape: int) -> np.ndarray:
    """Numbers around 0, no two alike."""
    return (_rng.permutation(int(np.prod(shape))).reshape(shape) / max(np.prod(shape), 1) * 3 - 1.4).astype(np.float32)


def P(*shape: int, low: float = 0.2, high: float = 0.9) -> np.ndarray:
    """Positive numbers."""
    return _rng.uniform(low, high, shape).astype(np.float32)


def K(array: np.ndarray) -> np.ndarray:
    """Numbers that no gradient is taken of: as float64 would be, so marked by a subclass."""
    return array.view(Fixed)


class Fixed(np.ndarray):
    """An array of constants."""


def N(*numbers: Any) -> np.ndarray:
    """Whole numbers."""
    return np.array(numbers[0] if len(numbers) == 1 else numbers, np.int64)


def B(*shape: int) -> np.ndarray:
    """Truth values, of both kinds."""
    return (_rng.permutation(int(np.prod(shape))) % 2 == 0).reshape(shape)


CASES: list[Case] = []
RANDOM: list[Case] = []


def case(names: str, *args: Any, gradient: bool = True, first: int | None = None, **kwargs: Any) -> None:
    """Notes a case."""
    CASES.append(Case(names, args, kwargs, gradient, first))


def of_chance(names: str, *args: Any, **kwargs: Any) -> None:
    """Notes a case whose numbers are random: shape, type, mean and spread are compared."""
    RANDOM.append(Case(names, args, kwargs, False))


i64, f32, f64, i32 = DType("int64"), DType("float32"), DType("float64"), DType("int32")

# ---- elementwise ---------------------------------------------------------------------------------------------------------
case("exp exp2 expm1 sin cos sinh cosh tanh asinh atan erf erfc sigmoid deg2rad rad2deg sinc abs neg square", F(2, 3))
case("floor ceil trunc fix sign sgn frac", F(2, 3), gradient=False)
case("round", K(np.array([0.5, 1.5, -0.5, 2.4], np.float32)), gradient=False)
case("round.decimals", F(3) * 7, decimals=1, gradient=False)
case("log log2 log10 log1p sqrt rsqrt reciprocal asin acos atanh tan logit", P(2, 3))
case("logit", P(4), 0.3)
case("acosh", P(3, low=1.2, high=3))
case("exp sqrt sigmoid abs neg floor", N(1, 4, 9))
case("add.Tensor sub.Tensor rsub.Tensor", F(2, 3), F(3), alpha=2)
case("add.Scalar sub.Scalar rsub.Scalar", F(2, 3), 1.5, 2)
case("add.Tensor sub.Tensor mul.Tensor div.Tensor maximum minimum", F(2, 3), N(1, 2, 3))
case("add.Tensor", N(1, 2), F(1)[0], gradient=False)
case("add.Tensor mul.Tensor", B(4), B(4))
case("mul.Scalar div.Scalar", F(2, 3), 2.5)
case("mul.Scalar div.Scalar add.Scalar", N(1, 2, 3), 2)
case("mul.Scalar", N(1, 2, 3), 2.5)
case("mul.Tensor div.Tensor true_divide.Tensor", F(2, 3), P(3))
case("div.Tensor_mode", F(2, 3), P(3), rounding_mode="floor", gradient=False)
case("div.Tensor_mode", N(-7, 7, 5), N(2, 2, -2), rounding_mode="trunc")
case("div.Tensor_mode", N(-7, 7, 5), N(2, 2, -2), rounding_mode="floor")
case("div.Scalar_mode", F(4) * 5, 2.0, rounding_mode="trunc", gradient=False)
case("floor_divide remainder.Tensor", N(-7, 7, 5), N(2, 2, -3))
case("floor_divide.Scalar", N(-7, 7), 2)
case("remainder.Tensor", F(4) * 5, K(P(4)))
case("fmod.Tensor", F(4) * 5, P(4))
case("remainder.Scalar fmod.Scalar", F(4) * 5, 0.75)
case("remainder.Scalar_Tensor", 3.0, P(3), gradient=False)
case("pow.Tensor_Scalar", P(3), 1.7)
case("pow.Tensor_Scalar", F(3), 2)
case("pow.Tensor_Scalar", P(3), 0.5)
case("pow.Tensor_Scalar", P(3), -0.5)
case("pow.Tensor_Tensor", P(2, 3), F(3))
case("pow.Scalar", 2.0, F(3))
case("pow_.Tensor", P(2, 3), F(3))
case("true_divide.Scalar", F(3), 2.0)
case("floor_divide_.Tensor", F(3), P(3), gradient=False)
case("clip.Tensor", F(2, 3), F(3) - 1, F(3) + 1)
case("maximum minimum fmax fmin logaddexp hypot atan2 copysign.Tensor", F(2, 3), F(2, 3) + 0.05)
case("copysign.Scalar", F(3), -1.0)
case("clamp clip", F(6), -0.5, 0.7)
case("clamp", F(6), None, 0.3)
case("clamp clip", N(1, 5, 9), 2, 6)
case("clamp.Tensor", F(2, 3), F(3) - 1, F(3) + 1)
case("clamp_min clamp_max", F(6), 0.1)
case("clamp_min.Tensor clamp_max.Tensor", F(6), F(6) + 0.02)
case("xlogy.Tensor", F(3), P(3))
case("xlogy.Scalar_Other", F(3), 0.7)
case("xlogy.Scalar_Self", 1.2, P(3))
case("lerp.Scalar", F(3), F(3), 0.3)
case("lerp.Tensor", F(3), F(3), P(3))
case("addcmul addcdiv", F(3), F(3), P(3), value=0.5)
case("nan_to_num", K(np.array([1, np.nan, np.inf, -np.inf], np.float32)), 0.5, gradient=False)
case("_to_copy", F(3), dtype=f64)
case("_to_copy", F(3) * 4, dtype=i64)
case("to.dtype", F(3) * 4, DType("bool"))
case("to.dtype", N(0, 1, 2), f32)
case("to.device", F(3), "cpu", f64)
case("to.dtype_layout", F(3), dtype=f64)
case("to.other type_as", F(3), K(np.zeros(2)))

# ---- activations ---------------------------------------------------------------------------------------------------------
case(
    "relu relu6 hardtanh leaky_relu elu selu celu gelu silu mish hardswish hardsigmoid softplus log_sigmoid softshrink hardshrink",
    F(3, 4) * 3,
)
case("gelu", F(5), approximate="tanh")
case("elu", F(5), 0.7, 1.1, 1.2)
case("celu leaky_relu", F(5), 0.3)
case("hardtanh", F(5), -0.4, 0.6)
case("softplus", F(5) * 9, 2.0, 5.0)
case("threshold", F(5), 0.1, -3.0)
case("glu", F(2, 6), 1)
case("prelu", F(2, 3, 4), P(3))
case("prelu", F(5), P(1))
case("_prelu_kernel", F(2, 3), P(1, 3))
case("softmax.int log_softmax.int", F(2, 3, 4), 1)
case("softmax.int", F(2, 3), -1, f64)
case("_softmax _log_softmax", F(2, 3), 1, False)
case("rrelu", F(4), 0.1, 0.3, False)
case("rrelu_with_noise", F(4), K(P(4)), 0.1, 0.3, False)

# ---- comparisons ---------------------------------------------------------------------------------------------------------
case("eq.Tensor ne.Tensor lt.Tensor le.Tensor gt.Tensor ge.Tensor", N(1, 2, 3), N(3, 2, 1))
case("eq.Tensor ne.Tensor lt.Tensor gt.Tensor", F(3), N(1, 0, -1), gradient=False)
case("eq.Scalar ne.Scalar lt.Scalar le.Scalar gt.Scalar ge.Scalar", N(1, 2, 3), 2)
case("lt.Tensor eq.Tensor", B(4), B(4))
case("logical_and logical_or logical_xor", N(0, 1, 2), B(3))
case("logical_not", N(0, 1, 2))
case("bitwise_and.Tensor bitwise_or.Tensor bitwise_xor.Tensor __and__.Tensor __or__.Tensor __xor__.Tensor", N(5, 6), N(3, 2))
case("bitwise_and.Scalar bitwise_or.Scalar bitwise_xor.Scalar __and__.Scalar __or__.Scalar", N(5, 6), 3)
case("bitwise_and.Tensor bitwise_or.Tensor bitwise_xor.Tensor", B(3), B(3))
case("bitwise_not", B(3))
case("bitwise_not", N(5, 6))
case("isnan isinf isfinite", K(np.array([1, np.nan, np.inf], np.float32)), gradient=False)
case("isnan isfinite", N(1, 2))
case("isclose", K(F(3)), K(F(3)), 0.1, 0.5, True)
case("where.self", B(2, 3), F(2, 3), F(3))
case("where.ScalarOther", B(3), F(3), 2.0)
case("where.ScalarSelf", B(3), 2.0, F(3))
case("where.Scalar", B(3), 2.0, 1.0)
case("masked_fill.Scalar", F(2, 3), B(3), -9.0)
case("masked_fill.Tensor", F(2, 3), B(3), K(np.array(3, np.float32)))

# ---- reductions ----------------------------------------------------------------------------------------------------------
case("sum mean prod max min amax amin var std median", P(2, 3))
case("sum prod", N(1, 2, 3))
case("sum", B(3))
case("sum mean", F(3), dtype=f64)
case("sum.dim_IntList mean.dim amax amin logsumexp", F(2, 3, 4), [0, -1], True)
case("sum.dim_IntList mean.dim", F(2, 3), None)
case("prod.dim_int", P(2, 3), 1)
case("max.dim min.dim median.dim", F(2, 3), 1)
case("max.dim min.dim median.dim", F(2, 3), 0, True)
case("argmax argmin", F(2, 3))
case("argmax argmin", F(2, 3), 1, True)
case("aminmax", F(2, 3), dim=1)
case("any all", B(2, 3))
case("any.dim all.dim", B(2, 3), 1, True)
case("any.dims all.dims", N([[1, 0], [2, 3]]), [0])
case("count_nonzero", N([[1, 0], [2, 3]]), None)
case("count_nonzero.dim_IntList", N([[1, 0], [2, 3]]), [0])
case("var.correction std.correction var_mean.correction std_mean.correction", F(2, 5), [1], correction=0)
case("var.dim std.dim var_mean.dim std_mean.dim", F(2, 5), [1], True, True)
case("var_mean std_mean", F(2, 5), False)
case("linalg_vector_norm", F(2, 3), 2, [1])
case("linalg_vector_norm", F(2, 3), 3, [1], True)
case("linalg_vector_norm", F(2, 3), float("inf"))
case("linalg_vector_norm", F(2, 3), -float("inf"), [0])
case("linalg_vector_norm", F(2, 3), 0, gradient=False)
case("norm.Scalar", F(2, 3), 2)
case("norm.ScalarOpt_dim", F(2, 3), 1, [1], True)
case("norm.ScalarOpt_dim_dtype", F(2, 3), 2, [1], True, dtype=f64)
case("cumsum cumprod logcumsumexp cummax", F(2, 4, 2), 1)
case("cumsum", N(1, 2, 3), 0)

# ---- shape ---------------------------------------------------------------------------------------------------------------
case("view reshape _unsafe_view view_copy", F(2, 6), [3, -1])
case("_reshape_alias", F(2, 6), [3, 4], [4, 1])
case("view_as reshape_as expand_as", F(2, 3), K(F(2, 3)))
case("lift lift_fresh lift_fresh_copy", F(2, 3), gradient=False)
case("clone contiguous alias positive resolve_conj real", F(2, 3))
case("detach detach_copy", F(2, 3), gradient=False)
case("flatten.using_ints", F(2, 3, 4), 1)
case("flatten.using_ints", F(2, 3, 4), 0, 1)
case("unflatten.int", F(2, 6), 1, [2, 3])
case("squeeze", F(1, 3, 1))
case("squeeze.dim", F(1, 3, 1), 2)
case("squeeze.dim", F(1, 3, 1), 1)
case("squeeze.dims", F(1, 3, 1), [0, 2])
case("unsqueeze", F(2, 3), -1)
case("permute", F(2, 3, 4), [2, 0, -2])
case("transpose.int swapaxes swapdims", F(2, 3, 4), 0, -1)
case("transpose_", F(2, 3, 4), 0, -1)
case("t numpy_T adjoint", F(2, 3))
case("mT", F(2, 2, 3))
case("movedim.int moveaxis.int", F(2, 3, 4), 0, 2)
case("movedim.intlist", F(2, 3, 4), [0, 1], [2, 0])
case("expand broadcast_to", F(3, 1), [2, 3, 4])
case("expand", F(3, 1), [-1, 4])
case("repeat tile", F(2, 3), [2, 1, 2])
case("tile", F(2, 3), [2])
case("repeat_interleave.self_int", F(2, 3), 2, 1)
case("repeat_interleave.self_int", F(2, 3), 2)
case("cat concat concatenate", [F(2, 3), F(2, 1)], 1)
case("cat", [F(2), N(1, 2)])
case("stack", [F(2, 3), F(2, 3)], -1)
case("hstack vstack", [F(2, 3), F(2, 3)])
case("hstack vstack", [F(2), F(2)])
case("split_with_sizes split.sizes split_with_sizes_copy unsafe_split_with_sizes", F(5, 2), [2, 3])
case("split.Tensor unsafe_split.Tensor split_copy.Tensor", F(5, 2), 2)
case("chunk unsafe_chunk", F(5, 2), 2)
case("chunk", F(2, 5), 1, 1)
case("tensor_split.sections", F(5, 2), 3)
case("unbind.int unbind_copy.int", F(2, 3), 1)
case("slice.Tensor slice_copy.Tensor", F(2, 6), 1, 1, -1, 2)
case("slice.Tensor", F(6), 0, -3)
case("narrow", F(2, 6), 1, 2, 3)
case("select.int select_copy.int", F(2, 3), 1, -1)
case("flip", F(2, 3), [0, 1])
case("rot90", F(2, 3), 1, [0, 1])
case("rot90", F(2, 3), 2, [0, 1])
case("rot90", F(2, 3), 3, [0, 1])
case("roll", F(2, 3), [1, -2], [0, 1])
case("roll", F(2, 3), [2])
case("unfold", F(2, 7), 1, 3, 2)
case("tril triu", F(3, 4), 1)
case("diagonal", F(2, 3, 4), 1, 1, 2)
case("diagonal_copy", F(3, 3))
case("diag", F(3, 4), -1)
case("diag", F(3), 1)
case("diag_embed", F(2, 3), 1)
case("constant_pad_nd", F(2, 3), [1, 2, -1, 1], 0.5)
case("reflection_pad1d replication_pad1d", F(2, 4), [2, 1])
case("reflection_pad2d replication_pad2d", F(1, 3, 4), [1, 2, 2, 1])
case("reflection_pad3d replication_pad3d", F(1, 3, 3, 4), [1, 2, 2, 1, 1, 0])
case("pad", F(1, 2, 5), [1, 2], "circular")
case("pad", F(1, 2, 5), [1, 2], "constant", 2.0)
case("pixel_shuffle", F(2, 8, 3, 2), 2)
case("pixel_shuffle", F(4, 3, 2), 2)
case("pixel_unshuffle", F(2, 2, 4, 6), 2)
case("channel_shuffle", F(2, 6, 2, 2), 3)
case("native_channel_shuffle", F(2, 6, 2, 2), 3, gradient=False)
case("meshgrid", [F(2), F(3)])
case("meshgrid.indexing", [F(2), F(3)], indexing="xy")
case("broadcast_tensors", [F(2, 1), F(3)])

# ---- indexing ------------------------------------------------------------------------------------------------------------
case("index.Tensor _unsafe_index.Tensor", F(4, 3), [N(0, 2, -1)])
case("index.Tensor", F(4, 3, 2), [None, N([[0], [2]]), N(1, 0)])
case("index.Tensor", F(4, 3, 2), [N(1, 0), None, N(1, 0)])
case("index_select", F(4, 3), 1, N(2, 0))
case("gather", F(4, 3), 1, N([[0, 2], [1, 1]]))
case("take_along_dim", F(2, 3), N([[0], [2]]), 1)
case("take_along_dim", F(2, 3), N(0, 5))
case("take", F(2, 3), N([[0, 5]]))
case("embedding", F(5, 3), N([[0, 4], [2, 2]]))
case("embedding", F(5, 3), N([[0, 4], [2, 2]]), 2)
case("one_hot", N(0, 2, 1), 4)
case("topk", F(2, 5), 3, 1)
case("topk", F(2, 5), 2, 0, False)
case("sort argsort", F(2, 5), 1, True)
case("sort.stable argsort.stable", F(2, 5), stable=True, dim=0)
case("kthvalue", F(2, 5), 2)
case("searchsorted.Tensor", N(1, 3, 5, 7), N(3, 6, 9))
case("searchsorted.Tensor", N([1, 3, 5], [2, 4, 6]), N([3, 6], [2, 9]), right=True)
case("bucketize.Tensor", N(3, 6, 9), N(1, 3, 5, 7), out_int32=True)
case("isin.Tensor_Tensor", N(1, 2, 3), N(2, 5))

# ---- scattering ----------------------------------------------------------------------------------------------------------
case("index_put _unsafe_index_put", F(4, 3), [N(0, 2)], F(2, 3))
case("index_put", F(4, 3, 2), [None, N(0, 0)], F(1), True)
case("index_put", F(4, 3), [N(0, 2), N(1, 1)], F(2))
case("index_put", F(4, 3), [B(4, 3)], K(np.array(2, np.float32)))
case("scatter.src", F(4, 3), 1, N([[0], [2]]), F(4, 3), gradient=False)
case("scatter.value", F(4, 3), 1, N([[0], [2]]), 5.0)
case("scatter.reduce", F(4, 3), 1, N([[0], [2]]), F(4, 3), reduce="add", gradient=False)
case("scatter.value_reduce", F(4, 3), 1, N([[0], [2]]), 2.0, reduce="multiply", gradient=False)
case("scatter_add scatter.src", F(4, 3), 0, N([[0, 3, 1], [2, 0, 2]]), F(2, 3))
case("scatter_add", F(4, 3), 0, N([[0, 0, 1], [2, 0, 1]]), F(4, 3), gradient=False)
case("scatter_reduce.two", F(3), 0, N(0, 1, 0), F(3), "sum")
case("scatter_reduce.two", F(3), 0, N(0, 1, 0), F(3), "mean")
case("scatter_reduce.two", F(3), 0, N(0, 1, 0), F(3), "sum", include_self=False)
case("scatter_reduce.two", F(3), 0, N(0, 1, 0), F(3) + 0.1, "amax")
case("index_add", F(4, 3), 1, N(0, 2, 0), F(4, 3), alpha=2)
case("index_copy", F(4, 3), 1, N(0, 2), F(4, 2))
case("index_fill.int_Scalar", F(4, 3), 1, N(0, 2), 5.0)
case("index_fill.int_Tensor", F(4, 3), 1, N(0, 2), K(np.array(5, np.float32)))
case("masked_scatter", F(2, 3), B(2, 3), F(6))
case("slice_scatter", F(2, 6), F(2, 2), 1, 1, -1, 2)
case("slice_scatter", F(6), F(6))
case("select_scatter", F(2, 3), F(2), 1, -1)
case("copy", F(2, 3), F(3), gradient=False)
case("fill.Scalar", F(2, 3), 2.0, gradient=False)
case("fill.Tensor", F(2, 3), K(np.array(2, np.float32)), gradient=False)
case("zero", F(2, 3), gradient=False)

# ---- creation ------------------------------------------------------------------------------------------------------------
case("full", [2, 3], 1.5)
case("full", [100], 7)
case("zeros ones", [2, 3])
case("zeros ones", [2], dtype=i32)
case("zeros_like ones_like", F(2, 3), dtype=i64)
case("full_like", F(2, 3), 2.0)
case("new_zeros new_ones", F(2), [3])
case("new_full", F(2), [3], 7.0)
case("scalar_tensor", 2.5)
case("arange", 5)
case("arange.start", 1, 5)
case("arange.start_step", 1.0, 5.0, 1.5)
case("linspace", 0.0, 1.0, 5)
case("eye", 3)
case("eye.m", 2, 3)
case("tril_indices triu_indices", 3, 4, 1)
