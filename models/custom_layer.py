"""A layer of one's own: one kernel, two convolutions, the second with the kernel's spatial axes permuted, multiplied.

    y = (x * k) (x * k^T)

The layer is written as a Keras user writes it: ``build`` makes the weight, ``call`` computes. Its gradient is not written at
all: the chain rule passes both ways through the kernel and adds what arrives.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import onnxdl as ox
from onnxdl import nn, op, optim
from onnxdl.models.digits import data

EPOCHS = 15
BATCH_SIZE = 64


class MyLayer(nn.Layer):
    """(batch, channels, height, width) -> (batch, filters, height, width); the kernel is square."""

    def __init__(self, filters: int, kernel_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters, self.kernel_size = filters, kernel_size

    def build(self, input_shape: tuple[int, ...]) -> None:
        shape = (self.filters, input_shape[1], self.kernel_size, self.kernel_size)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer="glorot_uniform", trainable=True)

    def call(self, x: ox.Tensor) -> ox.Tensor:
        return convolve_twice(x, self.kernel)


def convolve_twice(x: ox.Tensor, kernel: ox.Tensor | nn.Parameter) -> ox.Tensor:
    """The layer's formula."""
    permuted = op.Transpose(kernel, perm=[0, 1, 3, 2])
    return op.Conv(x, kernel, auto_pad="SAME_UPPER") * op.Conv(x, permuted, auto_pad="SAME_UPPER")


def gradient_error() -> float:
    """The largest relative difference between the gradient and central differences, over all of a small x and kernel."""
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 2, 5, 5)), rng.normal(size=(3, 2, 3, 3))
    return ox.check_gradient(convolve_twice, x, kernel, dtype="float32", eps=0.1, atol=1e-5)


def build(classes: int = 10) -> ox.Model:
    """A digits classifier around two of them."""
    model = ox.Sequential(
        [
            ox.Input((1, 8, 8), name="image"),
            MyLayer(16, 3),
            nn.BatchNormalization(momentum=0.9),
            nn.MaxPooling2D(2),
            MyLayer(32, 3),
            nn.BatchNormalization(momentum=0.9),
            nn.Flatten(),
            nn.Dense(classes, activation="softmax"),
        ],
        name="custom_layer",
    )
    model.compile(optim.Adam(2e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


if __name__ == "__main__":
    print(f"gradient against central differences: {gradient_error():.1e}")
    (x, y), test = data()
    build().fit(x, y, BATCH_SIZE, EPOCHS, validation_data=test)
