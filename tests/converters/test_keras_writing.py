"""Keras files that we write: stock Keras opens them and computes the same, and so do we when we read them again."""

from __future__ import annotations

import json
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn, optim
from onnxdl.nn.structure import tensors_in
from tests.keras_backend import jax, keras
from tests.nn.cases import CASES, Case
from tests.nn.test_layers import arrays_for, mapped

REFUSED = {nn.Lambda, nn.Wrapper, nn.IntegerLookup}
"""What Keras cannot hold: Python code, a layer that computes nothing there; and what it runs with TensorFlow only."""
ONLY_LAST = (nn.SpatialDropout1D, nn.Cropping1D, nn.UpSampling1D)
"""What Keras has for channels_last alone."""
NOT_EQUAL = {nn.RandomCrop}
"""What does something else at inference there."""


def chosen() -> list[Case]:
    """One case of each class, and one more where its options change the weights."""
    found: dict[Any, Case] = {}
    for case in CASES:
        layer = case.make(nn)
        inner = getattr(layer, "forward_layer", None) or getattr(layer, "layer", None) or getattr(layer, "cell", None)
        form = getattr(layer, "data_format", None) if isinstance(layer, nn.Conv2D | nn.DepthwiseConv2D | nn.Conv2DTranspose) else None
        gated = getattr(layer, "use_gate", None)
        if type(layer) not in REFUSED and not (isinstance(layer, ONLY_LAST) and layer.data_format != "channels_last"):
            found.setdefault((type(layer), type(inner), form, gated), case)
    return list(found.values())


@cache
def all_layers() -> tuple[ox.Model, dict[str, np.ndarray], list[tuple[type, int]]]:
    """A model of all layers side by side, its inputs, and whose each output is."""
    given: dict[str, np.ndarray] = {}
    inputs: list[Any] = []
    outputs: list[Any] = []
    owners: list[tuple[type, int]] = []

    def placed(array: np.ndarray) -> Any:
        name = f"x{len(given)}"
        given[name] = array
        inputs.append(ox.Input(batch_shape=array.shape, dtype=str(array.dtype), name=name))
        return inputs[-1]

    for i, case in enumerate(chosen()):
        layer = case.make(nn)
        layer.name = f"layer_{i}"
        arguments = mapped(placed, arrays_for(list(case.inputs), np.random.default_rng(i)))
        result = tensors_in(layer(*arguments, **{k: mapped(placed, v) for k, v in case.keywords.items()}))
        outputs += result
        owners += [(type(layer), i)] * len(result)
    model = ox.Model(inputs, outputs, name="all")
    rng = np.random.default_rng(7)
    for name, p in model.named_parameters():
        if not isinstance(model.get_layer(name.split(".")[0]), nn.Normalization):
            p.value = abs(rng.normal(0.0, 0.5, p.shape)) + 0.5 if "variance" in name else rng.normal(0.0, 0.5, p.shape)
    return model, given, owners


def predicted(model: ox.Model, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    model.ensure_built()
    return list(dict(model.prediction().session(model.batch(given))).values())


@pytest.mark.filterwarnings("ignore")
def test_every_layer_goes_to_keras_and_comes_back(tmp_path: Path) -> None:
    model, given, owners = all_layers()
    expected = predicted(model, given)
    model.export(tmp_path / "all.keras", format="keras")
    ox.converters.convert(tmp_path / "all.keras", tmp_path / "all.h5")
    k = keras()
    theirs = k.models.load_model(tmp_path / "all.keras")
    found = jax().jit(lambda xs: theirs(xs, training=False))(list(given.values()))
    for (kind, i), a, b in zip(owners, expected, found, strict=True):
        if kind not in NOT_EQUAL:
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-4, err_msg=f"{kind.__name__}, layer_{i}")
    older = k.models.load_model(tmp_path / "all.h5")
    assert [type(a) for a in older.layers] == [type(a) for a in theirs.layers]
    for a, b in zip(older.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for suffix in ("keras", "h5"):
        for (kind, i), a, b in zip(owners, expected, predicted(ox.load(tmp_path / f"all.{suffix}"), given), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-6, err_msg=f"{kind.__name__}, layer_{i}")
