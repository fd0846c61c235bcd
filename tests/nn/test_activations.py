"""Activations and initializers by Keras's names: the same numbers, the same gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxdl.autodiff.gradient import gradient
from onnxdl.graph import op, random
from onnxdl.graph.tensor import tensor
from onnxdl.nn import activations, initializers
from tests.keras_backend import jax, keras

X = np.random.default_rng(0).uniform(-3, 3, (3, 4)).astype(np.float32)


@pytest.mark.parametrize("name", sorted(set(activations.NAMES) - {"sparsemax", "threshold"}))
def test_activations_are_those_of_keras(name: str) -> None:
    theirs = keras().activations.get(name)
    weights = np.cos(np.arange(X.size, dtype=np.float32)).reshape(X.shape)

    def total(x: Any) -> Any:
        y = theirs(x)
        return (y * weights[:, : y.shape[1]]).sum(), y

    (_, expected), slope = jax().jit(jax().value_and_grad(total, has_aux=True))(X)
    x = tensor(X)
    y = activations.get(name)(x)
    np.testing.assert_allclose(y.numpy(), np.asarray(expected), rtol=1e-5, atol=1e-6)
    (g,) = gradient(op.ReduceSum(y * weights[:, : y.shape[1]], keepdims=0), [x])  # type: ignore[misc]
    np.testing.assert_allclose(g.numpy(), np.asarray(slope), rtol=1e-4, atol=1e-5)


def test_sparsemax_is_the_nearest_point_of_the_simplex() -> None:
    """Keras 3.15's own is all zeros for some rows, so this asks for the definition."""
    y = activations.sparsemax(tensor(X)).numpy()
    np.testing.assert_allclose(y.sum(axis=1), 1.0, rtol=1e-6)
    assert (y >= 0).all()
    tau = (X - y)[y > 0]  # the same along each row where y > 0, and no smaller than X elsewhere
    rows = np.nonzero(y > 0)[0]
    for row in range(len(X)):
        assert np.ptp(tau[rows == row]) < 1e-6
        assert (X[row][y[row] == 0] <= tau[rows == row].max() + 1e-6).all()
    (g,) = gradient(op.ReduceSum(activations.sparsemax(x := tensor(X)) * X, keepdims=0), [x])
    support = y > 0
    expected = np.where(support, X - (X * support).sum(axis=1, keepdims=True) / support.sum(axis=1, keepdims=True), 0)
    np.testing.assert_allclose(g.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_threshold() -> None:
    expected = keras().activations.threshold(X, 0.5, -1.0)
    np.testing.assert_allclose(activations.threshold(tensor(X), 0.5, -1.0).numpy(), np.asarray(expected))


def test_all_activations_of_keras_are_here() -> None:
    theirs = {n for n in dir(keras().activations) if not n.startswith("_") and n not in ("get", "serialize", "deserialize")}
    assert theirs <= set(activations.NAMES)
    assert all(hasattr(activations, n) for n in theirs)


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize(("window", "scaling"), [("hann", "density"), ("hamming", "spectrum"), (None, None)])
def test_the_kernel_of_a_fourier_transform(side: str, window: str | None, scaling: str | None) -> None:
    expected = keras().initializers.STFT(side, window, scaling)((8, 1, 6), "float32")
    found = initializers.STFT(side, window, scaling)((8, 1, 6), "float32", random.make_key(0))
    np.testing.assert_allclose(found.numpy(), np.asarray(expected), atol=1e-5)


def test_all_initializers_of_keras_are_here() -> None:
    theirs = {n for n in dir(keras().initializers) if n[0].isupper() and n != "Initializer"}
    assert theirs <= set(dir(initializers))
    for name in theirs - {"STFT", "STFTInitializer"}:
        found = initializers.get(name)
        assert found((3, 3), "float32", random.make_key(tensor(np.int64(0)))).numpy().shape == (3, 3)
