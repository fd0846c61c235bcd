"""Layers over space one after another, where the batch and the sizes of space are not known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn
from onnxdl.errors import ShapeError

CHANNELS = 2
Make = Callable[[str], nn.Layer]
LAYERS: dict[str, Make] = {
    "convolution": lambda f: nn.Conv2D(CHANNELS, 3, strides=2, padding="same", data_format=f),
    "transpose": lambda f: nn.Conv2DTranspose(CHANNELS, 3, strides=2, padding="same", data_format=f),
    "separable": lambda f: nn.SeparableConv2D(CHANNELS, 3, data_format=f),
    "depthwise": lambda f: nn.DepthwiseConv2D(3, padding="same", data_format=f),
    "max pool": lambda f: nn.MaxPooling2D(2, padding="same", data_format=f),
    "average pool": lambda f: nn.AveragePooling2D(2, data_format=f),
    "nearest": lambda f: nn.UpSampling2D(2, data_format=f),
    "bilinear": lambda f: nn.UpSampling2D(3, data_format=f, interpolation="bilinear"),
    "padding": lambda f: nn.ZeroPadding2D(((1, 2), (0, 3)), data_format=f),
    "cropping": lambda f: nn.Cropping2D(1, data_format=f),
    "norm": lambda f: nn.GroupNormalization(1, axis=1 if f == "channels_first" else -1),
    "resizing": lambda f: nn.Resizing(11, 12, data_format=f),
    "rotation": lambda f: nn.RandomRotation(0.1, data_format=f),
    "dropout": lambda f: nn.SpatialDropout2D(0.2, data_format=f),
}
FORMATS = ("channels_first", "channels_last")


def shape(data_format: str, space: tuple[int | None, ...]) -> tuple[int | None, ...]:
    return (CHANNELS, *space) if data_format == "channels_first" else (*space, CHANNELS)


def chained(names: tuple[str, ...], data_format: str, space: tuple[int | None, ...]) -> ox.Model:
    ox.set_seed(0)
    x = y = ox.Input(shape(data_format, space))
    for name in names:
        y = LAYERS[name](data_format)(y)
    return ox.Model(x, nn.Conv2D(CHANNELS, 1, data_format=data_format)(y))


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("first", LAYERS)
def test_any_layer_may_follow_any_other(first: str, data_format: str) -> None:
    for second in LAYERS:
        chained((first, second), data_format, (None, None))
        chained((first, second), data_format, (16, None))


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("names", [("nearest", "padding", "convolution"), ("transpose", "bilinear", "cropping"), ("resizing", "max pool")])
def test_unknown_sizes_give_the_numbers_of_known_ones(names: tuple[str, ...], data_format: str) -> None:
    x = np.random.default_rng(0).normal(size=(3, *shape(data_format, (9, 7)))).astype(np.float32)
    known, unknown = chained(names, data_format, (9, 7)), chained(names, data_format, (None, None))
    np.testing.assert_allclose(unknown.predict(x, verbose=0), known.predict(x, verbose=0), rtol=1e-5, atol=1e-5)
    unknown.compile("sgd", "mse", device="cpu")
    unknown.fit(x, known.predict(x, verbose=0) * 0, epochs=1, verbose=0)


def test_one_and_three_axes_of_space() -> None:
    x = ox.Input((2, None))
    y = nn.Conv1D(3, 2)(nn.ZeroPadding1D(1)(nn.UpSampling1D(2)(nn.Conv1DTranspose(2, 3, strides=2)(x))))
    assert y.shape[1] == 3
    x = ox.Input((2, None, None, None))
    y = nn.Conv3D(3, 2)(nn.ZeroPadding3D(1)(nn.UpSampling3D(2)(nn.Conv3DTranspose(2, 3, strides=2)(x))))
    assert y.shape[1] == 3


def test_what_needs_known_sizes_says_so() -> None:
    x = ox.Input((2, None, None))
    for layer in (nn.CenterCrop(4, 4), nn.RandomCrop(4, 4), nn.AdaptiveAveragePooling2D(3)):
        with pytest.raises(ShapeError, match="known"):
            layer(x)
