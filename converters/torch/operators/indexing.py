"""Reading by index: gathers, embeddings, sorting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.autodiff.custom import stop_gradient
from onnxdl.converters.torch.aten import Size, aten, axis_of, expanded, size_of, sizes_of
from onnxdl.converters.torch.operators.shape import LAST, broadcast_of
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


@aten("index.Tensor", "_unsafe_index.Tensor")
def index(x: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    return x[tuple(slice(None) if i is None else i for i in indices)]


@aten("index_select")
def index_select(x: Tensor, dim: int, index: Tensor) -> Tensor:
    return op.Gather(x, index if index.ndim else op.Unsqueeze(index, [0]), axis=axis_of(dim, x))


@aten("gather")
def gather(x: Tensor, dim: int, index: Tensor, sparse_grad: bool = False) -> Tensor:
    return op.GatherElements(x, index, axis=axis_of(dim, x)) if x.ndim else x


@aten("take_along_dim")
def take_along_dim(x: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    if dim is None:
        return op.GatherElements(op.Reshape(x, [-1]), op.Reshape(indices, [-1]), axis=0)
    axis = axis_of(dim, x)
    alike = [op.Slice(t, [0], [1], [axis]) for t in (x, indices)]
    wanted = sizes_of(broadcast_of(alike))
    x = expanded(x, [size_of(x, axis) if i == axis else s for i, s in enumerate(wanted)])
    indices = expanded(indices, [size_of(indices, axis) if i == axis else s for i, s in enumerate(wanted)])
    return op.GatherElements(x, indices, axis=axis)


@aten("take")
def take(x: Tensor, index: Tensor) -> Tensor:
    return op.Gather(op.Reshape(x, [-1]), index)


@aten("embedding")
def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False, *, run: Any
) -> Tensor:
    rows = op.Gather(weight, indices)
    if padding_idx < 0 or not run.training:
        return rows
    return op.Where(op.Unsqueeze(indices == padding_idx, [-1]), stop_gradient(rows), rows)


@aten("one_hot")
def one_hot(x: Tensor, num_classes: int) -> Tensor:
    return op.OneHot(x, np.int64(num_classes), np.array([0, 1], np.int64))


@aten("masked_select")
def masked_select(x: Tensor, mask: Tensor) -> Tensor:
    sizes = sizes_of(broadcast_of([x, mask]))
    return op.Compress(op.Reshape(expanded(x, sizes), [-1]), op.Reshape(expanded(mask, sizes), [-1]))


@aten("nonzero")
def nonzero(x: Tensor) -> Tensor:
    return op.Transpose(op.NonZero(x))


@aten("topk")
def topk(x: Tensor, k: Size, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Tensor, Tensor]:
    count = op.Unsqueeze(k, [0]) if isinstance(k, Tensor) else np.array([k], np.int64)
    values, indices = op.TopK(x, count, axis=axis_of(dim, x), largest=int(largest), sorted=1)
    return values, indices


@aten("sort", "sort.stable")
def sort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool | None = None) -> tuple[Tensor, Tensor]:
    return topk(x, size_of(x, axis_of(dim, x)), dim, descending)


@aten("argsort", "argsort.stable")
def argsort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool | None = None) -> Tensor:
    return sort(x, dim, descending)[1]


@aten("kthvalue")
def kthvalue(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    axis = axis_of(dim, x)
    results = [op.Slice(t, [-1], [LAST], [axis]) for t in topk(x, k, dim, False)]
    return (results[0], results[1]) if keepdim else (op.Squeeze(results[0], [axis]), op.Squeeze(results[1], [axis]))


@aten("median.dim")
def median_dim(x: Tensor, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    axis = axis_of(dim, x)
    middle = (size_of(x, axis) - 1) // 2
    results = [op.Gather(t, middle, axis=axis) for t in topk(x, size_of(x, axis), dim, False)]
    return (op.Unsqueeze(results[0], [axis]), op.Unsqueeze(results[1], [axis])) if keepdim else (results[0], results[1])


@aten("median")
def median(x: Tensor) -> Tensor:
    return median_dim(op.Reshape(x, [-1]), 0)[0]


@aten("searchsorted.Tensor", "bucketize.Tensor")
def searchsorted(
    x: Tensor,
    sorted_sequence: Tensor | None = None,
    boundaries: Tensor | None = None,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
) -> Tensor:
    # bucketize has the values first, searchsorted the sequence: both name it
    sequence = sorted_sequence if sorted_sequence is not None else boundaries
    assert sequence is not None
    right = right or side == "right"
    own, limits = op.Unsqueeze(x, [-1]), sequence if sequence.ndim == 1 else op.Unsqueeze(sequence, [-2])
    below = (limits <= own) if right else (limits < own)
    return op.ReduceSum(below.astype(np.int64), [-1], keepdims=0).astype(np.int32 if out_int32 else np.int64)


@aten("isin.Tensor_Tensor")
def isin(elements: Tensor, test_elements: Tensor, assume_unique: bool = False, invert: bool = False) -> Tensor:
    equal = op.Unsqueeze(elements, [-1]) == op.Reshape(test_elements, [-1])
    found = op.ReduceMax(equal.astype(np.int32), [-1], keepdims=0) > 0
    return op.Not(found) if invert else found
