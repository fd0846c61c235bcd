"""Softmax, and the losses that are made with it."""

from __future__ import annotations

from typing import Any

from onnxdl.autodiff.registry import vjp
from onnxdl.autodiff.rules.elementwise import reciprocal_or_zero
from onnxdl.autodiff.shapes import indicator, zeros_like
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, as_tensor


@vjp("Softmax")
def softmax(g: Tensor, y: Tensor, x: Tensor, *, axis: int) -> Any:
    gy = g * y
    return gy - y * op.ReduceSum(gy, [axis])


@vjp("LogSoftmax")
def log_softmax(g: Tensor, y: Tensor, x: Tensor, *, axis: int) -> Any:
    return g - op.Exp(y) * op.ReduceSum(g, [axis])


@vjp("NegativeLogLikelihoodLoss")
def negative_log_likelihood_loss(
    g: Tensor, y: Tensor, x: Tensor, target: Tensor, weight: Tensor | None = None, *, ignore_index: int | None = None, reduction: str
) -> Any:
    """``-c`` at each target, where ``c`` is its weight times the incoming gradient (over the sum of weights, for a mean)."""
    labels, w = _targets(target, weight, ignore_index, x)
    c = _shared_out(g, w, reduction)
    gx = op.ScatterElements(zeros_like(x), labels, -c, axis=1)
    return gx, None, None if weight is None else _weight_gradient(g, y, x, labels, w, weight, reduction)


@vjp("SoftmaxCrossEntropyLoss", multiple=True)
def softmax_cross_entropy_loss(
    g: tuple[Tensor | None, ...],
    y: tuple[Tensor, ...],
    x: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str,
) -> Any:
    """``c (softmax(x) - onehot(target))``, plus what comes in through the log-probabilities."""
    log_prob = y[1] if len(y) > 1 else op.LogSoftmax(x, axis=1)
    p = op.Exp(log_prob)
    g_loss, g_log_prob = g[0], g[1] if len(g) > 1 else None
    gx = gw = None
    if g_loss is not None:
        labels, w = _targets(target, weight, ignore_index, x)
        c = _shared_out(g_loss, w, reduction)
        gx = op.ScatterElements(p * c, labels, -c, axis=1, reduction="add")
        gw = None if weight is None else _weight_gradient(g_loss, y[0], log_prob, labels, w, weight, reduction)
    if g_log_prob is not None:
        through = g_log_prob - p * op.ReduceSum(g_log_prob, [1])
        gx = through if gx is None else gx + through
    return gx, None, gw


def _targets(target: Tensor, weight: Tensor | None, ignore_index: int | None, x: Tensor) -> tuple[Tensor, Tensor]:
    """The classes as indices along axis 1, and the weight of each: 0 where the class is to be ignored."""
    labels = op.Unsqueeze(target, [1])
    counted = None
    if ignore_index is not None:
        ignored = op.Equal(labels, ignore_index)
        counted = indicator(op.Not(ignored), x)
        labels = op.Where(ignored, 0, labels)
    if weight is None:
        return labels, counted if counted is not None else op.Expand(as_tensor(1, x), op.Shape(labels))
    w = op.Gather(weight, labels)
    return labels, w if counted is None else w * counted


def _shared_out(g: Tensor, w: Tensor, reduction: str) -> Tensor:
    """The gradient that reaches each sample's log-probability, its sign aside."""
    match reduction:
        case "mean":
            return w * (g * reciprocal_or_zero(op.ReduceSum(w, keepdims=0)))
        case "sum":
            return w * g
        case _:
            return w * op.Unsqueeze(g, [1])


def _weight_gradient(g: Tensor, loss: Tensor, log_prob: Tensor, labels: Tensor, w: Tensor, weight: Tensor, reduction: str) -> Tensor:
    """What each sample's loss would change by, gathered for each class."""
    share = -op.GatherElements(log_prob, labels, axis=1)
    if reduction == "mean":
        share = (share - loss) * reciprocal_or_zero(op.ReduceSum(w, keepdims=0))
    share = share * (op.Unsqueeze(g, [1]) if reduction == "none" else g)
    counted = share * indicator(op.Not(op.Equal(w, 0)), w)
    return op.ScatterElements(zeros_like(weight), op.Reshape(labels, [-1]), op.Reshape(counted, [-1]), reduction="add")  # type: ignore[no-any-return]
