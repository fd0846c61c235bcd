"""Seeing what a ConvNet learned: deconvnet, guided backpropagation, saliency, Grad-CAM, occlusion.

The deconvnet of Zeiler and Fergus (2013) leads one activation back to the pixels: un-pooling puts it where the maximum was,
rectifiers let only positive signals pass, and filters are transposed. Un-pooling and transposed filters are what the gradients of
max pooling and convolution do already, so a deconvnet is the gradient with another rule for Relu. Guided backpropagation
(Springenberg et al. 2014) is a third rule, saliency (Simonyan et al. 2013) the true one; Grad-CAM (Selvaraju et al. 2016) weighs
the last convolution's maps by their gradients; occlusion hides a part of the image and asks again.

Data and network: convnet.py's, trained here first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

import onnxdl as ox
from onnxdl import nn, op
from onnxdl.models import convnet
from onnxdl.models.convnet import SIZE, build, data

EPOCHS = 4

Rule = Callable[[ox.Tensor, ox.Tensor, ox.Tensor], ox.Tensor]


def deconvnet(g: ox.Tensor, y: ox.Tensor, x: ox.Tensor) -> ox.Tensor:
    """The backward signal itself is rectified, whatever went forward."""
    return op.Relu(g)


def guided(g: ox.Tensor, y: ox.Tensor, x: ox.Tensor) -> ox.Tensor:
    """Both: where the forward and the backward signal are positive."""
    return op.Relu(g) * op.Cast(x > 0, to="float32")


def up_to(model: ox.Model, layer: nn.Layer) -> ox.Model:
    """The first layers of a Sequential, with the weights that they share with it."""
    return ox.Sequential([ox.Input((1, SIZE, SIZE)), *model.layers[: model.layers.index(layer) + 1]])


def projections(features: ox.Model, images: np.ndarray, channel: int, rules: Mapping[str, Rule]) -> np.ndarray:
    """The strongest activation of a channel in each image, led back to the pixels."""
    x = ox.tensor(images)
    y = features(x)
    maps = y.numpy()[:, channel]
    seed = np.zeros(y.shape, np.float32)
    n, row, column = np.arange(len(images)), *np.unravel_index(maps.reshape(len(images), -1).argmax(1), maps.shape[1:])
    seed[n, channel, row, column] = maps[n, row, column]
    return ox.gradient(y, [x], [seed], rules=rules)[0].numpy()


def strongest(features: ox.Model, images: np.ndarray, channels: int, top: int) -> list[tuple[int, np.ndarray]]:
    """The channels with the strongest activations, and the images that excite each most."""
    peaks = features.predict(images, 256).max((2, 3))
    chosen = np.argsort(-peaks.max(0))[:channels]
    return [(int(c), np.argsort(-peaks[:, c])[:top]) for c in chosen]


def of_class(model: ox.Model, images: np.ndarray, labels: np.ndarray, rules: Mapping[str, Rule]) -> np.ndarray:
    """The gradient of the log-probability of each image's class, by the pixels."""
    x = ox.tensor(images)
    return ox.gradient(log_probability(model(x), labels), [x], rules=rules)[0].numpy()


def log_probability(y: ox.Tensor, labels: np.ndarray) -> ox.Tensor:
    """Of each image's class."""
    return op.Log(op.GatherElements(y, labels[:, None], axis=1))


def grad_cam(model: ox.Model, images: np.ndarray, labels: np.ndarray, layer: nn.Layer) -> np.ndarray:
    """relu(sum over channels of map * mean gradient), at the size of the map."""
    maps = ox.tensor(up_to(model, layer)(ox.tensor(images)).numpy())
    y: ox.Tensor = maps
    for after in model.layers[model.layers.index(layer) + 1 :]:
        y = after(y)
    (gradients,) = ox.gradient(log_probability(y, labels), [maps])
    return op.Relu(op.ReduceSum(maps * op.ReduceMean(gradients, [2, 3]), [1], keepdims=0)).numpy()


def occlusion(model: ox.Model, images: np.ndarray, labels: np.ndarray, size: int = 8, stride: int = 4) -> np.ndarray:
    """How much the probability of the class falls when a grey square hides a part."""
    places = range(0, SIZE - size + 1, stride)
    before = model.predict(images)[np.arange(len(images)), labels]
    fall = np.zeros((len(images), len(places), len(places)), np.float32)
    for i, row in enumerate(places):
        for j, column in enumerate(places):
            hidden = images.copy()
            hidden[:, :, row : row + size, column : column + size] = 0
            fall[:, i, j] = before - model.predict(hidden)[np.arange(len(images)), labels]
    return fall


def main(folder: Path, epochs: int) -> dict[str, float]:
    """Draws deconvnet.png (for each convolution: images and projections, one column a channel) and attributions.png."""
    (x, y), (x_test, y_test) = data()
    model = build()
    model.fit(x, y, convnet.BATCH_SIZE, epochs, verbose=0)
    model.save(folder / "model.onnx")
    convolutions = [layer for layer in model.layers if isinstance(layer, nn.Conv2D)]

    sheet, titles = [], []
    for k, layer in enumerate(convolutions, 1):
        features = up_to(model, layer)
        found = strongest(features, x_test, channels=10, top=2)
        titles += [f"conv {k}, {channel}" for channel, _ in found]
        pairs = [(x_test[top], projections(features, x_test[top], channel, {"Relu": deconvnet})) for channel, top in found]
        for i in range(2):
            sheet += [images[i] for images, _ in pairs]
            sheet += [back[i] for _, back in pairs]
        titles += [""] * 30
    ox.viz.save_images(sheet, folder / "deconvnet.png", 10, titles, size=0.8)

    probability = model.predict(x_test)
    right = probability.argmax(1) == y_test
    shown = np.array([np.flatnonzero(right & (y_test == k))[0] for k in np.unique(y_test[right])])
    images, labels = x_test[shown], y_test[shown]
    rows = {
        "image": images,
        "saliency": np.abs(of_class(model, images, labels, {})),
        "guided": of_class(model, images, labels, {"Relu": guided}),
        "deconvnet": of_class(model, images, labels, {"Relu": deconvnet}),
        "Grad-CAM": grad_cam(model, images, labels, convolutions[-1]),
        "occlusion": occlusion(model, images, labels),
    }
    titles = [convnet.SURFACES[k] for k in labels] + [name for name in list(rows)[1:] for _ in labels]
    ox.viz.save_images([image for row in rows.values() for image in row], folder / "attributions.png", len(labels), titles, size=0.9)
    return {"accuracy": float(right.mean())}


if __name__ == "__main__":
    print(main(Path(), EPOCHS))
