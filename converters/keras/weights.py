"""Weights from a Keras file into a Model, by the three layouts: paths of Keras 3, those of Keras 2.12 to 2.15, and layers' names.

Paths name a layer by its class and its place, ``layers/conv2d_1/vars/0``; an .h5 model names it by its own name, and lists
the weights in the order of ``trainable_weights + non_trainable_weights``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.converters.keras.archive import Archive
from onnxdl.converters.keras.layers import OLD_LIST, flat_weights, from_keras, is_layer_of_keras, own_weights, places
from onnxdl.converters.keras.ordering import ordered_layers
from onnxdl.nn.conv import Conv
from onnxdl.nn.conv_lstm import ConvLSTM
from onnxdl.nn.conv_transpose import ConvTranspose
from onnxdl.nn.layer import Layer
from onnxdl.nn.parameter import Parameter
from onnxdl.nn.separable import Depthwise
from onnxdl.train.model import Model


def load_weights(archive: Archive, model: Layer) -> dict[int, str]:
    """Sets every weight of a built model from the file.

    Returns:
        The names that an .h5 model gives to the weights, by the Parameters' ids; nothing for other files.

    Raises:
        ConversionError: the file's weights are not the model's.
        FormatError: the file is damaged.
    """
    if archive.root is None:
        raise archive.damaged("it holds no weights")
    if archive.by_layer:
        return _load_by_layer(archive, model)
    _load_by_path(archive, model)
    return {}


# ---- by path ----------------------------------------------------------------------------------------------------------


def _load_by_path(archive: Archive, model: Layer) -> None:
    lacking: list[str] = []
    old = OLD_LIST in archive.children(archive.root)
    for path, layer in places(model, old=old):
        own = own_weights(layer)
        stored = _variables(archive, path)
        if not own and stored:
            lacking.append(f"{path} holds {len(stored)} arrays, but {layer!r} has no weights")
        elif own and not stored:
            lacking.append(f"{path} is missing")
        elif own:
            _set_all(archive, path, own, [archive.array(d) for d in stored])
    if lacking:
        raise archive.unsupported(f"its weights are not those of {model!r}: {'; '.join(lacking[:5])}")


def _variables(archive: Archive, path: str) -> list[Any]:
    """The arrays of ``vars`` below a path, in order."""
    group = next((g for p in _spellings(path) if (g := archive.group(archive.root, f"{p}/vars")) is not None), None)
    if group is None:
        return []
    names = sorted(archive.children(group), key=lambda n: (len(n), n))
    return [archive.group(group, n) for n in names]


def _spellings(path: str) -> list[str]:
    """A path as each version writes it: attention's attributes have an underscore before them, or not."""
    before, slash, last = path.rpartition("/")
    return [path, f"{before}{slash}{last.removeprefix('_') if last.startswith('_') else f'_{last}'}"]


# ---- by layer ---------------------------------------------------------------------------------------------------------


def _load_by_layer(archive: Archive, model: Layer) -> dict[int, str]:
    """By names where all agree, else by order, as Keras does."""
    layers = [each for each in _layers(model) if flat_weights(each)]
    stored = [n for n in archive.names(archive.root, "layer_names") if _names(archive, n)]
    by_name = {each.name: each for each in layers}
    if set(by_name) == set(stored):
        layers = [by_name[n] for n in stored]
    elif len(layers) != len(stored):
        only = [n for n in stored if n not in by_name] or [str(n) for n in by_name if n not in stored]
        raise archive.unsupported(
            f"it holds the weights of {len(stored)} layers, but {model!r} has {len(layers)} with weights; "
            f"without a partner are {', '.join(only[:5])}: give the architecture that they were saved from"
        )
    named: dict[int, str] = {}
    for name, layer in zip(stored, layers, strict=True):
        group, names, own = archive.group(archive.root, name), _names(archive, name), flat_weights(layer)
        arrays = [archive.array(archive.group(group, n)) for n in names]
        _set_all(archive, name, own, _as_now(archive, layer, arrays))
        named.update((id(p), n) for (_, p), n in zip(own, names, strict=False))
    own = own_weights(model)
    if own:
        group = archive.group(archive.root, "top_level_model_weights")
        names = archive.names(group, "weight_names") if group is not None else []
        _set_all(archive, "top_level_model_weights", own, [archive.array(archive.group(group, n)) for n in names])
    return named


def _layers(model: Layer) -> list[Layer]:
    if isinstance(model, Model) and model._layers is not None:
        return [each for each in ordered_layers(model) if is_layer_of_keras(each)]
    return [child for _, child in model.children()]


def _names(archive: Archive, layer: str) -> list[str]:
    group = archive.group(archive.root, layer)
    if group is None:
        raise archive.damaged(f"the weights of the layer {layer!r} are missing")
    return archive.names(group, "weight_names")


def _as_now(archive: Archive, layer: Layer, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Arrays of old files as Keras lays them out now: kernels of Theano are turned round, those of cuDNN's layers sorted."""
    kind = getattr(layer, "keras_class", None)
    if kind in ("CuDNNLSTM", "CuDNNGRU") and len(arrays) == 3:
        return _from_cudnn(arrays, 4 if kind == "CuDNNLSTM" else 3)
    if archive.backend == "theano":
        turned = {id(p) for owner, p in flat_weights(layer) if isinstance(owner, Conv | ConvTranspose | ConvLSTM | Depthwise)}
        return [
            a[tuple([slice(None, None, -1)] * (a.ndim - 2))] if a.ndim > 2 and id(p) in turned else a
            for (_, p), a in zip(flat_weights(layer), arrays, strict=False)
        ]
    return arrays


def _from_cudnn(arrays: Sequence[np.ndarray], gates: int) -> list[np.ndarray]:
    """A cuDNN layer's weights as those of LSTM, or of GRU with ``reset_after``: each gate's kernel is transposed, biases are two."""
    kernel, recurrent, bias = arrays
    kernels = [part.T.reshape(part.shape, order="F") for part in np.split(kernel, gates, axis=1)]
    recurrents = [part.T for part in np.split(recurrent, gates, axis=1)]
    halves = bias.reshape(2, -1)
    return [np.hstack(kernels), np.hstack(recurrents), halves.sum(axis=0) if gates == 4 else halves]


# ---- one layer --------------------------------------------------------------------------------------------------------


def _set_all(archive: Archive, place: str, own: Sequence[tuple[Layer, Parameter | None]], arrays: Sequence[np.ndarray]) -> None:
    expected = list(own)
    if len(arrays) == len(expected) - 1 and any(p is None for _, p in expected):
        expected = [each for each in expected if each[1] is not None]  # a Normalization without its count
    if len(arrays) != len(expected):
        raise archive.unsupported(f"{place} holds {len(arrays)} arrays, but the layer has {len(expected)} weights")
    for (owner, weight), array in zip(expected, arrays, strict=True):
        if weight is None:
            continue
        value = from_keras(owner, weight, array)
        if value.shape != weight.shape and value.size == weight.size and _squeezed(value.shape) == _squeezed(weight.shape):
            value = value.reshape(weight.shape)
        if value.shape != weight.shape or value.dtype.kind not in "fiub":
            has = f"has the shape {list(weight.shape)}, but the file holds {list(array.shape)}"
            raise archive.unsupported(f"{place}: the weight {weight.name!r} of {owner!r} {has}")
        weight.value = value


def _squeezed(shape: Sequence[int]) -> list[int]:
    return [d for d in shape if d != 1]
