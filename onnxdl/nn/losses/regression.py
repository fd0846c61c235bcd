"""Errors of numbers, of distributions, and hinges."""

from __future__ import annotations

import math

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.losses.loss import EPSILON, NamedLoss, as_pair, mean_of


def mean_squared_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of (y_true - y_pred)^2 over the last axis."""
    y_true, y_pred = as_pair(y_true, y_pred)
    difference = y_pred - y_true
    return mean_of(difference * difference)


def mean_absolute_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of |y_true - y_pred| over the last axis."""
    y_true, y_pred = as_pair(y_true, y_pred)
    return mean_of(op.Abs(y_pred - y_true))


def mean_absolute_percentage_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """100 times the mean of |y_true - y_pred| / |y_true| over the last axis."""
    y_true, y_pred = as_pair(y_true, y_pred)
    return 100.0 * mean_of(op.Abs((y_true - y_pred) / op.Max(op.Abs(y_true), EPSILON)))


def mean_squared_logarithmic_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of (log(1 + y_true) - log(1 + y_pred))^2 over the last axis; what is not positive counts as 0."""
    y_true, y_pred = as_pair(y_true, y_pred)
    difference = op.Log(op.Max(y_pred, EPSILON) + 1.0) - op.Log(op.Max(y_true, EPSILON) + 1.0)
    return mean_of(difference * difference)


def huber(y_true: Tensor, y_pred: Tensor, delta: float = 1.0) -> Tensor:
    """e^2 / 2 up to |e| = delta, from there on delta * (|e| - delta / 2), its mean over the last axis (Huber 1964)."""
    y_true, y_pred = as_pair(y_true, y_pred)
    error = op.Abs(y_pred - y_true)
    inner = op.Min(error, delta)
    return mean_of(0.5 * (inner * inner) + delta * (error - inner))


def log_cosh(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of log(cosh(y_pred - y_true)) over the last axis."""
    y_true, y_pred = as_pair(y_true, y_pred)
    x = y_pred - y_true
    return mean_of(x + op.Softplus(-2.0 * x) - math.log(2.0))


def cosine_similarity(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """-sum(u * v), u and v the vectors along an axis divided by their norms: -1 where they point the same way."""
    y_true, y_pred = as_pair(y_true, y_pred)
    return -op.ReduceSum(_unit(y_true, axis) * _unit(y_pred, axis), [axis], keepdims=0)


def _unit(x: Tensor, axis: int) -> Tensor:
    return x / op.Sqrt(op.Max(op.ReduceSum(x * x, [axis], keepdims=1), EPSILON**2))


def kl_divergence(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """sum(y_true * log(y_true / y_pred)) over the last axis (Kullback and Leibler 1951)."""
    y_true, y_pred = op.Clip(y_true.astype(y_pred.dtype), EPSILON, 1.0), op.Clip(y_pred, EPSILON, 1.0)
    return op.ReduceSum(y_true * op.Log(y_true / y_pred), [-1], keepdims=0)


def poisson(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of y_pred - y_true * log(y_pred) over the last axis."""
    return mean_of(y_pred - y_true.astype(y_pred.dtype) * op.Log(y_pred + EPSILON))


def hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of max(1 - y_true * y_pred, 0) over the last axis; ``y_true`` is -1 or 1, or 0 or 1 all over."""
    return mean_of(_margin(y_true, y_pred))


def squared_hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of max(1 - y_true * y_pred, 0)^2 over the last axis; ``y_true`` is -1 or 1, or 0 or 1 all over."""
    margin = _margin(y_true, y_pred)
    return mean_of(margin * margin)


def categorical_hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """max(largest other prediction - prediction of the class + 1, 0); ``y_true`` is one-hot (Weston and Watkins 1999)."""
    y_true = y_true.astype(y_pred.dtype)
    own = op.ReduceSum(y_true * y_pred, [-1], keepdims=0)
    other = op.ReduceMax((1.0 - y_true) * y_pred, [-1], keepdims=0)
    return op.Max(other - own + 1.0, 0.0)


def _margin(y_true: Tensor, y_pred: Tensor) -> Tensor:
    y_true = y_true.astype(y_pred.dtype)
    binary = op.Equal(op.ReduceMax(op.Abs(y_true * (y_true - 1.0)), keepdims=0), 0.0)
    return op.Max(1.0 - op.Where(binary, 2.0 * y_true - 1.0, y_true) * y_pred, 0.0)


class MeanSquaredError(NamedLoss):
    """``mean_squared_error`` as a loss."""

    fn = staticmethod(mean_squared_error)


class MeanAbsoluteError(NamedLoss):
    """``mean_absolute_error`` as a loss."""

    fn = staticmethod(mean_absolute_error)


class MeanAbsolutePercentageError(NamedLoss):
    """``mean_absolute_percentage_error`` as a loss."""

    fn = staticmethod(mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(NamedLoss):
    """``mean_squared_logarithmic_error`` as a loss."""

    fn = staticmethod(mean_squared_logarithmic_error)


class Huber(NamedLoss):
    """``huber`` as a loss."""

    fn = staticmethod(huber)


class LogCosh(NamedLoss):
    """``log_cosh`` as a loss."""

    fn = staticmethod(log_cosh)


class CosineSimilarity(NamedLoss):
    """``cosine_similarity`` as a loss."""

    fn = staticmethod(cosine_similarity)


class KLDivergence(NamedLoss):
    """``kl_divergence`` as a loss."""

    fn = staticmethod(kl_divergence)


class Poisson(NamedLoss):
    """``poisson`` as a loss."""

    fn = staticmethod(poisson)


class Hinge(NamedLoss):
    """``hinge`` as a loss."""

    fn = staticmethod(hinge)


class SquaredHinge(NamedLoss):
    """``squared_hinge`` as a loss."""

    fn = staticmethod(squared_hinge)


class CategoricalHinge(NamedLoss):
    """``categorical_hinge`` as a loss."""

    fn = staticmethod(categorical_hinge)
