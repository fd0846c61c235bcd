"""Every loss against Keras's: values, gradients, reductions, weights and masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import op
from onnxdl.errors import GraphError
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import losses
from onnxdl.nn.losses.crossentropy import logits_of
from tests.keras_backend import jax, keras
from tests.nn.loss_cases import CASES, Case, bits, label_images, labels, numbers, series

CLASSES = {case.kind for case in CASES}


def values(loss: Any, y_true: np.ndarray, y_pred: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    return loss(ox.tensor(y_true), ox.tensor(y_pred), None if weight is None else ox.tensor(weight)).numpy()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_loss_agrees_with_keras(case: Case) -> None:
    y_true, y_pred = case.data()
    ours, reference = getattr(losses, case.kind)(**case.options), getattr(keras().losses, case.kind)(**case.options)
    of_sample, expected = ours.call(ox.tensor(y_true), ox.tensor(y_pred)).numpy(), np.asarray(reference.call(y_true, y_pred))
    np.testing.assert_allclose(of_sample, expected, rtol=1e-5, atol=2e-6)

    p = ox.tensor(y_pred)
    loss = ours(ox.tensor(y_true), p)
    total, gradient = jax().value_and_grad(lambda x: reference(y_true, x))(y_pred)
    assert float(loss) == pytest.approx(float(total), rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(ox.gradient(loss, [p])[0].numpy(), np.asarray(gradient), rtol=1e-4, atol=2e-6)


def test_every_loss_of_keras_has_a_case() -> None:
    theirs = {n for n in dir(keras().losses) if n[0].isupper()} - {"Loss"}
    assert theirs == CLASSES == {kind.__name__ for kind in losses.KINDS}
    functions = {n for n in dir(keras().losses) if n[0].islower()} - {"get", "serialize", "deserialize"}
    assert functions == set(losses.FUNCTIONS)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None])
@pytest.mark.parametrize("data", [numbers, series], ids=["numbers", "series"])
def test_reductions_and_weights_agree_with_keras(reduction: str | None, data: Any) -> None:
    y_true, y_pred = data()
    ours, reference = losses.MeanSquaredError(reduction=reduction), keras().losses.MeanSquaredError(reduction=reduction)
    rng = np.random.default_rng(4)
    shapes = [None, y_true.shape[:1], (len(y_true), 1)] if data is numbers else [None, y_true.shape[:2]]
    for shape in shapes:
        weight = None if shape is None else rng.uniform(0, 2, shape).astype(np.float32)
        expected = np.asarray(reference(y_true, y_pred, sample_weight=weight))
        expected = expected.squeeze(-1) if reduction in ("none", None) and shape == (len(y_true), 1) else expected
        np.testing.assert_allclose(values(ours, y_true, y_pred, weight), expected, rtol=1e-5)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
def test_masks_agree_with_keras(reduction: str) -> None:
    y_true, y_pred = series()
    rng = np.random.default_rng(4)
    mask, weight = rng.uniform(size=y_true.shape[:2]) > 0.4, rng.uniform(0, 2, y_true.shape[:2]).astype(np.float32)
    k = keras()
    for w in (None, weight):
        p = ox.tensor(y_pred)
        p.mask = ox.tensor(mask)
        got = losses.MeanSquaredError(reduction=reduction)(ox.tensor(y_true), p, None if w is None else ox.tensor(w))
        masked = k.ops.convert_to_tensor(y_pred)
        masked._keras_mask = mask
        expected = k.src.losses.loss.reduce_weighted_values(
            k.losses.MeanSquaredError(reduction=None)(y_true, y_pred), sample_weight=w, mask=mask, reduction=reduction
        )
        assert float(got) == pytest.approx(float(expected), rel=1e-5)


def test_a_mask_that_counts_nothing_gives_zero() -> None:
    y_true, y_pred = series()
    p = ox.tensor(y_pred)
    p.mask = ox.tensor(np.zeros(y_true.shape[:2], bool))
    assert float(losses.MeanSquaredError()(ox.tensor(y_true), p)) == 0.0


@pytest.mark.parametrize("operator", ["Softmax", "Sigmoid"])
@pytest.mark.parametrize("cast", [False, True])
def test_the_loss_looks_through_the_last_activation(operator: str, cast: bool) -> None:
    x = np.array([[200.0, -200.0, 0.0]], np.float32)
    logits = ox.tensor(x)
    y_pred = getattr(op, operator)(logits)
    y_pred = op.Cast(op.Cast(y_pred, to="float64"), to="float32") if cast else y_pred
    y_true = ox.tensor(np.array([[0.0, 1.0, 0.0]], np.float32))
    loss = losses.get("categorical_crossentropy" if operator == "Softmax" else "binary_crossentropy")(y_true, y_pred)
    assert float(loss) == pytest.approx(400.0 if operator == "Softmax" else (400.0 + np.log(2.0)) / 3, rel=1e-6)
    assert np.isfinite(ox.gradient(loss, [logits])[0].numpy()).all()


def test_a_softmax_over_another_axis_is_not_looked_through() -> None:
    y_pred = op.Softmax(ox.tensor(numbers()[0]), axis=0)
    assert logits_of(y_pred, "Softmax") is None
    assert logits_of(y_pred, "Softmax", axis=0) is not None


def test_sparse_crossentropy_over_another_axis() -> None:
    y_true, y_pred = label_images()
    last = losses.SparseCategoricalCrossentropy(reduction=None)
    first = losses.SparseCategoricalCrossentropy(axis=1, reduction=None)
    np.testing.assert_allclose(values(first, y_true, y_pred.transpose(0, 2, 1).copy()), values(last, y_true, y_pred), rtol=1e-6)


def test_names_options_and_own_losses() -> None:
    y_true, y_pred = bits()
    for name in losses.NAMES:
        loss = losses.get(name)
        assert losses.get(loss) is loss
        assert losses.name_of(loss) in losses.NAMES
    assert losses.name_of(losses.MeanSquaredError()) == "mean_squared_error"
    assert losses.name_of(losses.Huber(0.5)) is losses.name_of(losses.Huber(reduction="sum")) is None
    assert losses.get("MeanSquaredError").name == "mean_squared_error"
    assert losses.get("SparseCategoricalCrossentropy").labels
    assert losses.SparseCategoricalCrossentropy(from_logits=True).labels
    assert not losses.get("mse").labels

    class Largest(losses.Loss):
        def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
            return op.ReduceMax(op.Abs(y_true - y_pred), [-1], keepdims=0)

    def largest(y_true: Tensor, y_pred: Tensor) -> Tensor:
        return op.ReduceMax(op.Abs(y_true - y_pred), [-1], keepdims=0)

    expected = pytest.approx(np.abs(y_true - y_pred).max(-1).mean(), rel=1e-6)
    assert values(Largest(), y_true, y_pred) == expected == values(losses.get(largest), y_true, y_pred)
    assert (Largest().name, losses.get(largest).name) == ("largest", "largest")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_configuration_makes_the_same_loss(case: Case) -> None:
    kind = getattr(losses, case.kind)
    loss = kind(**case.options, reduction="sum", name="mine")
    again = kind.from_config(loss.get_config())
    assert (again.name, again.reduction, again.options) == ("mine", "sum", case.options)


def test_errors() -> None:
    with pytest.raises(GraphError, match="no reduction is called 'average'"):
        losses.MeanSquaredError(reduction="average")
    with pytest.raises(TypeError, match="beta"):
        losses.Huber(beta=1.0)
    with pytest.raises(GraphError, match="did you mean 'hinge'"):
        losses.get("hinje")
    with pytest.raises(GraphError, match="does not define call"):
        losses.Loss()(ox.tensor(labels()[0]), ox.tensor(labels()[1]))
