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
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.structure import tensors_in
from tests.nn.cases import CASES, Case, Ints
from tests.nn.test_layers import arrays_for, arrays_in, mapped

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
