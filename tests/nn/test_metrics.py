"""Every metric against Keras's, accumulated in a program over several batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import onnxdl as ox
from onnxdl import nn, op
from onnxdl.errors import GraphError
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import Trace
from onnxdl.nn import metrics
from onnxdl.runtime.sessions import create_session, run
from tests.keras_backend import keras
from tests.nn.metric_cases import CASES, Case, Data, bits, labels, one_hot, series

SIZES = (16, 9)
RUNS = [(case, False) for case in CASES] + [(case, True) for case in CASES if case.weighted]


def batches(case: Case) -> list[Data]:
    rng = np.random.default_rng(7)
    return [case.batch(rng, n) for n in SIZES]


def accumulated(
    metric: metrics.Metric, given: list[Data], weights: list[np.ndarray] | None = None, masks: list[np.ndarray] | None = None
) -> Any:
    """The value after each batch, from one program that carries the slots on."""
    with Trace("metric") as trace:
        (y_true, y_pred), extra = given[0], {}
        inputs = [trace.input(n, a.dtype, ["batch", *a.shape[1:]]) for n, a in (("y_true", y_true), ("y_pred", y_pred))]
        if weights is not None:
            extra["weight"] = trace.input("weight", "float32", ["batch"])
        if masks is not None:
            inputs[1].mask = trace.input("mask", "bool", ["batch", *masks[0].shape[1:]])
        added = metric.update(inputs[0], inputs[1], extra.get("weight"))
        slots = dict(metric.slots())
        assert set(added) == set(slots)
        total = {n: trace.input(f"slot/{n}", "float32", shape) + added[n] for n, shape in slots.items()}
        model = trace.model({"value": metric.value(**total), **{f"next/{n}": t for n, t in total.items()}})
    session = create_session(ir.to_proto(model).SerializeToString())
    state = {f"slot/{n}": np.zeros(shape, np.float32) for n, shape in slots.items()}
    values = []
    for i, (y_true, y_pred) in enumerate(given):
        feed = {"y_true": y_true, "y_pred": y_pred, **state}
        feed.update({"weight": weights[i]} if weights is not None else {})
        feed.update({"mask": masks[i]} if masks is not None else {})
        value, *following = run(session, None, feed)
        values.append(value)
        state = dict(zip(state, following, strict=True))
    return values


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")
@pytest.mark.parametrize(("case", "weighted"), RUNS, ids=[f"{c}-weighted" if w else str(c) for c, w in RUNS])
def test_metric_agrees_with_keras(case: Case, weighted: bool) -> None:
    given = batches(case)
    rng = np.random.default_rng(8)
    weights = [rng.uniform(0, 2, n).astype(np.float32) for n in SIZES] if weighted else None
    ours = accumulated(getattr(metrics, case.kind)(**case.options), given, weights)
    reference = getattr(keras().metrics, case.kind)(**case.options)
    for i, (y_true, y_pred) in enumerate(given):
        reference.update_state(y_true, y_pred, sample_weight=None if weights is None else weights[i])
        np.testing.assert_allclose(ours[i], np.asarray(reference.result()), rtol=2e-5, atol=2e-6, err_msg=f"after batch {i}")


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")
@pytest.mark.parametrize("kind", ["MeanSquaredError", "SparseCategoricalAccuracy", "AUC", "F1Score", "MeanIoU", "R2Score"])
def test_a_metric_may_be_used_outside_a_program(kind: str) -> None:
    case = next(c for c in CASES if c.kind == kind)
    ours, theirs = getattr(metrics, case.kind)(**case.options), getattr(keras().metrics, case.kind)(**case.options)
    for y_true, y_pred in batches(case):
        ours.update_state(y_true, y_pred)
        theirs.update_state(y_true, y_pred)
        np.testing.assert_allclose(ours.result().numpy(), np.asarray(theirs.result()), rtol=2e-5, atol=2e-6)
    ours.reset_state()
    theirs.reset_state()
    np.testing.assert_allclose(ours(*batches(case)[1]).numpy(), np.asarray(theirs(*batches(case)[1])), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kind", ["Mean", "Sum"])
def test_running_numbers_of_a_custom_loop(kind: str) -> None:
    ours, theirs = getattr(metrics, kind)(), getattr(keras().metrics, kind)()
    assert float(ours.result()) == 0.0
    for values, weights in (
        (3.0, None),
        (np.arange(6, dtype=np.float32).reshape(2, 3), None),
        (np.ones((2, 3), np.float32), np.arange(6, dtype=np.float32).reshape(2, 3)),
        ([1.0, 2.0, 6.0], [0.5, 1.0, 2.0]),
        (np.ones((2, 3), np.float32), np.array([1.0, 3.0], np.float32)),
    ):
        ours.update_state(values, sample_weight=weights)
        theirs.update_state(values, sample_weight=weights)
        assert float(ours.result()) == pytest.approx(float(theirs.result()))
    ours.reset_state()
    assert float(ours(np.array([2.0, 4.0], np.float32))) == {"Mean": 3.0, "Sum": 6.0}[kind]


def test_every_metric_of_keras_has_a_case() -> None:
    theirs = {n for n in dir(keras().metrics) if n[0].isupper()} - {"Metric", "Mean", "Sum", "MeanMetricWrapper"}
    assert theirs == {case.kind for case in CASES} == {kind.__name__ for kind in metrics.KINDS}


def test_masked_steps_do_not_count() -> None:
    case = Case("MeanSquaredError", series)
    given = batches(case)
    rng = np.random.default_rng(9)
    masks = [rng.uniform(size=y.shape[:2]) > 0.3 for y, _ in given]
    got = accumulated(metrics.MeanSquaredError(), given, masks=masks)[-1]
    errors = np.concatenate([((p - t) ** 2).mean(-1)[m] for (t, p), m in zip(given, masks, strict=True)])
    assert float(got) == pytest.approx(errors.mean(), rel=1e-5)


@pytest.mark.parametrize(("batch", "accuracy", "crossentropy"), [
    (bits, "BinaryAccuracy", "BinaryCrossentropy"),
    (labels, "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy"),
    (one_hot, "CategoricalAccuracy", "CategoricalCrossentropy"),
])  # fmt: skip
def test_accuracy_and_crossentropy_fit_the_shapes(batch: Any, accuracy: str, crossentropy: str) -> None:
    given = batches(Case("", batch))
    for name, kind in (("accuracy", accuracy), ("acc", accuracy), ("crossentropy", crossentropy), ("ce", crossentropy)):
        metric = metrics.get(name)
        assert metric.name == name
        np.testing.assert_allclose(accumulated(metric, given), accumulated(getattr(metrics, kind)(), given), rtol=1e-6)


def test_names_functions_and_configurations() -> None:
    for name, found in metrics.NAMES.items():
        if not (isinstance(found, type) and ("IoU" in found.__name__ or "At" in found.__name__) and found.__name__ != "BinaryIoU"):
            assert metrics.get(name).name == name
            assert metrics.name_of(metrics.get(name)) == name
    for told in (metrics.Precision(0.3), metrics.MeanIoU(3), metrics.TopKCategoricalAccuracy(k=2)):
        assert metrics.name_of(told) is None

    def largest(y_true: Tensor, y_pred: Tensor) -> Tensor:
        return op.ReduceMax(op.Abs(y_true - y_pred), [-1], keepdims=0)

    given = batches(Case("", series))
    got = accumulated(metrics.get(largest), given)[-1]
    assert metrics.get(largest).name == "largest"
    assert float(got) == pytest.approx(np.concatenate([np.abs(t - p).max(-1).ravel() for t, p in given]).mean(), rel=1e-5)
    again = metrics.Precision.from_config(metrics.Precision(thresholds=[0.1, 0.2], top_k=3, name="p").get_config())
    assert (again.name, again.top_k, list(again.thresholds)) == ("p", 3, [0.1, 0.2])
    assert metrics.TopKCategoricalAccuracy.from_config(metrics.TopKCategoricalAccuracy(3).get_config()).options == {"k": 3}


def test_errors() -> None:
    with pytest.raises(GraphError, match="thresholds lie between 0 and 1"):
        metrics.Precision(thresholds=[0.1, 2.0])
    with pytest.raises(GraphError, match="knows no curve 'AP'"):
        metrics.AUC(curve="AP")
    with pytest.raises(GraphError, match="class 4 is none of 4"):
        metrics.IoU(4, [4])
    with pytest.raises(GraphError, match="metrics need different names"):
        metrics.get_all(["mse", "mse"])
    with pytest.raises(GraphError, match="knows no average"):
        metrics.F1Score(average="mean")
    with pytest.raises(GraphError, match="did you mean 'recall'"):
        metrics.get("recal")


class HitRate(metrics.Metric):
    """As a Keras user writes it."""

    def __init__(self, name: str = "hit_rate") -> None:
        super().__init__(name=name)
        self.hits = self.add_variable(shape=(), initializer="zeros", name="hits")
        self.count = self.add_weight(name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        hit = op.Cast((y_true > 0.5) & (y_pred > 0.5), to="float32")
        hit = hit if sample_weight is None else hit * sample_weight
        self.hits.assign_add(op.ReduceSum(hit, keepdims=0))
        self.count.assign(self.count + op.ReduceSum(hit * 0.0 + 1.0, keepdims=0))

    def result(self, **slots: Tensor) -> Tensor:
        return self.hits / self.count


def test_a_metric_in_keras_style_accumulates_in_and_out_of_programs() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 3)).astype(np.float32)
    y = (x[:, :1] > 0).astype(np.float32)
    model = ox.Sequential([ox.Input((3,)), nn.Dense(1, activation="sigmoid")])
    model.compile("sgd", "mse", metrics=[HitRate()], weighted_metrics=[HitRate("weighted")], device="cpu")
    weight = rng.uniform(0, 2, (20, 1)).astype(np.float32)
    logs = model.evaluate(x, y, sample_weight=weight, batch_size=7, return_dict=True, verbose=0)
    predicted = model.predict(x, verbose=0)
    hits = (y > 0.5) & (predicted > 0.5)
    assert logs["hit_rate"] == pytest.approx(hits.mean()) and logs["weighted"] == pytest.approx((hits * weight).mean(), rel=1e-5)
    alone = HitRate()
    for part in (slice(0, 7), slice(7, 20)):
        alone.update_state(ox.tensor(y[part]), ox.tensor(predicted[part]))
    assert float(alone.result()) == pytest.approx(hits.mean())
    alone.reset_state()
    assert float(alone.hits.value) == 0
