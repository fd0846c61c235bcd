"""Seeing what a ConvNet learned: deconvnet, guided backpropagation, saliency, Grad-CAM, occlusion.

The deconvnet of Zeiler and Fergus (2013) leads one activation back to the pixels: un-pooling puts it where the maximum was,
rectifiers let only positive signals pass, and filters are transposed. Un-pooling and transposed filters are what the gradients of
max pooling and convolution do already, so a deconvnet is the gradient with another rule for Relu, ``attribution.DECONVNET``.
Guided backpropagation (Springenberg et al. 2014) is a third rule, saliency (Simonyan et al. 2013) the true one; Grad-CAM
(Selvaraju et al. 2016) weighs the last convolution's maps by their gradients; occlusion hides a part of the image and asks
again. Each but the last is a Model, image in and map out, that exports as .onnx.

Data and network: convnet.py's, trained here first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import onnxdl as ox
from onnxdl import attribution, nn
from onnxdl.models import convnet
from onnxdl.models.convnet import build, data

EPOCHS = 4
CHANNELS, TOP = 10, 2


def draw_layers(model: ox.Model, layers: list[str], x: np.ndarray, folder: Path) -> None:
    """deconvnet.png: for each layer the images that excite ten of its channels most, and what in them does; one column a channel."""
    sheet, titles = [], []
    for k, layer in enumerate(layers, 1):
        deconvnet = attribution.deconvnet(model, layer)
        deconvnet.export(folder / f"deconvnet_{k}.onnx")
        found = attribution.strongest(model, layer, x, CHANNELS, TOP)
        projected = [deconvnet.predict([x[s.images], np.full(TOP, s.channel)], verbose=0) for s in found]
        titles += [f"conv {k}, {s.channel}" for s in found] + [""] * CHANNELS * (2 * TOP - 1)
        for i in range(TOP):
            sheet += [x[s.images[i]] for s in found] + [p[i] for p in projected]
    kinds = ["image", "what excites"] * TOP * len(layers)
    ox.viz.save_images(sheet, folder / "deconvnet.png", CHANNELS, titles, size=0.8, rows=kinds)


def draw_decisions(model: ox.Model, layer: str, images: np.ndarray, labels: np.ndarray, path: Path) -> None:
    """Five ways to ask which pixels made the decision, one row each; ``layer`` is the one that deconvnet and Grad-CAM look at."""
    strongest = np.full(len(labels), attribution.strongest(model, layer, images, 1, 1)[0].channel)
    rows = {
        "image": images,
        "saliency": np.abs(attribution.saliency(model).predict([images, labels])),
        "guided": attribution.guided(model).predict([images, labels]),
        "deconvnet": attribution.deconvnet(model, layer).predict([images, strongest]),
        "Grad-CAM": attribution.grad_cam(model, layer).predict([images, labels]),
        "occlusion": attribution.occlusion(model, images, labels),
    }
    sheet, titles = [image for row in rows.values() for image in row], [convnet.SURFACES[k] for k in labels]
    ox.viz.save_images(sheet, path, len(labels), titles, size=0.9, rows=list(rows))


def main(folder: Path, epochs: int) -> dict[str, float]:
    """Trains the network; draws deconvnet.png and, of an image of each class that it knows, attributions.png."""
    (x, y), (x_test, y_test) = data()
    model = build()
    model.fit(x, y, convnet.BATCH_SIZE, epochs, verbose=0)
    model.save(folder / "model.onnx")
    convolutions = [str(layer.name) for layer in model.layers if isinstance(layer, nn.Conv2D)]
    draw_layers(model, convolutions, x_test, folder)
    right = model.predict(x_test).argmax(1) == y_test
    shown = np.array([np.flatnonzero(right & (y_test == k))[0] for k in np.unique(y_test[right])])
    draw_decisions(model, convolutions[-1], x_test[shown], y_test[shown], folder / "attributions.png")
    return {"accuracy": float(right.mean())}


if __name__ == "__main__":
    print(main(Path(), EPOCHS))
