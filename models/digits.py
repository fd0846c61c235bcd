"""Handwritten digits: a small ConvNet with batch normalization and dropout.

Data: the 1,797 digits of 8x8 pixels that scikit-learn ships (UCI, CC BY 4.0); a fifth of them is held out. ``--data FOLDER``
takes the files of MNIST, or images of yours in one folder a class, made as small.
"""

from __future__ import annotations

import numpy as np

import onnxdl as ox
from onnxdl import nn, optim

EPOCHS = 30
BATCH_SIZE = 64


def build(classes: int = 10) -> ox.Model:
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
            nn.Dense(classes, activation="softmax"),
        ],
        name="digits",
    )
    model.compile(optim.Adam(1e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def data(path: str | None = None) -> ox.data.Split:
    """Images as (n, 1, 8, 8) in [0, 1] with their digits; ``path`` may name a folder with MNIST's files, or one of images."""
    if path is not None:
        return ox.data.read_image_split(path, (8, 8), channels=1)
    digits = ox.data.require("sklearn.datasets", extra="examples").load_digits()
    return ox.data.hold_out(digits.images[:, None].astype(np.float32) / 16, digits.target.astype(np.int64))


if __name__ == "__main__":
    (x, y), test = data()
    build().fit(x, y, BATCH_SIZE, EPOCHS, validation_data=test)
