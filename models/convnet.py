"""The ConvNet of 2012, AlexNet: convolutions, rectifiers, max pooling, local response normalization, dropout (Krizhevsky et al.).

``alexnet`` builds the paper's network, 224x224 images and 60,965,224 parameters, two groups where it had two GPUs. What is
trained here is a small form of the same layers, which tells eight surfaces apart.

Data: photographs of scikit-image (most of them CC0 or public domain; its ``skimage.data`` names each source). Patches of 32x32
pixels, brightness and contrast evened out; those for training come from the left three quarters of each photograph, those held
out from the rest. ``--data FOLDER`` takes CIFAR's binary files, or images of yours in one folder a class.
"""

from __future__ import annotations

import numpy as np

import onnxdl as ox
from onnxdl import nn, op, optim

EPOCHS = 8
BATCH_SIZE = 32
SURFACES = ("brick", "grass", "gravel", "coins", "moon", "page", "cell", "clock")
SIZE = 32


def normalize(x: ox.Tensor) -> ox.Tensor:
    """Local response normalization with the paper's constants."""
    return op.LRN(x, size=5, alpha=5e-4, beta=0.75, bias=2.0)  # the standard divides alpha by size, the paper does not


def alexnet(classes: int = 1000) -> ox.Model:
    """The paper's network, (3, 224, 224) -> probabilities."""
    return ox.Sequential(
        [
            ox.Input((3, 224, 224), name="image"),
            nn.ZeroPadding2D(2),
            nn.Conv2D(96, 11, strides=4, activation="relu"),
            nn.Lambda(normalize),
            nn.MaxPooling2D(3, strides=2),
            nn.Conv2D(256, 5, padding="same", groups=2, activation="relu"),
            nn.Lambda(normalize),
            nn.MaxPooling2D(3, strides=2),
            nn.Conv2D(384, 3, padding="same", activation="relu"),
            nn.Conv2D(384, 3, padding="same", groups=2, activation="relu"),
            nn.Conv2D(256, 3, padding="same", groups=2, activation="relu"),
            nn.MaxPooling2D(3, strides=2),
            nn.Flatten(),
            nn.Dense(4096, activation="relu"),
            nn.Dropout(0.5),
            nn.Dense(4096, activation="relu"),
            nn.Dropout(0.5),
            nn.Dense(classes, activation="softmax"),
        ],
        name="alexnet",
    )


def build(shape: tuple[int, int, int] = (1, SIZE, SIZE), classes: int = len(SURFACES)) -> ox.Model:
    """The small form."""
    model = ox.Sequential(
        [
            ox.Input(shape, name="image"),
            nn.Conv2D(24, 5, padding="same", activation="relu", kernel_initializer="he_normal"),
            nn.Lambda(normalize),
            nn.MaxPooling2D(3, strides=2),
            nn.Conv2D(48, 5, padding="same", groups=2, activation="relu", kernel_initializer="he_normal"),
            nn.Lambda(normalize),
            nn.MaxPooling2D(3, strides=2),
            nn.Conv2D(48, 3, padding="same", activation="relu", kernel_initializer="he_normal"),
            nn.MaxPooling2D(3, strides=2),
            nn.Flatten(),
            nn.Dense(128, activation="relu"),
            nn.Dropout(0.5),
            nn.Dense(classes, activation="softmax"),
        ],
        name="convnet",
    )
    model.compile(optim.Adam(1e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def photograph(name: str) -> np.ndarray:
    """(height, width), grey."""
    image: np.ndarray = getattr(ox.data.require("skimage.data", extra="examples"), name)()
    return image.astype(np.float32)


def patches(image: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 1, SIZE, SIZE) from random places, each of mean 0 and standard deviation 1."""
    rows, columns = (rng.integers(0, length - SIZE + 1, n) for length in image.shape)
    return evened(np.stack([image[r : r + SIZE, c : c + SIZE] for r, c in zip(rows, columns, strict=True)])[:, None])


def evened(images: np.ndarray) -> np.ndarray:
    """Each image of mean 0 and standard deviation 1."""
    images = images - images.mean((1, 2, 3), keepdims=True)
    images /= images.std((1, 2, 3), keepdims=True) + 1e-3
    return images


def data(path: str | None = None) -> ox.data.Split:
    """400 patches of each surface to train with, 50 held out; or images of the user's, of the same size and in colour."""
    if path is not None:
        (x, y), (x_test, y_test) = ox.data.read_image_split(path, (SIZE, SIZE))
        return (evened(x), y), (evened(x_test), y_test)
    rng = np.random.default_rng(0)
    train, test = [], []
    for image in map(photograph, SURFACES):
        border = image.shape[1] * 3 // 4
        train.append(patches(image[:, :border], 400, rng))
        test.append(patches(image[:, border:], 50, rng))
    labels = np.arange(len(SURFACES))
    return (np.concatenate(train), np.repeat(labels, 400)), (np.concatenate(test), np.repeat(labels, 50))


if __name__ == "__main__":
    (x, y), test = data()
    build().fit(x, y, BATCH_SIZE, EPOCHS, validation_data=test)
