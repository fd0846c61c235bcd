"""Every layer through a file: saved and loaded it is the same layer with the same numbers, and its training can be exported.

Many layers stand side by side in one model, so that a few files hold them all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import onnxdl as ox
from onnxdl import nn
from onnxdl.graph import op
from onnxdl.nn.structure import tensors_in
from tests.nn.cases import CASES, Case, Ints
from tests.nn.test_layers import arrays_for, arrays_in

GROUPS = 8


def is_plain(case: Case) -> bool:
    """Whether its call can be written down: no function of the user's in it."""
    return not any(isinstance(layer, nn.Lambda) for layer in case.make(nn).layers_below())


def symbolic(inputs: Any, prefix: str) -> Any:
    if isinstance(inputs, list):
        return [symbolic(x, f"{prefix}_{i}") for i, x in enumerate(inputs)]
    if isinstance(inputs, Ints):
        return ox.Input(inputs.shape[1:], inputs.shape[0], "int32", name=prefix)
    if isinstance(inputs, np.ndarray):
        return ox.Input(inputs.shape[1:], inputs.shape[0], inputs.dtype, name=prefix)
    return ox.Input(inputs[1:], inputs[0], name=prefix)


def group(number: int, *, trained: bool) -> tuple[ox.Model, dict[str, np.ndarray]]:
    """A model of every ``GROUPS``-th case, and data for it."""
    ox.set_seed(number)
    rng, inputs, outputs, data = np.random.default_rng(number), [], [], {}
    for i, case in list(enumerate(CASES))[number::GROUPS]:
        if not is_plain(case) or (trained and not case.differentiable):
            continue
        given, arrays = symbolic(list(case.inputs), f"x{i}"), arrays_for(list(case.inputs), rng)
        layer = case.make(nn)
        layer.name = f"layer{i}"
        results = tensors_in(layer(*given, **case.keywords))
        inputs += tensors_in(given)
        outputs += [op.ReduceMean(y * nn.Dense(1, name=f"tail{i}_{j}")(op.Reshape(y, [1, -1])), keepdims=0) if trained else y
                    for j, y in enumerate(results)]  # fmt: skip
        data.update({t.name: a for t, a in zip(tensors_in(given), arrays_in(arrays), strict=True)})
    if trained:
        outputs = [op.Reshape(op.Sum(*outputs), [1, 1])]
    return ox.Model(inputs, outputs), data


def predictions(model: ox.Model, data: dict[str, np.ndarray]) -> list[np.ndarray]:
    return list(dict(model.prediction().session(model.batch(data))).values())


@pytest.mark.parametrize("number", range(GROUPS))
def test_a_saved_layer_is_loaded_as_it_was(number: int, tmp_path: Path) -> None:
    model, data = group(number, trained=False)
    before = predictions(model, data) if model.ensure_built() is None else []
    model.save(tmp_path / "model.onnx")
    again = ox.load(tmp_path / "model.onnx")
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in model.layers]
    assert [layer.get_config() for layer in again.layers] == [layer.get_config() for layer in model.layers]
    again.ensure_built()
    for a, b in zip(predictions(again, data), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_training_of_layers_is_exported(tmp_path: Path) -> None:
    """Plain ONNX Runtime makes a State and a step of it, from the exported files alone.

    One group stands for all: the program is the one that ``test_layers.test_export_and_one_step`` runs for each layer.
    """
    model, data = group(5, trained=True)
    for parameter in model.weights:
        parameter.value = np.full(parameter.shape, 0.1)
    model.compile("sgd", "mse", device="cpu")
    target = np.ones((1, 1), np.float32)
    model.ensure_built()
    model.ensure_targets(target)
    model.export(tmp_path, format="train-step")
    state = run(tmp_path / "init.onnx", {"seed": np.array(3, np.int64)})
    after = run(tmp_path / "train_step.onnx", {**state, **model.batch(data), "target": target})
    assert all(np.isfinite(a).all() for a in after.values())
    assert set(state) == {name.removeprefix("next/") for name in after if name.startswith("next/")}
    changed = {name for name, array in state.items() if not np.array_equal(after[f"next/{name}"], array)}
    assert changed >= {"step", *(name for name, p in model.named_parameters() if p.trainable and name.startswith("tail"))}


def run(path: Path, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # quick to begin
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, {i.name: feeds[i.name] for i in session.get_inputs()}), strict=True))
