"""Evaluation and prediction over batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxdl.data import walk
from onnxdl.errors import DataError
from onnxdl.train.callbacks import Callback, CallbackList
from onnxdl.train.feed import ClassWeight, Feed, weight_arrays, weight_specs
from onnxdl.train.progress import Reporter
from onnxdl.train.running import Mean, logs_of, samples_of

if TYPE_CHECKING:
    from onnxdl.train.model import Model


def evaluate(model: Model, data: Feed, callbacks: Sequence[Callback] = (), verbose: int | str = 0) -> dict[str, float]:
    """The mean loss and the metrics over all batches."""
    everyone = CallbackList(callbacks, model, {"steps": data.batches.steps, "verbose": verbose})
    with Reporter(verbose).pass_("evaluate", data.batches.steps, verbose in (1, 2)) as report:
        logs = validate(model, data, everyone, report.show if report.visible else None)
        report.finish(logs)
    return logs


def validate(model: Model, data: Feed, callbacks: CallbackList, show: Any = None) -> dict[str, float]:
    """The mean loss and the metrics over all batches, with the test hooks of callbacks that are set up already."""
    evaluation = model.evaluation(data.weights)
    evaluation.reset()
    watched = callbacks.watches("test")
    mean, results = Mean(), None
    callbacks.call("on_test_begin")
    for done, batch in enumerate(walk(data.batches)):
        if watched:
            callbacks.call("on_test_batch_begin", done)
        results = evaluation.session(batch)
        mean.add(results, samples_of(batch))
        if watched:
            callbacks.call("on_test_batch_end", done, logs_of(mean, results))
        if show is not None:
            show(done + 1)
    if results is None:
        raise DataError("there is no data: the iterable gave no batch")
    logs = logs_of(mean, results)
    callbacks.call("on_test_end", logs)
    return logs


def predict(model: Model, data: Feed, callbacks: Sequence[Callback] = (), verbose: int | str = 0) -> Any:
    """The outputs for all batches: an array, or a list of arrays with several outputs."""
    everyone = CallbackList(callbacks, model, {"steps": data.batches.steps, "verbose": verbose})
    session, watched = model.prediction().session, everyone.watches("predict")
    parts: list[dict[str, Any]] = []
    everyone.call("on_predict_begin")
    with Reporter(verbose).pass_("predict", data.batches.steps, False) as report:
        for batch in walk(data.batches):
            if watched:
                everyone.call("on_predict_batch_begin", len(parts))
            results = dict(session(batch))
            parts.append(results)
            report.show(len(parts))
            if watched:
                everyone.call("on_predict_batch_end", len(parts) - 1, {"outputs": model.in_structure(results)})
    if not parts:
        raise DataError("there is no data: the iterable gave no batch")
    everyone.call("on_predict_end")
    return model.in_structure({name: np.concatenate([p[name] for p in parts]) for name in model.output_names})


def train_on_batch(model: Model, x: Any, y: Any, sample_weight: Any, class_weight: ClassWeight | None) -> dict[str, float]:
    """One step on a batch; its own loss and metrics."""
    weights = _prepared(model, x, y, sample_weight, class_weight)
    step = model.train_step(weight_specs(weights))
    model.reset_metrics()
    return dict(step.run(model.batch(x, y, weights)))


def test_on_batch(model: Model, x: Any, y: Any, sample_weight: Any) -> dict[str, float]:
    """The loss and metrics of a batch."""
    weights = _prepared(model, x, y, sample_weight, None)
    evaluation = model.evaluation(weight_specs(weights))
    evaluation.reset()
    return dict(evaluation.session(model.batch(x, y, weights)))


def _prepared(model: Model, x: Any, y: Any, sample_weight: Any, class_weight: ClassWeight | None) -> dict[str, np.ndarray]:
    model.ensure_built(x)
    model.ensure_targets(y)
    return weight_arrays(model, y, sample_weight, class_weight)


def values_of(results: dict[str, Any]) -> Any:
    """The values: one alone, or several as a list."""
    values = list(results.values())
    return values if len(values) > 1 else values[0]
