"""Handwritten digits: a small ConvNet with batch normalization and dropout.

Data: the 1,797 digits of 8x8 pixels that scikit-learn ships (UCI, CC BY 4.0); a fifth of them is held out.
"""

from __future__ import annotations

import numpy as np

import onnxdl as ox
from onnxdl import nn, optim

EPOCHS = 30
BATCH_SIZE = 64


def build() -> ox.Model:
    """Two blocks of convolutions, then a classifier."""
    model = ox.Sequential(
        [
            ox.Input((1, 8, 8), name="image"),
            nn.Conv2D(32, 3, padding="same", use_bias=False),
            nn.BatchNormalization(momentum=0.9),
            nn.Activation("relu"),
            nn.Conv2D(32, 3, padding="same", activation="relu"),
            nn.MaxPooling2D(2),
            nn.Dropout(0.25),
            nn.Conv2D(64, 3, padding="same", activation="relu"),
            nn.MaxPooling2D(2),
            nn.Flatten(),
            nn.Dense(128, activation="relu"),
            nn.Dropout(0.5),
            nn.Dense(10, activation="softmax"),
        ],
        name="digits",
    )
    model.compile(optim.Adam(1e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def data(path: str | None = None) -> ox.data.Split:
    """Images as (n, 1, 8, 8) in [0, 1] with their digits; ``path`` may name an .npz with x and y of the same form."""
    if path is None:
        digits = ox.data.require("sklearn.datasets", extra="examples").load_digits()
        x, y = digits.images[:, None].astype(np.float32) / 16, digits.target.astype(np.int64)
    else:
        x, y = ox.data.read_data(path)
    return ox.data.hold_out(x, y, fraction=0.2, seed=0)


if __name__ == "__main__":
    (x, y), test = data()
    build().fit(x, y, BATCH_SIZE, EPOCHS, validation_data=test)
