"""Losses that stand inside a module. A reduction is 0 for none, 1 for the mean, 2 for the sum."""

from __future__ import annotations

import math

import numpy as np

from onnxdl.converters.torch.aten import aten
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


def _reduced(loss: Tensor, reduction: int) -> Tensor:
    if reduction == 0:
        return loss
    return op.ReduceMean(loss, keepdims=0) if reduction == 1 else op.ReduceSum(loss, keepdims=0)


@aten("mse_loss")
def mse_loss(x: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    return _reduced((x - target) * (x - target), reduction)


@aten("l1_loss")
def l1_loss(x: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    return _reduced(op.Abs(x - target), reduction)


@aten("smooth_l1_loss")
def smooth_l1_loss(x: Tensor, target: Tensor, reduction: int = 1, beta: float = 1.0) -> Tensor:
    away = op.Abs(x - target)
    return _reduced(away if beta == 0 else op.Where(away < beta, away * away * (0.5 / beta), away - 0.5 * beta), reduction)


@aten("huber_loss")
def huber_loss(x: Tensor, target: Tensor, reduction: int = 1, delta: float = 1.0) -> Tensor:
    away = op.Abs(x - target)
    return _reduced(op.Where(away <= delta, away * away * 0.5, (away - 0.5 * delta) * delta), reduction)


@aten("binary_cross_entropy")
def binary_cross_entropy(x: Tensor, target: Tensor, weight: Tensor | None = None, reduction: int = 1) -> Tensor:
    def log(p: Tensor) -> Tensor:
        return op.Max(op.Log(p), -100.0)  # torch's own bound

    loss = -(target * log(x) + (1.0 - target) * log(1.0 - x))
    return _reduced(loss if weight is None else loss * weight, reduction)


@aten("binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(
    x: Tensor, target: Tensor, weight: Tensor | None = None, pos_weight: Tensor | None = None, reduction: int = 1
) -> Tensor:
    if pos_weight is None:
        loss = (1.0 - target) * x + op.Softplus(-x)
    else:
        loss = (1.0 - target) * x + (1.0 + (pos_weight - 1.0) * target) * op.Softplus(-x)
    return _reduced(loss if weight is None else loss * weight, reduction)


@aten("kl_div")
def kl_div(x: Tensor, target: Tensor, reduction: int = 1, log_target: bool = False) -> Tensor:
    if log_target:
        return _reduced(op.Exp(target) * (target - x), reduction)
    entropy = target * op.Log(op.Where(target > 0.0, target, 1.0))
    return _reduced(entropy - target * x, reduction)


@aten("nll_loss_nd", "nll_loss", "nll_loss2d")
def nll_loss(x: Tensor, target: Tensor, weight: Tensor | None = None, reduction: int = 1, ignore_index: int = -100) -> Tensor:
    return _nll(x, target, weight, reduction, ignore_index)[0]


@aten("nll_loss_forward", "nll_loss2d_forward")
def nll_loss_forward(x: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int) -> tuple[Tensor, Tensor]:
    return _nll(x, target, weight, reduction, ignore_index)


def _nll(x: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int) -> tuple[Tensor, Tensor]:
    """The loss and the total weight of the targets that count."""
    alone = x.ndim == 1
    if alone:
        x, target = op.Unsqueeze(x, [0]), op.Unsqueeze(target, [0])
    counts = target != ignore_index
    safe = op.Where(counts, target, np.int64(0))
    picked = op.Squeeze(op.GatherElements(x, op.Unsqueeze(safe, [1]), axis=1), [1])
    factors = counts.astype(x.dtype) if weight is None else op.Gather(weight, safe) * counts.astype(x.dtype)
    losses = -picked * factors
    total = op.ReduceSum(factors, keepdims=0)
    if reduction == 0:
        return op.Squeeze(losses, [0]) if alone else losses, total
    summed = op.ReduceSum(losses, keepdims=0)
    return summed / total if reduction == 1 else summed, total


@aten("cross_entropy_loss")
def cross_entropy_loss(
    x: Tensor, target: Tensor, weight: Tensor | None = None, reduction: int = 1, ignore_index: int = -100, label_smoothing: float = 0.0
) -> Tensor:
    axis = 0 if x.ndim == 1 else 1
    logs = op.LogSoftmax(x, axis=axis)
    n = int(x.shape[axis])  # type: ignore[arg-type]  # the classes are known
    per_class = None if weight is None else op.Reshape(weight, [-1 if i == axis else 1 for i in range(x.ndim)])
    if target.dtype.kind == "f":
        target = target * (1 - label_smoothing) + label_smoothing / n
        losses = -op.ReduceSum(logs * target if per_class is None else logs * target * per_class, [axis], keepdims=0)
        if reduction != 1:
            return _reduced(losses, reduction)
        samples = op.ReduceSum(losses * 0.0 + 1.0, keepdims=0)
        return op.ReduceSum(losses, keepdims=0) / samples
    plain, total = _nll(logs, target, weight, reduction, ignore_index)
    if not label_smoothing:
        return plain
    counts = (target != ignore_index).astype(x.dtype)
    even = -op.ReduceSum(logs if per_class is None else logs * per_class, [axis], keepdims=0) * counts
    smooth = even if reduction == 0 else op.ReduceSum(even, keepdims=0) / (total if reduction == 1 else 1.0)
    return plain * (1 - label_smoothing) + smooth * (label_smoothing / n)


@aten("soft_margin_loss")
def soft_margin_loss(x: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    return _reduced(op.Softplus(-target * x), reduction)


@aten("hinge_embedding_loss")
def hinge_embedding_loss(x: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 1) -> Tensor:
    return _reduced(op.Where(target == 1, x, op.Relu(margin - x)), reduction)


@aten("margin_ranking_loss")
def margin_ranking_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 1) -> Tensor:
    return _reduced(op.Relu(-target * (input1 - input2) + margin), reduction)


@aten("poisson_nll_loss")
def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int) -> Tensor:
    loss = op.Exp(input) - target * input if log_input else input - target * op.Log(input + eps)
    if full:
        safe = op.Where(target > 1, target, 1.0)
        stirling = safe * op.Log(safe) - safe + op.Log(safe * (2 * math.pi)) * 0.5
        loss = loss + op.Where(target > 1, stirling, 0.0)
    return _reduced(loss, reduction)


@aten("cosine_embedding_loss")
def cosine_embedding_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 1) -> Tensor:
    axis = input1.ndim - 1

    def power(a: Tensor, b: Tensor) -> Tensor:
        return op.ReduceSum(a * b, [axis], keepdims=0)

    small = 1e-12  # torch's own
    cosine = power(input1, input2) / op.Sqrt((power(input1, input1) + small) * (power(input2, input2) + small))
    loss = op.Where(target == 1, 1.0 - cosine, op.Where(target == -1, op.Relu(cosine - margin), cosine * 0.0))
    return _reduced(loss, reduction)
