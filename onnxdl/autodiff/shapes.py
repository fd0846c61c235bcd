"""Shapes as the rules need them: static where they are known, computed at run time where they are not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxdl.graph import op
from onnxdl.graph.dtypes import DTypeLike, to_numpy
from onnxdl.graph.infer import Dim, content, dims
from onnxdl.graph.tensor import Tensor


def static_shape(x: Tensor) -> tuple[int, ...] | None:
    """The shape of ``x`` if every dimension is a known number."""
    known = dims(x.value)
    if known is None or not all(isinstance(d, int) for d in known):
        return None
    return tuple(d for d in known if isinstance(d, int))


def rank(x: Tensor) -> int:
    """The number of dimensions of ``x``; raises GraphError where it is not known."""
    return x.ndim


def shape_of(x: Tensor) -> Tensor | np.ndarray:
    """The shape of ``x`` as an int64 vector: data where it is known, a Shape node where it is not."""
    known = static_shape(x)
    return op.Shape(x) if known is None else np.array(known, np.int64)


def dim_of(x: Tensor, axis: int) -> Tensor | np.ndarray:
    """One dimension of ``x`` as an int64 vector of one element."""
    known = dims(x.value)
    if known is None:
        return op.Gather(op.Shape(x), np.array([axis], np.int64), axis=0)
    if isinstance(size := known[axis], int):
        return np.array([size], np.int64)
    axis %= x.ndim
    return op.Shape(x, start=axis, end=axis + 1)


def concat_dims(*parts: int | Tensor | np.ndarray) -> Tensor | np.ndarray:
    """A shape put together from known numbers and run-time dimensions."""
    vectors = [p if isinstance(p, Tensor) else np.atleast_1d(np.asarray(p, np.int64)) for p in parts]
    if not any(isinstance(v, Tensor) for v in vectors):
        return np.concatenate([v for v in vectors if isinstance(v, np.ndarray)])
    return op.Concat(*vectors, axis=0)


def same_shape(a: Tensor, b: Tensor) -> bool:
    """Whether two shapes are known to be equal; the same symbol counts as equal."""
    x, y = dims(a.value), dims(b.value)
    return x is not None and y is not None and len(x) == len(y) and all(_same(i, j) for i, j in zip(x, y, strict=True))


def _same(a: Dim, b: Dim) -> bool:
    return a is not None and a == b


def reshape_like(g: Tensor, x: Tensor) -> Tensor:
    """The elements of ``g`` in the shape of ``x``."""
    if same_shape(g, x):
        return g
    known = dims(x.value)
    if known is not None and 0 not in known and sum(not isinstance(d, int) for d in known) == 1:
        return _of_shape(x, op.Reshape(g, np.array([d if isinstance(d, int) else -1 for d in known], np.int64)))
    return _of_shape(x, op.Reshape(g, shape_of(x), allowzero=1))


def _of_shape(x: Tensor, made: Tensor) -> Tensor:
    """What was made in the shape of ``x``: where that has symbols, no inference sees it, and sums to undo a broadcast would follow."""
    if dims(x.value) is not None:
        made.value.shape = x.value.shape
    return made


def expand_like(g: Tensor, x: Tensor) -> Tensor:
    """``g`` broadcast to the shape of ``x``."""
    return g if same_shape(g, x) else _of_shape(x, op.Expand(g, shape_of(x)))


def zeros_like(x: Tensor) -> Tensor:
    """Zeros of the shape and type of ``x``."""
    return full_like(x, 0)


def ones_like(x: Tensor) -> Tensor:
    """Ones of the shape and type of ``x``."""
    return full_like(x, 1)


def full_like(x: Tensor, fill: float, dtype: DTypeLike | None = None) -> Tensor:
    """One number in the shape of ``x``, in its type or another."""
    number = np.array(fill).astype(x.dtype if dtype is None else to_numpy(dtype))
    return _of_shape(x, op.Expand(number, shape_of(x)))


def unbroadcast(g: Tensor, x: Tensor) -> Tensor:
    """Sums ``g`` down to the shape of ``x``, whose broadcasting made it larger."""
    if same_shape(g, x):
        return g
    have, want = dims(g.value), dims(x.value)
    if have is None or want is None:
        return _unbroadcast_at_run_time(g, x)
    lead = len(have) - len(want)
    axes = list(range(lead))
    for i, (h, w) in enumerate(zip(have[lead:], want, strict=True)):
        if w == 1 and h != 1:
            axes.append(lead + i)
        elif w != 1 and not _same(h, w):
            return _unbroadcast_at_run_time(g, x)
    return _sum_axes(g, axes, lead)


def _sum_axes(g: Tensor, axes: Sequence[int], lead: int) -> Tensor:
    if len(axes) == lead:
        return op.ReduceSum(g, list(axes), keepdims=0) if axes else g
    summed = op.ReduceSum(g, list(axes), keepdims=1)
    return op.Squeeze(summed, list(range(lead))) if lead else summed


def _unbroadcast_at_run_time(g: Tensor, x: Tensor) -> Tensor:
    have, want = op.Shape(g), op.Shape(x)
    missing = op.Size(have) - op.Size(want)
    padded = op.Concat(op.Expand(np.array([1], np.int64), op.Reshape(missing, [1])), want, axis=0)
    axes = op.Reshape(op.NonZero(op.Not(op.Equal(have, padded))), [-1])
    summed = op.ReduceSum(g, axes, keepdims=1, noop_with_empty_axes=1)
    return op.Reshape(summed, want, allowzero=1)


def constant_of(x: Tensor) -> np.ndarray | None:
    """What ``x`` holds if that is fixed in the graph: a Constant, or a leaf of the dynamic graph."""
    producer = x.value.producer()
    if producer is not None and producer.op_type == "Constant" and producer.domain == "" and "value" in producer.attributes:
        return producer.attributes["value"].as_tensor().numpy()
    if x.trace is None and producer is None and x.value.const_value is not None:
        return x.value.const_value.numpy()
    return None


def known_ints(x: Tensor | np.ndarray | Sequence[int] | None) -> list[int] | None:
    """The numbers in a small integer tensor (axes, pads, sizes) if all of them are known before the graph runs."""
    if x is None:
        return None
    if not isinstance(x, Tensor):
        return [int(i) for i in x]
    known = content(x.value)
    if known is None or not all(isinstance(d, int) for d in known):
        return None
    return [d for d in known if isinstance(d, int)]


def indicator(condition: Tensor, like: Tensor) -> Tensor:
    """1 where a condition holds and 0 where not, in the element type of ``like``."""
    return op.Cast(condition, to=like.value.dtype)


def flat(x: Tensor) -> Tensor:
    """All elements in one dimension."""
    return x if len(dims(x.value) or ()) == 1 else op.Reshape(x, [-1])


def _size(x: Tensor) -> Tensor | np.ndarray:
    """How many elements ``x`` has. Not Size: runtimes fold Shape, but not Size, where the sizes are fixed when the session is made."""
    known = static_shape(x)
    return op.ReduceProd(op.Shape(x), keepdims=0) if known is None else np.array(int(np.prod(known)), np.int64)


def positions(x: Tensor) -> Tensor:
    """At each element of ``x`` its place in the flattened ``x``, as int64: whatever moves elements moves these as well."""
    return _of_shape(x, op.Reshape(op.Range(np.array(0, np.int64), _size(x), np.array(1, np.int64)), shape_of(x), allowzero=1))


def scatter_back(g: Tensor, taken: Tensor, x: Tensor) -> Tensor:
    """Zeros like ``x`` with each element of ``g`` added at the flat position that ``taken`` has for it."""
    zeros = op.Expand(np.array(0).astype(g.dtype), op.Reshape(_size(x), [1]))
    return reshape_like(scatter(zeros, flat(taken), flat(g), "add"), x)


def scatter(base: Tensor, indices: Tensor, updates: Tensor, reduction: str, axis: int = 0) -> Tensor:
    """ScatterElements, in float32 for float16: ONNX Runtime's CPU has no float16 kernel, and long sums lose less."""
    if base.dtype.itemsize > 2:
        return op.ScatterElements(base, indices, updates, axis=axis, reduction=reduction)
    wide = op.ScatterElements(base.astype(np.float32), indices, updates.astype(np.float32), axis=axis, reduction=reduction)
    return wide.astype(base.dtype)


