"""VGG16: sixteen layers with weights, all convolutions 3x3 (Simonyan and Zisserman 2014).

``vgg16`` builds the paper's network, configuration D: 224x224 images, 138,357,544 parameters, layers named as in Keras. What is
trained here is the same table with narrower layers, and batch normalization so that it trains from scratch, on convnet.py's
patches of photographs.
"""

from __future__ import annotations

import onnxdl as ox
from onnxdl import nn, optim
from onnxdl.models.convnet import SIZE, SURFACES, data

EPOCHS = 6
BATCH_SIZE = 32
BLOCKS = ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8))  # convolutions, and their filters in units of the first block's


def vgg16(
    image: tuple[int, int, int] = (3, 224, 224),
    classes: int = 1000,
    filters: int = 64,
    units: int = 4096,
    normalized: bool = False,
    data_format: str = "channels_first",
) -> ox.Model:
    """Five blocks, each ended by pooling, then three dense layers.

    Args:
        image: channels, height, width; with ``channels_last``, height, width, channels.
        classes: the number of outputs.
        filters: of the first block.
        units: of the two hidden dense layers.
        normalized: whether batch normalization follows each convolution, which the paper does not have.
        data_format: ``channels_first``, as PyTorch's weights want it, or ``channels_last``, as Keras's do.
    """
    model = ox.Sequential([ox.Input(image, name="image")], name="vgg16")
    for b, (depth, factor) in enumerate(BLOCKS, 1):
        for k in range(1, depth + 1):
            relu = None if normalized else "relu"
            name = f"block{b}_conv{k}"
            model.add(nn.Conv2D(filters * factor, 3, padding="same", data_format=data_format, activation=relu, name=name))
            if normalized:
                axis = 1 if data_format == "channels_first" else -1
                model.add(nn.BatchNormalization(axis, momentum=0.9, name=f"block{b}_norm{k}"))
                model.add(nn.Activation("relu", name=f"block{b}_relu{k}"))
        model.add(nn.MaxPooling2D(2, data_format=data_format, name=f"block{b}_pool"))
    model.add(nn.Flatten(name="flatten"))
    for name in ("fc1", "fc2"):
        model.add(nn.Dense(units, activation="relu", name=name))
        model.add(nn.Dropout(0.5, name=f"{name}_dropout"))
    model.add(nn.Dense(classes, activation="softmax", name="predictions"))
    return model


def build(shape: tuple[int, int, int] = (1, SIZE, SIZE), classes: int = len(SURFACES)) -> ox.Model:
    """The narrow form."""
    model = vgg16(shape, classes, filters=12, units=128, normalized=True)
    model.compile(optim.Adam(3e-4), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


if __name__ == "__main__":
    (x, y), test = data()
    build().fit(x, y, BATCH_SIZE, EPOCHS, validation_data=test)
