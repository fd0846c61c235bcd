"""A multilayer perceptron: dense layers with batch normalization and dropout (Ioffe and Szegedy 2015; Srivastava et al. 2014).

Data: the 1,797 handwritten digits that scikit-learn ships, as rows of 64 pixels. ``--data`` takes what digits.py takes, or a .csv
whose last column is the class.
"""

from __future__ import annotations

import numpy as np

import onnxdl as ox
from onnxdl import nn, optim
from onnxdl.models import digits

EPOCHS = 40
BATCH_SIZE = 64


def build(shape: tuple[int] = (64,), classes: int = 10) -> ox.Model:
    """Two hidden layers."""
    model = ox.Sequential([ox.Input(shape, name="pixels")], name="mlp")
    for units in (256, 128):
        model.add(nn.Dense(units, use_bias=False))
        model.add(nn.BatchNormalization(momentum=0.9))
        model.add(nn.Activation("relu"))
        model.add(nn.Dropout(0.3))
    model.add(nn.Dense(classes, activation="softmax"))
    model.compile(optim.Adam(1e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def data(path: str | None = None) -> ox.data.Split:
    """Rows of pixels in [0, 1] with their digits."""
    if path is not None and path.endswith(".csv"):
        return ox.data.hold_out(*ox.data.read_data(path))
    (x, y), (x_test, y_test) = digits.data(path)
    return (_rows(x), y), (_rows(x_test), y_test)


def _rows(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1)


if __name__ == "__main__":
    (x, y), test = data()
    build().fit(x, y, BATCH_SIZE, EPOCHS, validation_data=test)
