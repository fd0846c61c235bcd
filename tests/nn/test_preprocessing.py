"""Preprocessing layers: what they learn from data, and what the random ones do, worked out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from onnxdl import nn
from onnxdl.graph.tensor import tensor
from tests.keras_backend import keras

IMAGES = np.random.default_rng(0).uniform(0, 1, (3, 2, 5, 5)).astype(np.float32)


def trained(layer: nn.Layer, x: np.ndarray = IMAGES) -> np.ndarray:
    return layer(tensor(x), training=True).numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize("axis", [-1, None, (1, 2)])
def test_normalization_adapts(axis: int | tuple[int, ...] | None) -> None:
    x = np.random.default_rng(1).normal(3, 2, (6, 4, 3)).astype(np.float32)
    theirs = keras().layers.Normalization(axis=axis)
    theirs.adapt(x)
    for data in (x, [x[:2], x[2:]]):
        layer = nn.Normalization(axis=axis)
        layer.adapt(data)
        np.testing.assert_allclose(layer(tensor(x)).numpy(), np.asarray(theirs(x)), rtol=1e-4, atol=1e-5)
    back = nn.Normalization(axis=axis, invert=True)
    back.adapt(x)
    np.testing.assert_allclose(back(layer(tensor(x))).numpy(), x, rtol=1e-4, atol=1e-4)


def test_discretization_adapts_to_quantiles() -> None:
    x = np.arange(100, dtype=np.float32)
    layer = nn.Discretization(num_bins=4)
    layer.adapt(x)
    np.testing.assert_array_equal(np.bincount(layer(tensor(x)).numpy()), [25, 25, 25, 25])


def test_integer_lookup() -> None:
    layer = nn.IntegerLookup(vocabulary=[12, 36, 11, 42], mask_token=0, num_oov_indices=2)
    x = np.array([[12, 42, 0], [36, 13, 14]])
    np.testing.assert_array_equal(layer(tensor(x)).numpy(), [[3, 6, 0], [4, 2, 1]])
    again = nn.IntegerLookup(vocabulary=[12, 36, 11, 42], mask_token=0, invert=True)
    np.testing.assert_array_equal(again(tensor(np.array([0, 1, 2, 5]))).numpy(), [0, -1, 12, 42])
    learned = nn.IntegerLookup(max_tokens=4)
    learned.adapt(np.array([5, 5, 5, 7, 7, 3, 3, 9]))
    assert learned.get_vocabulary() == [-1, 5, 7, 3]
    assert nn.IntegerLookup.from_config(learned.get_config()).get_vocabulary() == [-1, 5, 7, 3]
    strict = nn.IntegerLookup(vocabulary=[2], num_oov_indices=0, output_mode="int")
    np.testing.assert_array_equal(strict(tensor(np.array([1, 2, 3]))).numpy(), [-1, 0, -1])


def test_lookup_in_a_large_vocabulary() -> None:
    rng = np.random.default_rng(0)
    vocabulary = rng.permutation(10_000)[:1237]
    x = rng.integers(0, 10_000, 500)
    place = {int(v): i + 1 for i, v in enumerate(vocabulary)}
    expected = [place.get(int(v), 0) for v in x]
    np.testing.assert_array_equal(nn.IntegerLookup(vocabulary=vocabulary)(tensor(x)).numpy(), expected)


def test_category_counts_with_weights() -> None:
    x, weights = np.array([[0, 1, 1]]), np.array([[0.5, 2.0, 3.0]], np.float32)
    found = nn.CategoryEncoding(3, output_mode="count")(tensor(x), count_weights=tensor(weights))
    np.testing.assert_allclose(found.numpy(), [[0.5, 5.0, 0.0]])


def test_rotation_by_a_quarter_turns_counter_clockwise() -> None:
    np.testing.assert_allclose(trained(nn.RandomRotation((0.25, 0.25))), np.rot90(IMAGES, axes=(2, 3)), atol=1e-5)


@pytest.mark.parametrize(("mode", "fill"), [("constant", 0.3), ("nearest", None), ("reflect", None)])
def test_translation_fills_what_comes_in(mode: str, fill: float | None) -> None:
    found = trained(nn.RandomTranslation((0.2, 0.2), (0.4, 0.4), fill_mode=mode, fill_value=fill or 0.0))
    options = {"constant": {"constant_values": fill}, "nearest": {}, "reflect": {}}[mode]
    numpy_mode = {"constant": "constant", "nearest": "edge", "reflect": "symmetric"}[mode]
    padded = np.pad(IMAGES, [(0, 0), (0, 0), (1, 0), (2, 0)], mode=numpy_mode, **options)  # type: ignore[call-overload]
    np.testing.assert_allclose(found, padded[:, :, :5, :5], atol=1e-5)


def test_zoom_keeps_the_middle() -> None:
    found = trained(nn.RandomZoom((-0.5, -0.5), interpolation="nearest"))
    np.testing.assert_allclose(found[:, :, 2, 2], IMAGES[:, :, 2, 2])
    np.testing.assert_allclose(found[:, :, 0, 0], IMAGES[:, :, 1, 1])


def test_flips_crops_and_colours() -> None:
    many = np.repeat(IMAGES[:1], 64, axis=0)
    flipped = trained(nn.RandomFlip("horizontal"), many)
    mirrored = [np.array_equal(a, many[0, :, :, ::-1]) for a in flipped]
    assert all(m or np.array_equal(a, many[0]) for m, a in zip(mirrored, flipped, strict=True))
    assert 16 < sum(mirrored) < 48
    part = trained(nn.RandomCrop(3, 2))
    assert any(np.array_equal(part, IMAGES[:, :, i : i + 3, j : j + 2]) for i in range(3) for j in range(4))
    np.testing.assert_allclose(trained(nn.RandomBrightness((0.2, 0.2), (0, 1))), np.clip(IMAGES + 0.2, 0, 1), rtol=1e-5)
    mean = IMAGES.mean(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(trained(nn.RandomContrast((0.0, 1e-9), (0, 1))), IMAGES, rtol=1e-5)
    found = trained(nn.RandomContrast((0.4, -0.4), (-9, 9)))
    np.testing.assert_allclose(found, (IMAGES - mean) * 0.6 + mean, rtol=1e-4, atol=1e-6)


def test_inference_leaves_images_alone() -> None:
    layers = [
        nn.RandomRotation(0.2),
        nn.RandomZoom(0.2),
        nn.RandomTranslation(0.2, 0.2),
        nn.RandomFlip(),
        nn.RandomBrightness(0.5),
        nn.RandomContrast(0.5),
    ]
    for layer in layers:
        np.testing.assert_array_equal(layer(tensor(IMAGES)).numpy(), IMAGES)
