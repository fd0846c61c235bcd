"""Forward mode and Hessian-vector products, both written with the reverse pass alone.

The reverse pass :math:`g = u^T J` is linear in its seed u, so its own derivative with respect to u, along the tangents v,
is :math:`J v` (the transpose of a transpose; Pearlmutter 1994 for the Hessian).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from onnxdl.autodiff.gradient import gradient
from onnxdl.autodiff.shapes import zeros_like
from onnxdl.errors import GradientError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, TensorLike, as_tensor
from onnxdl.graph.trace import where


def jvp(f: Callable[..., Any], primals: Sequence[TensorLike], tangents: Sequence[TensorLike]) -> tuple[Any, Any]:
    r"""The value of ``f`` and its derivative :math:`\sum_i \partial f / \partial x_i \cdot v_i` along the tangents.

    Args:
        f: a function of tensors that returns a tensor or a tuple of them.
        primals: the point.
        tangents: the direction: one for each of ``primals``, of its shape.

    Returns:
        ``(y, dy)``, each a tensor or a tuple as ``f`` returns them.
    """
    xs, vs = _paired(primals, tangents)
    y = f(*xs)
    several = isinstance(y, tuple | list)
    ys: list[Tensor] = list(y) if several else [y]
    seeds = [zeros_like(t) for t in ys]
    derivatives = gradient(_inner(gradient(ys, xs, seeds), vs), seeds)
    return (tuple(ys), tuple(derivatives)) if several else (y, derivatives[0])


def hvp(f: Callable[..., Any], primals: Sequence[TensorLike], vectors: Sequence[TensorLike]) -> list[Tensor]:
    r"""The products :math:`H v` of the Hessian of a scalar function with the vectors, one for each of ``primals``.

    Args:
        f: a function of tensors that returns a scalar tensor.
        primals: the point.
        vectors: one for each of ``primals``, of its shape.
    """
    xs, vs = _paired(primals, vectors)
    return gradient(_inner(gradient(f(*xs), xs), vs), xs)


def _paired(primals: Sequence[TensorLike], vectors: Sequence[TensorLike]) -> tuple[list[Tensor], list[Tensor]]:
    if len(primals) != len(vectors):
        raise GradientError(f"{len(primals)} primals but {len(vectors)} vectors; give one each{where()}")
    xs = [as_tensor(p) for p in primals]
    return xs, [as_tensor(v, x).astype(x.dtype) for v, x in zip(vectors, xs, strict=True)]


def _inner(gs: Sequence[Tensor], vs: Sequence[Tensor]) -> Tensor:
    parts = [op.ReduceSum(g * v, keepdims=0) for g, v in zip(gs, vs, strict=True)]
    return parts[0] if len(parts) == 1 else op.Sum(*parts)
