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


def main(folder: Path, epochs: int) -> dict[str, float]:
    """Draws deconvnet.png (for each convolution: images and projections, one column a channel) and attributions.png."""
    (x, y), (x_test, y_test) = data()
    model = build()
    model.fit(x, y, convnet.BATCH_SIZE, epochs, verbose=0)
    model.save(folder / "model.onnx")
    convolutions = [str(layer.name) for layer in model.layers if isinstance(layer, nn.Conv2D)]

    sheet, titles = [], []
    for k, layer in enumerate(convolutions, 1):
        deconvnet = attribution.deconvnet(model, layer)
        deconvnet.export(folder / f"deconvnet_{k}.onnx")
        found = attribution.strongest(model, layer, x_test, CHANNELS, TOP)
        projected = [deconvnet.predict([x_test[s.images], np.full(TOP, s.channel)], verbose=0) for s in found]
        titles += [f"conv {k}, {s.channel}" for s in found] + [""] * CHANNELS * (2 * TOP - 1)
        for i in range(TOP):
            sheet += [x_test[s.images[i]] for s in found] + [p[i] for p in projected]
    ox.viz.save_images(sheet, folder / "deconvnet.png", CHANNELS, titles, size=0.8)

    probability = model.predict(x_test)
    right = probability.argmax(1) == y_test
    shown = np.array([np.flatnonzero(right & (y_test == k))[0] for k in np.unique(y_test[right])])
    images, labels = x_test[shown], y_test[shown]
    strongest = np.full(len(shown), attribution.strongest(model, convolutions[-1], images, 1, 1)[0].channel)
    rows = {
        "image": images,
        "saliency": np.abs(attribution.saliency(model).predict([images, labels])),
        "guided": attribution.guided(model).predict([images, labels]),
        "deconvnet": attribution.deconvnet(model, convolutions[-1]).predict([images, strongest]),
        "Grad-CAM": attribution.grad_cam(model, convolutions[-1]).predict([images, labels]),
        "occlusion": attribution.occlusion(model, images, labels),
    }
    titles = [convnet.SURFACES[k] for k in labels] + [name for name in list(rows)[1:] for _ in labels]
    ox.viz.save_images([image for row in rows.values() for image in row], folder / "attributions.png", len(labels), titles, size=0.9)
    return {"accuracy": float(right.mean())}


if __name__ == "__main__":
    print(main(Path(), EPOCHS))