def mean_factor(x: Tensor, y: Tensor, axes: Tensor | Sequence[int] | None, noop_with_empty_axes: int = 0) -> Tensor | float:
    """One over the number of elements that a mean of ``x`` over ``axes`` took together; ``y`` is the mean.

    At run time it is a sum of ones, which stays on the device; a count taken from Shape would pass through the host.
    """
    whole, part = static_shape(x), static_shape(y)
    if whole is not None and part is not None:
        return float(np.prod(part)) / float(np.prod(whole)) if 0 not in whole else 1.0
    known = None if axes is None else known_ints(axes)
    if axes is not None and known is None:
        return op.Reciprocal(op.ReduceSum(ones_like(x), axes, noop_with_empty_axes=noop_with_empty_axes))
    return op.Reciprocal(count_of(op.Gather(op.Shape(x), known, axis=0) if known else op.Shape(x), x))


def count_of(sizes: Tensor | np.ndarray, like: Tensor) -> Tensor:
    """The product of run-time sizes as a float scalar of the type of ``like``."""
    wide = np.float64 if like.dtype == np.float64 else np.float32
    return op.ReduceSum(op.Expand(np.array(1, wide), sizes), keepdims=0).astype(like.dtype)


def whole_pads(pads: Tensor | np.ndarray, axes: Tensor | Sequence[int], rank: int) -> Tensor | np.ndarray:
    """Padding of some axes as padding of all, for a Pad without axes: ONNX Runtime 1.31 moves one with axes past a Transpose wrongly."""
    if isinstance(axes, Tensor):
        places = op.Mod(op.Cast(axes, to=np.int64), np.array([rank], np.int64))
        zeros = np.zeros(2 * rank, np.int64)
        scattered: Tensor = op.ScatterElements(zeros, op.Concat(places, places + rank, axis=0), pads, axis=0)
        return scattered
    k = len(axes)
    where = {axis % rank: i for i, axis in enumerate(axes)}
    index = np.array([where[i] + end if i in where else 2 * k for end in (0, k) for i in range(rank)])  # 2k: the zero at the end
    if not isinstance(pads, Tensor):
        known: np.ndarray = np.append(pads, 0)[index]
        return known
    whole: Tensor = op.Gather(op.Concat(pads, np.zeros(1, np.int64), axis=0), index)
    return whole
