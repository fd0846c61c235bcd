"""Metrics of numbers and distributions: the losses as means, and what needs more than a mean."""

from __future__ import annotations

from collections.abc import Mapping

from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import losses
from onnxdl.nn.losses.loss import EPSILON, aligned, as_pair
from onnxdl.nn.metrics.metric import MeanMetric, Metric, NamedMetric, Slots


def cosine_similarity(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """The cosine of the angle between the vectors along an axis: 1 where they point the same way."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


def pearson_correlation(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """The covariance along an axis divided by both standard deviations (Pearson 1895)."""
    (a, b), axes = _centered(y_true, y_pred, axis), [axis]
    covariance = op.ReduceMean(a * b, axes, keepdims=0)
    return covariance / op.Sqrt(op.ReduceMean(a * a, axes, keepdims=0) * op.ReduceMean(b * b, axes, keepdims=0))


def concordance_correlation(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """2 * covariance / (both variances + the squared difference of the means), along an axis (Lin 1989)."""
    (a, b), axes = _centered(y_true, y_pred, axis), [axis]
    apart = op.ReduceMean(as_pair(y_true, y_pred)[0] - y_pred, axes, keepdims=0)
    variances = op.ReduceMean(a * a, axes, keepdims=0) + op.ReduceMean(b * b, axes, keepdims=0)
    return 2.0 * op.ReduceMean(a * b, axes, keepdims=0) / (variances + apart * apart + EPSILON)


def _centered(y_true: Tensor, y_pred: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    a, b = as_pair(y_true, y_pred)
    return a - op.ReduceMean(a, [axis], keepdims=1), b - op.ReduceMean(b, [axis], keepdims=1)


class RootMeanSquaredError(MeanMetric):
    """The square root of the mean of (y_true - y_pred)^2 over all."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        y_true, y_pred = as_pair(y_true, y_pred)
        return (y_pred - y_true) * (y_pred - y_true)

    def value(self, **slots: Tensor) -> Tensor:
        return op.Sqrt(super().value(**slots))


class R2Score(Metric):
    """1 - sum((y_true - y_pred)^2) / sum((y_true - mean)^2): the share of the variance that is explained.

    Args:
        class_aggregation: ``uniform_average`` over the outputs, ``variance_weighted_average``, or None for one a piece.
        num_regressors: how many inputs the model has, for the adjusted score; 0 for the plain one.
        name: its name in logs.
    """

    def __init__(self, class_aggregation: str | None = "uniform_average", num_regressors: int = 0, name: str | None = None) -> None:
        super().__init__(name)
        if class_aggregation not in ("uniform_average", "variance_weighted_average", None):
            raise GraphError(f"no aggregation is called {class_aggregation!r}")
        self.class_aggregation, self.num_regressors, self.outputs = class_aggregation, num_regressors, 1

    def slots(self) -> Slots:
        return {"samples": (), **dict.fromkeys(("squares", "total", "residual", "count"), (self.outputs,))}

    def update(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Mapping[str, Tensor]:
        y_true, y_pred = as_pair(y_true, y_pred)
        if y_pred.ndim != 2:
            raise GraphError(f"R2Score needs predictions (batch, outputs), not {y_pred.shape}")
        self.outputs = int(y_pred.shape[-1])  # type: ignore[arg-type]
        ones = op.Cast(op.Equal(y_true, y_true), to="float32")
        weight = ones if sample_weight is None else ones * aligned(sample_weight, y_true)
        residual = y_true - y_pred
        sums = {"squares": y_true * y_true * weight, "total": y_true * weight, "residual": residual * residual * weight, "count": weight}
        return {"samples": op.ReduceSum(ones, keepdims=0), **{slot: op.ReduceSum(x, [0], keepdims=0) for slot, x in sums.items()}}

    def value(self, **slots: Tensor) -> Tensor:
        variance = slots["squares"] - slots["total"] * slots["total"] / slots["count"]
        scores = 1.0 - slots["residual"] / variance
        scores = op.Where(op.IsInf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = op.ReduceMean(scores, keepdims=0)
        elif self.class_aggregation is not None:
            scores = op.ReduceSum(variance * scores, keepdims=0) / op.ReduceSum(variance, keepdims=0)
        if not self.num_regressors:
            return scores
        left = slots["samples"] - self.num_regressors - 1.0
        adjusted = 1.0 - (1.0 - scores) * (slots["samples"] - 1.0) / op.Max(left, 1.0)
        return op.Where(op.Greater(left, 0.0), adjusted, scores)


class MeanSquaredError(NamedMetric):
    """The mean squared error."""

    fn = staticmethod(losses.mean_squared_error)


class MeanAbsoluteError(NamedMetric):
    """The mean absolute error."""

    fn = staticmethod(losses.mean_absolute_error)


class MeanAbsolutePercentageError(NamedMetric):
    """The mean absolute percentage error."""

    fn = staticmethod(losses.mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(NamedMetric):
    """The mean squared logarithmic error."""

    fn = staticmethod(losses.mean_squared_logarithmic_error)


class CosineSimilarity(NamedMetric):
    """The mean cosine similarity."""

    fn = staticmethod(cosine_similarity)


class LogCoshError(NamedMetric):
    """The mean logarithm of the hyperbolic cosine of the error."""

    fn = staticmethod(losses.log_cosh)


class PearsonCorrelation(NamedMetric):
    """The mean of ``pearson_correlation`` over the samples."""

    fn = staticmethod(pearson_correlation)


class ConcordanceCorrelation(NamedMetric):
    """The mean of ``concordance_correlation`` over the samples."""

    fn = staticmethod(concordance_correlation)


class Hinge(NamedMetric):
    """The mean hinge loss."""

    fn = staticmethod(losses.hinge)


class SquaredHinge(NamedMetric):
    """The mean squared hinge loss."""

    fn = staticmethod(losses.squared_hinge)


class CategoricalHinge(NamedMetric):
    """The mean categorical hinge loss."""

    fn = staticmethod(losses.categorical_hinge)


class KLDivergence(NamedMetric):
    """The mean Kullback-Leibler divergence."""

    fn = staticmethod(losses.kl_divergence)


class Poisson(NamedMetric):
    """The mean Poisson loss."""

    fn = staticmethod(losses.poisson)


class BinaryCrossentropy(NamedMetric):
    """The mean binary cross-entropy."""

    fn = staticmethod(losses.binary_crossentropy)


class CategoricalCrossentropy(NamedMetric):
    """The mean categorical cross-entropy."""

    fn = staticmethod(losses.categorical_crossentropy)


class SparseCategoricalCrossentropy(NamedMetric):
    """The mean cross-entropy of class numbers."""

    fn = staticmethod(losses.sparse_categorical_crossentropy)
