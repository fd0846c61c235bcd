"""Products of matrices and tensors, and the determinant."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxdl.autodiff.registry import vjp
from onnxdl.autodiff.shapes import concat_dims, dim_of, reshape_like, static_shape
from onnxdl.errors import GradientError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


@vjp("MatMul")
def matmul(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Any:
    """``g b^T`` and ``a^T g``; a vector stands for a matrix of one row (left) or one column (right)."""
    if a.ndim == 1 and b.ndim == 1:
        return g * b, g * a
    if a.ndim == 1:
        row = op.Unsqueeze(g, [-2])
        return op.Squeeze(op.MatMul(row, transposed(b)), [-2]), op.MatMul(op.Unsqueeze(a, [1]), row)
    if b.ndim == 1:
        column = op.Unsqueeze(g, [-1])
        return op.MatMul(column, op.Unsqueeze(b, [0])), op.Squeeze(op.MatMul(transposed(a), column), [-1])
    if b.ndim == 2 and a.ndim > 2:
        return op.MatMul(g, transposed(b)), op.MatMul(transposed(_rows(a)), _rows(g))
    return op.MatMul(g, transposed(b)), op.MatMul(transposed(a), g)


def transposed(m: Tensor) -> Tensor:
    """The last two axes exchanged."""
    n = m.ndim
    return op.Transpose(m, perm=[*range(n - 2), n - 1, n - 2])


def _rows(t: Tensor) -> Tensor:
    """All leading axes in one, so that the product over a batch needs no sum afterwards."""
    return op.Reshape(t, concat_dims(-1, dim_of(t, -1)))


@vjp("Gemm")
def gemm(
    g: Tensor, y: Tensor, a: Tensor, b: Tensor, c: Tensor | None = None, *, alpha: float, beta: float, transA: int, transB: int
) -> Any:
    if transA:
        ga = op.Gemm(b, g, alpha=alpha, transA=transB, transB=1)
    else:
        ga = op.Gemm(g, b, alpha=alpha, transB=1 - transB)
    if transB:
        gb = op.Gemm(g, a, alpha=alpha, transA=1, transB=transA)
    else:
        gb = op.Gemm(a, g, alpha=alpha, transA=1 - transA)
    return ga, gb, None if c is None else g if beta == 1 else g * beta


@vjp("Einsum")
def einsum(g: Tensor, y: Tensor, *operands: Tensor, equation: str) -> Any:
    """For each operand the einsum of g with the other operands.

    An index that only this operand has is brought back by a vector of ones, a repeated index (a diagonal) by an
    identity matrix.
    """
    terms, result = _indices(equation, [t.ndim for t in operands])
    spare = iter(sorted(set(_LETTERS) - set("".join(terms) + result)))
    return tuple(_einsum_back(g, result, operands, terms, i, spare) for i in range(len(operands)))


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _einsum_back(g: Tensor, result: str, operands: tuple[Tensor, ...], terms: list[str], i: int, spare: Any) -> Tensor:
    others = [(t, term) for j, (t, term) in enumerate(zip(operands, terms, strict=True)) if j != i]
    factors = [(g, result), *others]
    wanted = ""
    for axis, index in enumerate(terms[i]):
        if index in wanted:
            twin = next(spare)
            factors.append((_identity_matrix(operands[i], axis), index + twin))
            index = twin
        elif not any(index in term for _, term in factors):
            factors.append((op.Expand(np.array(1).astype(g.dtype), dim_of(operands[i], axis)), index))
        wanted += index
    return op.Einsum(*(t for t, _ in factors), equation=",".join(term for _, term in factors) + "->" + wanted)


def _identity_matrix(x: Tensor, axis: int) -> Tensor:
    n = dim_of(x, axis)
    return op.EyeLike(op.Expand(np.array(1).astype(x.dtype), concat_dims(n, n)))


def _indices(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """The index letters of each operand and of the result, the ellipsis and an implicit result written out."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    used = set(equation)
    widths = [r - len(t.replace("...", "")) if "..." in t else 0 for t, r in zip(terms, ranks, strict=True)]
    free = [c for c in reversed(_LETTERS) if c not in used]
    if max(widths) > len(free):
        raise GradientError(f"Einsum {equation!r} has no index letters left for its ellipsis")
    hidden = "".join(free[: max(widths)])
    terms = [t.replace("...", hidden[len(hidden) - w :]) for t, w in zip(terms, widths, strict=True)]
    if arrow:
        return terms, right.replace("...", hidden)
    joined = left.replace("...", "").replace(",", "")
    return terms, hidden + "".join(sorted(c for c in set(joined) if joined.count(c) == 1))


@vjp("Det")
def det(g: Tensor, y: Tensor, x: Tensor) -> Any:
    """The matrix of cofactors: determinants of all minors, signs alternating; right for singular matrices too."""
    shape = static_shape(x) or x.shape
    n = shape[-1]
    if not isinstance(n, int):
        raise GradientError("Det has a gradient only where the size of its matrix is known before it runs; give its input a shape")
    if n == 1:
        return op.Unsqueeze(g, [-1, -2])
    keep = np.array([[r for r in range(n) if r != i] for i in range(n)])
    places = keep[:, None, :, None] * n + keep[None, :, None, :]
    entries = op.Reshape(x, concat_dims(*(dim_of(x, a) for a in range(x.ndim - 2)), n * n))
    minors = op.Det(op.Gather(entries, places, axis=-1))
    signs = (-1.0) ** np.add.outer(np.arange(n), np.arange(n))
    return op.Unsqueeze(g, [-1, -2]) * reshape_like(minors, x) * signs.astype(x.dtype)
