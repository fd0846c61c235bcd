"""SavedModels and tfjs models: those of Keras layer by layer without TensorFlow, others through tf2onnx where it is installed."""

from __future__ import annotations

import importlib.util
import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from onnxdl.converters.keras.layers import flat_weights, from_keras, inner_layers, own_weights
from onnxdl.converters.keras.ordering import ordered_layers
from onnxdl.converters.keras.reading import model_from_config
from onnxdl.converters.protobuf import Fields, message_class
from onnxdl.converters.tensorflow.bundle import Bundle, read_bundle
from onnxdl.errors import ConversionError, FormatError
from onnxdl.nn.layer import Layer
from onnxdl.nn.parameter import Parameter
from onnxdl.train.model import Model

_MESSAGES: dict[str, Fields] = {
    "Object": {"node_path": (3, "string", False), "identifier": (4, "string", False), "metadata": (5, "string", False)},
    "Metadata": {"nodes": (1, "Object", True)},
}


@cache
def _metadata() -> Any:
    return message_class("keras_metadata", _MESSAGES, "Metadata")


# ---- SavedModel -------------------------------------------------------------------------------------------------------


def read_saved_model(folder: Path, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """The Model of a SavedModel folder."""
    file = folder / "keras_metadata.pb"
    if not file.exists():
        return _through_tf2onnx(folder)
    metadata = _metadata()()
    try:
        metadata.ParseFromString(file.read_bytes())
        root = next(json.loads(n.metadata) for n in metadata.nodes if n.node_path == "root")
        config = _plain({"class_name": root["class_name"], "config": root["config"]})
    except (DecodeError, ValueError, StopIteration, KeyError, TypeError) as error:
        raise FormatError(f"{file} is damaged or does not describe a model: {error}") from None
    model = model_from_config(folder, config, custom_objects, version=str(root.get("keras_version", "2")))
    if not isinstance(model, Model):
        raise ConversionError(f"{folder} holds a {root['class_name']}, not a model")
    bundle = read_bundle(folder / "variables" / "variables")
    lacking = [key for key, owner, weight in _keys(model, "") if not _take(key, owner, weight, bundle)]
    if lacking:
        raise ConversionError(f"{folder} holds no values for {len(lacking)} weights, the first being {lacking[0]}")
    return model


def _plain(tree: Any) -> Any:
    """Tuples and shapes as lists: the metadata writes them as objects."""
    if isinstance(tree, dict):
        if tree.get("class_name") in ("__tuple__", "TensorShape") and "items" in tree:
            return [_plain(v) for v in tree["items"]]
        return {k: _plain(v) for k, v in tree.items()}
    return [_plain(v) for v in tree] if isinstance(tree, list) else tree


def _keys(layer: Layer, path: str) -> Iterator[tuple[str, Layer, Parameter]]:
    """Each weight below a layer with its key in the checkpoint: the path of attributes that leads to it."""
    if isinstance(layer, Model):
        with_weights = [child for child in ordered_layers(layer) if child.weights]
        for i, child in enumerate(with_weights):
            yield from _keys(child, f"{path}layer_with_weights-{i}/")
        return
    for owner, weight in own_weights(layer):
        if weight is not None:
            yield f"{path}{weight.name}", owner, weight
    for name, child in inner_layers(layer):
        yield from _keys(child, f"{path}{name}/")


def _take(key: str, owner: Layer, weight: Parameter, bundle: Bundle) -> bool:
    hidden = re.sub(r"/(query|key|value|output)_dense/", r"/_\1_dense/", key)
    spelled = (key, hidden, key.replace("/cell/", "/"), f"{key.rpartition('/')[0]}/cell/{weight.name}")
    found = next((array for k in spelled if (array := bundle.at(k)) is not None), None)
    if found is None:
        return False
    _set(key, owner, weight, found)
    return True


def _set(name: str, owner: Layer, weight: Parameter, found: np.ndarray) -> None:
    value = from_keras(owner, weight, found)
    if value.size != weight.size:
        raise ConversionError(f"{name} is of shape {list(found.shape)} in the file, but {owner!r} needs {list(weight.shape)}")
    weight.value = value.reshape(weight.shape)


def _through_tf2onnx(folder: Path) -> Model:
    if importlib.util.find_spec("tensorflow") is None or importlib.util.find_spec("tf2onnx") is None:
        raise ConversionError(
            f"{folder} is a SavedModel that Keras 2 did not write; reading it needs TensorFlow and tf2onnx: pip install tensorflow tf2onnx"
        )
    import tensorflow
    import tf2onnx

    from onnxdl.graph.imports import import_model
    from onnxdl.train.load import model_of

    loaded = tensorflow.saved_model.load(str(folder))
    signatures = dict(loaded.signatures)
    if "serving_default" not in signatures:
        raise ConversionError(f"{folder} has no signature serving_default, only {', '.join(signatures) or 'none'}")
    function = signatures["serving_default"]
    specs = {name: tensorflow.TensorSpec(spec.shape, spec.dtype, name) for name, spec in function.structured_input_signature[1].items()}
    positional = tensorflow.function(lambda *inputs: function(**dict(zip(specs, inputs, strict=True))))
    proto, _ = tf2onnx.convert.from_function(positional, list(specs.values()), opset=18)
    return model_of(import_model(proto, str(folder)))


# ---- tfjs -------------------------------------------------------------------------------------------------------------


def read_tfjs(path: Path, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """The Model of a tfjs layers model: model.json and its .bin files."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        topology = stored["modelTopology"]
        config = topology.get("model_config", topology)
        arrays = list(_manifest(path, stored["weightsManifest"]))
        version = str(topology.get("keras_version", "2"))
    except (UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise FormatError(f"{path} is no layers model of TensorFlow.js, or is damaged: {error}") from None
    model = model_from_config(path, config, custom_objects, version=version)
    if not isinstance(model, Model):
        raise ConversionError(f"{path} holds a layer, not a model")
    weights = [(owner, w) for layer in ordered_layers(model) for owner, w in flat_weights(layer) if w is not None]
    if len(weights) != len(arrays):
        raise ConversionError(f"{path} holds {len(arrays)} weights, but its layers have {len(weights)}")
    for (owner, weight), (name, array) in zip(weights, arrays, strict=True):
        _set(name, owner, weight, array)
    return model


def _manifest(path: Path, groups: list[dict[str, Any]]) -> Iterator[tuple[str, np.ndarray]]:
    for group in groups:
        data = b"".join(_shard(path, name) for name in group["paths"])
        at = 0
        for weight in group["weights"]:
            shape, quantized = [int(d) for d in weight["shape"]], weight.get("quantization")
            dtype = np.dtype(quantized["dtype"] if quantized else weight["dtype"]).newbyteorder("<")
            size = math.prod(shape) * dtype.itemsize
            if any(d < 0 for d in shape) or at + size > len(data):
                raise FormatError(f"{path}: the data of {weight['name']} ends early; the .bin files are cut short")
            array = np.frombuffer(data[at : at + size], dtype).reshape(shape)
            if quantized and "scale" in quantized:
                array = array.astype(np.float32) * np.float32(quantized["scale"]) + np.float32(quantized["min"])
            at += size
            yield str(weight["name"]), array.astype(np.dtype(weight["dtype"]))


def _shard(path: Path, name: str) -> bytes:
    file = (path.parent / name).resolve()
    if not file.is_relative_to(path.parent.resolve()):
        raise FormatError(f"{path} refers to {name}, outside of its folder")
    if not file.is_file():
        raise FormatError(f"{path}: there is no {name} beside it")
    return file.read_bytes()
