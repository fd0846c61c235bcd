"""Loss: a number for each sample, weighted and reduced to the scalar that training makes small."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from onnxdl.config import Configurable
from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.names import snake_case

LossFunction = Callable[..., Tensor]
REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)
EPSILON = 1e-7


class Loss(Configurable):
    """The base of losses; override ``call`` for one of your own.

    Args:
        name: its name in logs.
        reduction: ``sum_over_batch_size`` or ``mean``, the mean over all samples; ``mean_with_sample_weight``, the sum divided
            by that of the weights; ``sum``; ``none`` leaves one number a sample.
    """

    labels = False
    """Whether ``y_true`` holds class numbers, which must lie below the number of classes."""

    def __init__(self, name: str | None = None, reduction: str | None = "sum_over_batch_size") -> None:
        if reduction not in REDUCTIONS:
            raise GraphError(f"no reduction is called {reduction!r}; known are {', '.join(map(str, REDUCTIONS))}")
        self.name = name or snake_case(type(self).__name__)
        self.reduction = reduction

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """One number for each sample."""
        raise GraphError(f"{type(self).__name__} does not define call(self, y_true, y_pred)")

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """The reduced loss; steps that the mask of ``y_pred`` or of the values leaves out do not count."""
        values = self.call(y_true, y_pred)
        averaged = self.reduction in ("sum_over_batch_size", "mean")
        weight = sample_weight
        for mask in (y_pred.mask, values.mask):
            if mask is not None:
                counted = mask_weight(mask, values, averaged)
                weight = counted if weight is None else aligned(weight, counted) * counted
        if weight is not None:
            weight = aligned(weight.astype(values.dtype), values)
            values = values * weight
        if self.reduction in (None, "none"):
            return values
        if averaged:
            return op.ReduceMean(values, keepdims=0)
        total = op.ReduceSum(values, keepdims=0)
        if self.reduction == "mean_with_sample_weight":
            return total / op.ReduceSum(weight, keepdims=0) if weight is not None else op.ReduceMean(values, keepdims=0)
        return total


class LossFunctionWrapper(Loss):
    """A function ``(y_true, y_pred, **options) -> one number a sample`` as a loss."""

    def __init__(self, fn: LossFunction, reduction: str | None = "sum_over_batch_size", name: str | None = None, **options: Any) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction)
        self.function, self.options = fn, options
        self.labels = bool(getattr(fn, "labels", False))

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.function(y_true, y_pred, **self.options)


class NamedLoss(LossFunctionWrapper):
    """One of this package's functions as a class: it is made with the function's options, a reduction and a name."""

    fn: LossFunction

    def __init__(self, *args: Any, reduction: str | None = "sum_over_batch_size", name: str | None = None, **options: Any) -> None:
        function = type(self).fn
        bound = inspect.signature(function).bind(None, None, *args, **options)
        super().__init__(function, reduction, name, **dict(list(bound.arguments.items())[2:]))

    def get_config(self) -> dict[str, Any]:
        """The options, the reduction and the name."""
        return {**self.options, "reduction": self.reduction, "name": self.name}


def of_labels(function: LossFunction) -> LossFunction:
    """Marks a loss function whose ``y_true`` holds class numbers."""
    function.labels = True  # type: ignore[attr-defined]
    return function


def mask_weight(mask: Tensor, values: Tensor, averaged: bool) -> Tensor:
    """1 where the mask counts; for a mean over all, as much more as there is less that counts."""
    counts = op.Cast(mask, to=values.dtype)
    if not averaged:
        return counts
    share = op.ReduceMean(counts, keepdims=0)
    return counts / op.Where(op.Equal(share, 0.0), 1.0, share)


def aligned(x: Tensor, y: Tensor) -> Tensor:
    """``x`` with as many axes as ``y``: its last axis of size 1 dropped, or axes of size 1 added behind."""
    if x.ndim == y.ndim + 1 and x.shape[-1] == 1:
        return op.Squeeze(x, [-1])
    return op.Unsqueeze(x, list(range(x.ndim, y.ndim))) if x.ndim < y.ndim else x


def as_pair(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the element type of ``y_pred`` and with as many axes."""
    y_true = y_true.astype(y_pred.dtype)
    if y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1 and y_pred.ndim > 1:
        return op.Squeeze(y_true, [-1]), y_pred
    if y_pred.ndim == y_true.ndim + 1 and y_pred.shape[-1] == 1 and y_true.ndim > 1:
        return y_true, op.Squeeze(y_pred, [-1])
    return aligned(y_true, y_pred), aligned(y_pred, y_true)


def mean_of(x: Tensor, axis: int = -1) -> Tensor:
    """The mean over an axis; numbers without axes but the batch's stay as they are."""
    return op.ReduceMean(x, [axis], keepdims=0) if x.ndim > 1 else x
