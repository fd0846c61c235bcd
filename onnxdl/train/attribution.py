"""What a trained network looks at: each method is a Model itself, image in, map out, which exports as .onnx.

Deconvnet, guided backpropagation and saliency are the gradient pass with another rule, or its own, for the rectifiers.
Un-pooling with switches and transposed filters are what the gradients of max pooling and convolution do already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from onnxdl.autodiff.gradient import gradient
from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.imported import Imported
from onnxdl.nn.layer import Layer
from onnxdl.nn.symbolic import Input
from onnxdl.train import finetune
from onnxdl.train.composition import placeholder
from onnxdl.train.model import Model

__all__ = ["DECONVNET", "GUIDED", "deconvnet", "grad_cam", "guided", "layers", "occlusion", "saliency", "strongest", "taps"]

Rules = Mapping[str, Callable[..., Any]]


def _rectified(g: Tensor, y: Tensor, x: Tensor, *bounds: Tensor | None) -> Tensor:
    """The signal that goes back is rectified itself, whatever went forward."""
    return op.Relu(g)


def _guided_relu(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Both: where the signals forward and backward are positive."""
    return op.Relu(g) * op.Cast(x > 0, to=g.dtype)


def _guided_clip(g: Tensor, y: Tensor, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """As ``_guided_relu``, where a rectifier is cut above as well."""
    return op.Relu(g) * op.Cast(op.Equal(x, y), to=g.dtype) * op.Cast(y > 0, to=g.dtype)


DECONVNET: Rules = {"Relu": _rectified, "Clip": _rectified}
"""Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2013."""

GUIDED: Rules = {"Relu": _guided_relu, "Clip": _guided_clip}
"""Springenberg et al., "Striving for Simplicity: The All Convolutional Net", 2014."""


def deconvnet(model: Model, layer: str) -> Model:
    """Leads a channel's strongest activation in each image back to the pixels: ``(image, channel) -> image``.

    Args:
        model: any convolutional network of one input, of layers or from a file.
        layer: a layer's name, or in a model from an .onnx file a tensor's; ``layers(model)`` lists them.
    """
    return _wrapped(model, _Projection(taps(model, layer), DECONVNET, _channels_last(model, layer)), "channel")


def guided(model: Model, layer: str | None = None) -> Model:
    """Guided backpropagation, of a layer's channel as in ``deconvnet``, or without a layer of a class: ``(image, label) -> image``."""
    if layer is None:
        return _wrapped(model, _ClassGradient(model, GUIDED), "label")
    return _wrapped(model, _Projection(taps(model, layer), GUIDED, _channels_last(model, layer)), "channel")


def saliency(model: Model) -> Model:
    """The gradient of a class's score by the pixels: ``(image, label) -> image``.

    A network that ends in a softmax is judged by the logarithm of its probabilities. Source: Simonyan et al., "Deep Inside
    Convolutional Networks", 2013.
    """
    return _wrapped(model, _ClassGradient(model, {}), "label")


def grad_cam(model: Model, layer: str) -> Model:
    """relu(sum_k a_k A_k), a_k the mean of d score / d A_k over the places of map A_k, at the image's size: ``(image, label) -> map``.

    Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2016.
    """
    return _wrapped(model, _GradCam(taps(model, layer), _channels_last(model, layer)), "label")


def occlusion(model: Model, images: np.ndarray, labels: np.ndarray, size: int = 8, stride: int = 4, fill: float = 0.0) -> np.ndarray:
    """How much the score of each image's class falls when a square is hidden; one number for each place of the square.

    Args:
        model: the network; the score is its output for the class.
        images: (n, channels, height, width), or with the channels last.
        labels: the class of each.
        size: the square's side, in pixels.
        stride: pixels between two squares.
        fill: the value that hides.

    Returns:
        (n, rows, columns). Source: Zeiler and Fergus 2013.
    """
    height, width = (2, 3) if _image_channels_first(model) else (1, 2)
    rows, columns = (range(0, images.shape[a] - size + 1, stride) for a in (height, width))
    n = np.arange(len(images))
    before = model.predict(images, verbose=0)[n, labels]
    fall = np.zeros((len(images), len(rows), len(columns)), np.float32)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            hidden = images.copy()
            window = [slice(None)] * 4
            window[height], window[width] = slice(row, row + size), slice(column, column + size)
            hidden[tuple(window)] = fill
            fall[:, i, j] = before - model.predict(hidden, verbose=0)[n, labels]
    return fall


class Strongest(NamedTuple):
    """A channel, and the numbers of the images that excite it most, the strongest first."""

    channel: int
    images: np.ndarray


def strongest(model: Model, layer: str, images: np.ndarray, channels: int, top: int, batch_size: int = 128) -> list[Strongest]:
    """The channels of a layer with the strongest activations, and the images that excite each most."""
    maps = taps(model, layer).predict(images, batch_size, verbose=0)[0]
    if _channels_last(model, layer):
        maps = np.moveaxis(maps, -1, 1)
    peaks = maps.reshape(*maps.shape[:2], -1).max(2)
    return [Strongest(int(c), np.argsort(-peaks[:, c], kind="stable")[:top]) for c in np.argsort(-peaks.max(0), kind="stable")[:channels]]


def layers(model: Model) -> list[str]:
    """The names of what can be looked at: maps with channels and places."""
    if _imported(model) is not None:
        shapes = {v.name: len(v.shape) for n in _imported(model).present().graph for v in n.outputs if v.name and v.shape is not None}  # type: ignore[union-attr]
        return [name for name in finetune.tensors(model) if shapes[name] == 4]
    return [str(layer.name) for layer in model.layers if layer.output.ndim == 4 and layer.output is not model.input]


def taps(model: Model, layer: str) -> Model:
    """A model of two outputs: a layer's, and the model's own (its first, if it has several)."""
    if _imported(model) is not None:
        return finetune.cut(model, layer, model.output_names[0])
    model.ensure_built()
    output = model.output[0] if isinstance(model.output, list) else model.output
    return Model(model.input, [model.get_layer(layer).output, output])


class _Projection(Layer):
    """Strongest activation of a channel, back to the pixels."""

    def __init__(self, features: Model, rules: Rules, channels_last: bool) -> None:
        super().__init__()
        self.features, self.rules, self.channels_last = features, rules, channels_last

    def call(self, image: Tensor, channel: Tensor) -> Tensor:
        maps = self.features(image)[0]
        y = _to_last(maps, 1) if not self.channels_last else maps
        depth = int(y.shape[-1])  # type: ignore[arg-type]
        chosen = op.OneHot(channel, depth, np.array([0, 1], np.float32))  # (n, channels)
        flat = op.Reshape(y, [0, -1, depth])
        signal = op.ReduceSum(flat * op.Unsqueeze(chosen, [1]), [2], keepdims=0)  # (n, places)
        places = op.Shape(signal, start=1, end=2)
        spot = op.OneHot(op.ArgMax(signal, axis=1, keepdims=0), places, np.array([0, 1], np.float32)) * signal
        seed = op.Reshape(op.Unsqueeze(spot, [2]) * op.Unsqueeze(chosen, [1]), op.Shape(y))
        return gradient(y, [image], [seed], rules=self.rules)[0]


class _ClassGradient(Layer):
    """The gradient of a class's score by the pixels, under the rules of a method."""

    def __init__(self, model: Model, rules: Rules) -> None:
        super().__init__()
        self.model, self.rules = model, rules

    def call(self, image: Tensor, label: Tensor) -> Tensor:
        return gradient(_score(self.model(image), label), [image], rules=self.rules)[0]


class _GradCam(Layer):
    """Maps weighed by the mean gradient of a class's score."""

    def __init__(self, features: Model, channels_last: bool) -> None:
        super().__init__()
        self.features, self.channels_last = features, channels_last

    def call(self, image: Tensor, label: Tensor) -> Tensor:
        maps, y = self.features(image)
        (slopes,) = gradient(_score(y, label), [maps])
        channel, places = (3, [1, 2]) if self.channels_last else (1, [2, 3])
        weighed = op.Relu(op.ReduceSum(maps * op.ReduceMean(slopes, places), [channel], keepdims=1))
        small = op.Transpose(weighed, perm=[0, 3, 1, 2]) if self.channels_last else weighed
        start = 1 if self.channels_last else 2
        size = op.Concat([1, 1], op.Shape(image, start=start, end=start + 2), axis=0)
        whole = op.Concat(op.Shape(image, end=1), op.Slice(size, [1], [4]), axis=0)
        return op.Squeeze(op.Resize(small, None, None, whole, mode="linear"), [1])


def _score(y: Tensor | list[Tensor], label: Tensor) -> Tensor:
    """What the network says for a class; the logarithm of it where it says probabilities."""
    scores = y[0] if isinstance(y, list) else y
    producer = scores.value.producer()
    while producer is not None and producer.op_type == "Identity":
        producer = producer.inputs[0].producer()  # type: ignore[union-attr]
    said = op.GatherElements(scores, op.Unsqueeze(label, [1]), axis=1)
    return op.Log(said) if producer is not None and producer.op_type == "Softmax" else said


def _to_last(x: Tensor, axis: int) -> Tensor:
    return op.Transpose(x, perm=[*(i for i in range(x.ndim) if i != axis), axis])


def _wrapped(model: Model, method: Layer, choice: str) -> Model:
    if len(model.input_specs) != 1 or len(model.input_specs[0].shape) != 4:
        raise GraphError("only networks of one input, a batch of images, can be looked into so")
    spec = model.input_specs[0]
    image, which = placeholder(spec.name, spec.dtype, spec.shape), Input((), dtype="int64", name=choice)
    return Model([image, which], method(image, which), name=type(method).__name__.lstrip("_").lower())


def _imported(model: Model) -> Imported | None:
    return next((layer for layer in model.layers if isinstance(layer, Imported)), None)


def _channels_last(model: Model, layer: str) -> bool:
    return _imported(model) is None and getattr(model.get_layer(layer), "data_format", None) == "channels_last"


def _image_channels_first(model: Model) -> bool:
    shape = model.input_specs[0].shape
    return not (shape[-1] in (1, 3, 4) and shape[1] not in (1, 3, 4))
