"""Residual nets: each block learns what to add to its input (He et al. 2015).

``resnet`` builds the paper's ImageNet models, ``resnet_cifar`` its smaller ones, 6n + 2 layers deep. The paper's point is then
made again on small data: without skips, 56 layers fit the digits far worse than 20 do; with skips, better. The nets have an
eighth of the paper's filters: on digits this small, wider ones of 20 layers leave deeper ones nothing to win.

Data: the 1,797 handwritten digits that scikit-learn ships.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

import onnxdl as ox
from onnxdl import nn, op, optim
from onnxdl.models.digits import data

EPOCHS = 30
BATCH_SIZE = 64
DIGITS = 1438
SEEDS = (0, 1, 2)
DEPTHS = (20, 56)
IMAGENET = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # blocks a stage, by depth


def convolution(x: ox.Tensor, filters: int, size: int, strides: int = 1, activation: str | None = "relu") -> ox.Tensor:
    """Convolution, batch normalization, activation."""
    if size > 1 and strides > 1:  # "same" would pad one side alone
        x = nn.ZeroPadding2D(size // 2)(x)
    padding = "same" if strides == 1 else "valid"
    x = nn.Conv2D(filters, size, strides, padding, use_bias=False, kernel_initializer="he_normal")(x)
    y: ox.Tensor = nn.Activation(activation)(nn.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))
    return y


def block(x: ox.Tensor, filters: int, strides: int, bottleneck: bool) -> ox.Tensor:
    """Two 3x3 convolutions, or 1x1, 3x3 and 1x1, added to the input; a 1x1 convolution fits the input where shapes differ."""
    if bottleneck:
        y = convolution(convolution(x, filters, 1), filters, 3, strides)
        y = convolution(y, 4 * filters, 1, activation=None)
    else:
        y = convolution(convolution(x, filters, 3, strides), filters, 3, activation=None)
    if x.shape != y.shape:
        x = convolution(x, 4 * filters if bottleneck else filters, 1, strides, activation=None)
    out: ox.Tensor = nn.Activation("relu")(x + y)
    return out


def resnet(depth: int, classes: int = 1000) -> ox.Model:
    """ResNet-18, 34, 50, 101 or 152: (3, 224, 224) -> probabilities."""
    image = ox.Input((3, 224, 224), name="image")
    x = nn.MaxPooling2D(3, strides=2, padding="same")(convolution(image, 64, 7, 2))
    for stage, blocks in enumerate(IMAGENET[depth]):
        for k in range(blocks):
            x = block(x, 64 * 2**stage, 2 if stage and not k else 1, bottleneck=depth >= 50)
    probabilities = nn.Dense(classes, activation="softmax")(nn.GlobalAveragePooling2D()(x))
    return ox.Model(image, probabilities, name=f"resnet{depth}")


def resnet_cifar(
    depth: int, image: tuple[int, int, int] = (3, 32, 32), classes: int = 10, skips: bool = True, filters: int = 16
) -> ox.Model:
    """ResNet-20, 32, 44, 56 and so on: three stages, each of twice the filters; skips are free of weights (the paper's option A)."""
    pixels = ox.Input(image, name="image")
    x = convolution(pixels, filters, 3)
    for stage, n in enumerate((filters, 2 * filters, 4 * filters)):
        for k in range((depth - 2) // 6):
            strides = 2 if stage and not k else 1
            y = convolution(convolution(x, n, 3, strides), n, 3, activation=None)
            if skips and strides > 1:
                x = op.Pad(x[:, :, ::2, ::2], np.array([0, n // 4, 0, 0, 0, n // 4, 0, 0]))
            x = nn.Activation("relu")(x + y if skips else y)
    probabilities = nn.Dense(classes, activation="softmax")(nn.GlobalAveragePooling2D()(x))
    return ox.Model(pixels, probabilities, name=f"resnet{depth}" if skips else f"plain{depth}")


def build(depth: int = 20, skips: bool = True, epochs: int = EPOCHS) -> ox.Model:
    """For digits of 8x8 pixels, with an eighth of the paper's filters."""
    model = resnet_cifar(depth, (1, 8, 8), skips=skips, filters=2)
    steps = epochs * -(-DIGITS // BATCH_SIZE)
    rate = optim.schedules.CosineDecay(0.0, steps, warmup_target=0.1, warmup_steps=steps / 10)
    model.compile(optim.SGD(rate, momentum=0.9), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def draw(losses: dict[str, list[list[float]]], path: Path) -> None:
    """Training losses by epoch: the mean of the seeds, and their range."""
    figure = ox.data.require("matplotlib.figure", extra="examples").Figure(figsize=(6, 3.6), layout="constrained")
    panel = figure.subplots()
    for name, curves in losses.items():
        epochs = range(1, len(curves[0]) + 1)
        colour, style = "C3" if name.endswith("56") else "C0", "--" if name.startswith("plain") else "-"
        panel.plot(epochs, np.mean(curves, axis=0), style, color=colour, label=name)
        panel.fill_between(epochs, np.min(curves, axis=0), np.max(curves, axis=0), color=colour, alpha=0.15, linewidth=0)
    panel.set(xlabel="epoch", ylabel="training loss", yscale="log")
    panel.legend(loc="lower left")
    figure.savefig(path, dpi=100)


def main(folder: Path, epochs: int) -> dict[str, float]:
    """Trains two depths with skips and without, each from several seeds; draws their training losses into resnet.png."""
    (x, y), test = data()
    losses: dict[str, list[list[float]]] = {}
    accuracies: dict[str, list[float]] = {}
    for skips, depth, seed in product((False, True), DEPTHS, SEEDS):
        ox.set_seed(seed)
        model = build(depth, skips, epochs)
        history = model.fit(x, y, BATCH_SIZE, epochs, validation_data=test, verbose=0).history
        name, accuracy = str(model.name), history["val_accuracy"][-1]
        losses.setdefault(name, []).append(history["loss"])
        accuracies.setdefault(name, []).append(accuracy)
        print(f"{name}, seed {seed}: training loss {history['loss'][-1]:.4f}, {accuracy:.1%} of held-out digits")
    model.save(folder / "model.onnx")
    draw(losses, folder / "resnet.png")
    means = {name: float(np.mean(several)) for name, several in accuracies.items()}
    return {**means, **{f"{name}, training loss": float(np.mean(curves, axis=0)[-1]) for name, curves in losses.items()}}


if __name__ == "__main__":
    print(main(Path(), EPOCHS))
