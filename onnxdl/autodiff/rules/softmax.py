"""Softmax, and the losses that are made with it."""

from __future__ import annotations

from typing import Any

from onnxdl.autodiff.registry import vjp
from onnxdl.autodiff.rules.elementwise import reciprocal_or_zero
from onnxdl.autodiff.shapes import flat, full_like, indicator, scatter, zeros_like
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


@vjp("Softmax")
def softmax(g: Tensor, y: Tensor, x: Tensor, *, axis: int) -> Any:
    p = _without_nan(y, y)
    gp = g * p
    return gp - p * op.ReduceSum(gp, [axis])


@vjp("LogSoftmax")
def log_softmax(g: Tensor, y: Tensor, x: Tensor, *, axis: int) -> Any:
    return g - _without_nan(op.Exp(y), y) * op.ReduceSum(g, [axis])


def _without_nan(p: Tensor, y: Tensor) -> Tensor:
    """``p``, with 0 for the NaN of fully masked rows (-inf alone) if the graph replaces those rows behind the softmax.

    If it does not, they spoil the loss in any case, and a Where over all scores would only cost time.
    """
    users = [use.node for use in y.value.uses()]
    users += [use.node for node in users if node.op_type in ("Cast", "CastLike") for use in node.outputs[0].uses()]
    return op.Where(p >= 0, p, 0) if any(node.op_type == "Where" for node in users) else p


@vjp("NegativeLogLikelihoodLoss")
def negative_log_likelihood_loss(
    g: Tensor, y: Tensor, x: Tensor, target: Tensor, weight: Tensor | None = None, *, ignore_index: int | None = None, reduction: str
) -> Any:
    """``-c`` at each target, where ``c`` is its weight times the incoming gradient (over the sum of weights, for a mean)."""
    labels, counted = _targets(target, ignore_index, x)
    w = counted if weight is None else counted * op.Gather(weight, labels)
    c = _shared_out(g, w, reduction)
    gx = op.ScatterElements(zeros_like(x), labels, -c, axis=1)
    return gx, None, None if weight is None else _weight_gradient(g, y, x, labels, counted, w, weight, reduction)


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
        labels, counted = _targets(target, ignore_index, x)
        w = counted if weight is None else counted * op.Gather(weight, labels)
        c = _shared_out(g_loss, w, reduction)
        gx = scatter(p * c, labels, -c, "add", 1)
        gw = None if weight is None else _weight_gradient(g_loss, y[0], log_prob, labels, counted, w, weight, reduction)
    if g_log_prob is not None:
        through = g_log_prob - p * op.ReduceSum(g_log_prob, [1])
        gx = through if gx is None else gx + through
    return gx, None, gw


def _targets(target: Tensor, ignore_index: int | None, x: Tensor) -> tuple[Tensor, Tensor]:
    """The classes as indices along axis 1, and 1 for each that counts, 0 for each that is to be ignored."""
    labels = op.Unsqueeze(target, [1])
    if ignore_index is None:
        return labels, full_like(labels, 1, dtype=x.dtype)
    ignored = op.Equal(labels, ignore_index)
    return op.Where(ignored, 0, labels), indicator(op.Not(ignored), x)


def _shared_out(g: Tensor, w: Tensor, reduction: str) -> Tensor:
    """The gradient that reaches each sample's log-probability, its sign aside."""
    match reduction:
        case "mean":
            return w * (g * reciprocal_or_zero(op.ReduceSum(w, keepdims=0)))
        case "sum":
            return w * g
        case _:
            return w * op.Unsqueeze(g, [1])


def _weight_gradient(
    g: Tensor, loss: Tensor, log_prob: Tensor, labels: Tensor, counted: Tensor, w: Tensor, weight: Tensor, reduction: str
) -> Tensor:
    """How the loss changes with the weight of each class: the sum over the samples of that class."""
    change = -op.GatherElements(log_prob, labels, axis=1)
    if reduction == "mean":
        change = (change - loss) * reciprocal_or_zero(op.ReduceSum(w, keepdims=0))
    change = counted * change * (op.Unsqueeze(g, [1]) if reduction == "none" else g)
    return scatter(zeros_like(weight), flat(labels), flat(change), "add")
