"""Products of vectors and matrices, and distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import aten, axis_of, floating, promoted, reshaped, sizes_of
from onnxdl.converters.torch.operators.reductions import vector_norm
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


@aten("mm", "bmm", "matmul", "mv", "linalg_matmul")
def matmul(x: Tensor, mat2: Tensor | None = None, other: Tensor | None = None, vec: Tensor | None = None) -> Tensor:
    right = next(t for t in (mat2, other, vec) if t is not None)
    return op.MatMul(x, right)


@aten("dot", "vdot", "linalg_vecdot")
def dot(x: Tensor, tensor: Tensor | None = None, other: Tensor | None = None, y: Tensor | None = None, dim: int = -1) -> Tensor:
    right = next(t for t in (tensor, other, y) if t is not None)
    return op.ReduceSum(x * right, [axis_of(dim, x)], keepdims=0)


@aten("outer", "ger")
def outer(x: Tensor, vec2: Tensor) -> Tensor:
    a, b = promoted(op.Unsqueeze(x, [1]), op.Unsqueeze(vec2, [0]))
    return a * b


@aten("addmm", "addmv", "addbmm", "baddbmm", "addr")
def addmm(
    x: Tensor,
    mat1: Tensor | None = None,
    mat2: Tensor | None = None,
    mat: Tensor | None = None,
    vec: Tensor | None = None,
    batch1: Tensor | None = None,
    batch2: Tensor | None = None,
    vec1: Tensor | None = None,
    vec2: Tensor | None = None,
    beta: float = 1,
    alpha: float = 1,
) -> Tensor:
    if vec1 is not None and vec2 is not None:
        product = outer(vec1, vec2)
    else:
        left, right = next(t for t in (mat1, mat, batch1) if t is not None), next(t for t in (mat2, vec, batch2) if t is not None)
        product = op.MatMul(left, right)
    if batch1 is not None and x.ndim == 2:
        product = op.ReduceSum(product, [0], keepdims=0)
    product = product if alpha == 1 else product * alpha
    return product + (x if beta == 1 else x * beta) if beta else product


@aten("linear")
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if input.ndim == 2 and weight.ndim == 2:
        return op.Gemm(input, weight, bias, transB=1) if bias is not None else op.Gemm(input, weight, transB=1)
    y = op.MatMul(input, op.Transpose(weight) if weight.ndim == 2 else weight)
    return y if bias is None else y + bias


@aten("bilinear")
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    y = op.Einsum(input1, weight, input2, equation="...i,oij,...j->...o")
    return y if bias is None else y + bias


@aten("einsum")
def einsum(equation: str, tensors: Sequence[Tensor], path: Any = None) -> Tensor:
    return op.Einsum(*promoted(*tensors), equation=equation.replace(" ", ""))


@aten("tensordot")
def tensordot(x: Tensor, other: Tensor, dims_self: Sequence[int], dims_other: Sequence[int]) -> Tensor:
    letters = "abcdefghijklmnopqrstuvwxyz"
    left = list(letters[: x.ndim])
    right = list(letters[x.ndim : x.ndim + other.ndim])
    for a, b in zip(dims_self, dims_other, strict=True):
        right[axis_of(b, other)] = left[axis_of(a, x)]
    kept = [c for c in left if c not in right] + [c for c in right if c not in left]
    return op.Einsum(x, other, equation=f"{''.join(left)},{''.join(right)}->{''.join(kept)}")


@aten("trace")
def trace(x: Tensor) -> Tensor:
    rows, columns = (op.Range(np.int64(0), op.Squeeze(op.Shape(x, start=i, end=i + 1), [0]), np.int64(1)) for i in (0, 1))
    on_it = op.Unsqueeze(rows, [1]) == op.Unsqueeze(columns, [0])
    return op.ReduceSum(op.Where(on_it, x, x * 0), keepdims=0)


@aten("linalg_cross")
def cross(x: Tensor, other: Tensor, dim: int = -1) -> Tensor:
    axis = axis_of(dim, x)

    def turned(t: Tensor, by: Sequence[int]) -> Tensor:
        return op.Gather(t, np.array(by, np.int64), axis=axis)

    return turned(x, (1, 2, 0)) * turned(other, (2, 0, 1)) - turned(x, (2, 0, 1)) * turned(other, (1, 2, 0))


@aten("kron")
def kron(x: Tensor, other: Tensor) -> Tensor:
    rank = max(x.ndim, other.ndim)
    a = reshaped(x, [s for size in [*[1] * (rank - x.ndim), *sizes_of(x)] for s in (size, 1)])
    b = reshaped(other, [s for size in [*[1] * (rank - other.ndim), *sizes_of(other)] for s in (1, size)])
    y = a * b
    return reshaped(y, [s * t for s, t in zip(sizes_of(y)[::2], sizes_of(y)[1::2], strict=True)])


@aten("linalg_det", "det")
def det(x: Tensor | None = None, A: Tensor | None = None) -> Tensor:
    matrix = A if x is None else x
    assert matrix is not None
    return op.Det(matrix)


@aten("cosine_similarity")
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-08) -> Tensor:
    axis = max(axis_of(dim, x1), 0)
    products = op.ReduceSum(x1 * x2, [axis], keepdims=0)
    norms = [op.Max(op.ReduceL2(x, [axis], keepdims=0), eps) for x in (x1, x2)]
    return products / (norms[0] * norms[1])


@aten("pairwise_distance")
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2, eps: float = 1e-06, keepdim: bool = False) -> Tensor:
    return vector_norm(x1 - x2 + eps, p, [-1], keepdim)


@aten("_cdist_forward", "cdist")
def cdist(x1: Tensor, x2: Tensor, p: float = 2, compute_mode: int | None = None) -> Tensor:
    difference = op.Unsqueeze(x1, [-2]) - op.Unsqueeze(x2, [-3])
    return vector_norm(floating(difference), p, [-1])
