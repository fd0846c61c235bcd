"""A Model as a Keras file: a .keras archive, a Keras .h5 file, or .weights.h5.

A model that came from a file of the same kind goes back with its own configuration and the present weights; any other gets a
configuration written from its layers.
"""

from __future__ import annotations

import copy
import datetime
import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from onnxdl.converters.keras.compiling import compile_config
from onnxdl.converters.keras.describing import model_config, named
from onnxdl.converters.keras.layers import flat_weights, is_layer_of_keras, own_weights, places, to_keras
from onnxdl.converters.keras.optimizer import to_variables
from onnxdl.converters.keras.ordering import ordered_layers
from onnxdl.converters.keras.origin import origin_of
from onnxdl.errors import ConversionError
from onnxdl.io.atomic import replacing
from onnxdl.nn import losses
from onnxdl.nn.layer import Layer
from onnxdl.nn.parameter import Parameter
from onnxdl.train.model import Model

VERSION = "3.15.1"
"""The version of Keras whose format is written."""
_ATTRIBUTE_LIMIT = 64512
"""How many bytes Keras puts into one attribute of HDF5 at most."""


def write_file(model: Model, path: Path) -> None:
    """Writes a Keras file; its suffix says which: ``.keras``, ``.h5`` or ``.hdf5`` whole models, ``.weights.h5`` weights alone.

    Raises:
        ConversionError: the model holds what Keras has no equal of; all such layers are named.
        FormatError: the file cannot be written.
    """
    model.ensure_built()
    name = path.name.lower()
    if name.endswith(".weights.h5"):
        content = _hdf5(lambda h5: _write_by_path(h5, model))
    elif name.endswith((".h5", ".hdf5")):
        config, training, state = _whole(model, modern=False)
        content = _hdf5(lambda h5: _write_h5(h5, model, config, training, state))
    else:
        config, training, state = _whole(model, modern=True)
        weights = _hdf5(lambda h5: _write_by_path(h5, model, state))
        content = _archive({**config, "compile_config": training}, weights)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _whole(model: Model, *, modern: bool) -> tuple[dict[str, Any], dict[str, Any] | None, list[tuple[str, np.ndarray]]]:
    """The model's configuration, how it is trained, and its optimizer's state."""
    config = _configuration(model, modern)
    if model.compiled is not None and model.compiled.mixed_precision:
        _note_policy(config)
    if not model.is_compiled:
        return config, None, []
    try:
        return config, compile_config(model), to_variables(model)
    except ConversionError as error:
        warnings.warn(f"the model is written without its training: {error}", stacklevel=2)
        return config, None, []


def _configuration(model: Model, modern: bool) -> dict[str, Any]:
    origin, original = origin_of(model), _original(model, modern)
    if original is not None and (modern or origin is None or not origin.version.startswith("3.")):
        return original
    try:
        written = model_config(model)
    except ConversionError:
        if original is None:
            raise
        return original  # Keras 3 reads some of its own .h5 files wrongly, which makes it the second choice
    return written if modern else _legacy(written)


def _hdf5(write: Callable[[Any], None]) -> memoryview:
    """What an HDF5 file holds, made in memory: where a disk is full, HDF5 ends the process."""
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ConversionError("writing Keras files needs h5py: pip install onnxdl[keras]") from error
    stream = io.BytesIO()
    with h5py.File(stream, "w") as h5:
        write(h5)
    return stream.getbuffer()


# ---- configuration ----------------------------------------------------------------------------------------------------


def _original(model: Model, modern: bool) -> dict[str, Any] | None:
    """The configuration that the model came with, if it came from a file of this kind and has the same layers still."""
    origin = origin_of(model)
    if origin is None or origin.modern != modern or (modern and origin.version.startswith("2.")):
        return None  # Keras 3 reads Keras 2's .h5 files, but not its .keras archives
    config = copy.deepcopy(origin.config)
    inner = config.get("config")
    listed = inner.get("layers") if isinstance(inner, dict) else inner
    if isinstance(listed, list) and model._layers is not None:
        stored = [_name_in(each) for each in listed if each.get("class_name") != "InputLayer"]
        if stored != [layer.name for layer in ordered_layers(model)]:
            return None
    _note_trainable(config, model)
    return config


def _name_in(config: dict[str, Any]) -> Any:
    inner = config.get("config")
    return config.get("name") or (inner.get("name") if isinstance(inner, dict) else None)


def _note_policy(config: Any) -> None:
    """Gives Keras's layers the policy of mixed precision, unless they have a type of their own."""
    if isinstance(config, list):
        for each in config:
            _note_policy(each)
    elif isinstance(config, dict):
        inner = config.get("config")
        if config.get("module") == "keras.layers" and isinstance(inner, dict) and config["class_name"] != "InputLayer":
            policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_float16"}, "registered_name": None}
            inner.setdefault("dtype", policy)
        for each in config.values():
            _note_policy(each)


def _note_trainable(config: dict[str, Any], layer: Layer) -> None:
    """Freezes and frees in a configuration what was frozen and freed since it was read."""
    inner = config.get("config")
    if isinstance(inner, dict) and "trainable" in inner:
        inner["trainable"] = layer._trainable
    listed = inner.get("layers") if isinstance(inner, dict) else inner
    if isinstance(layer, Model) and layer._layers is not None and isinstance(listed, list):
        by_name = {each.name: each for each in layer._layers}
        for each in listed:
            if _name_in(each) in by_name:
                _note_trainable(each, by_name[_name_in(each)])


def _legacy(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration as .h5 files begin. Layers inside keep their ``module``: without it Keras takes "dot" for a function."""
    name = config["registered_name"] if config["module"] is None else config["class_name"]
    return {"class_name": name, "config": config["config"]}


# ---- weights ----------------------------------------------------------------------------------------------------------


def _value(owner: Layer, weight: Parameter | None) -> np.ndarray:
    return np.zeros((), np.int32) if weight is None else to_keras(owner, weight, weight.value)


def _write_by_path(h5: Any, model: Model, state: list[tuple[str, np.ndarray]] | None = None) -> None:
    """Keras 3's layout: ``layers/dense_1/vars/0``, each layer once."""
    for path, layer in places(model):
        own = own_weights(layer)
        if not own and not is_layer_of_keras(layer):
            continue
        group = h5.require_group(f"{path}/vars" if path else "vars")
        group.attrs["name"] = named(layer)
        for i, (owner, weight) in enumerate(own):
            group[str(i)] = _value(owner, weight)
    for place, variables in (("optimizer/vars", state or []), ("optimizer/inner_optimizer/vars", _inner(state or []))):
        for i, (_, array) in enumerate(variables):
            h5[f"{place}/{i}"] = array


def _inner(state: list[tuple[str, np.ndarray]]) -> list[tuple[str, np.ndarray]]:
    """Of a LossScaleOptimizer's variables, those of the optimizer inside, which Keras keeps once more; none of another's."""
    names = [name for name, _ in state]
    return state[names.index("dynamic_scale") + 1 :] if "dynamic_scale" in names else []


def _archive(config: dict[str, Any], weights: memoryview) -> memoryview:
    saved = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": VERSION, "date_saved": saved}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights)
    return stream.getbuffer()


def _write_h5(h5: Any, model: Model, config: dict[str, Any], training: dict[str, Any] | None, state: list[tuple[str, np.ndarray]]) -> None:
    """Keras's .h5 layout: weights under their layers' names."""
    origin = origin_of(model)
    version = origin.version if origin is not None and not origin.modern and origin.version else VERSION
    h5.attrs["backend"], h5.attrs["keras_version"] = "jax", version
    h5.attrs["model_config"] = json.dumps(config).encode()
    if training is not None:
        optimizer = training.pop("optimizer")
        settings = {**_spelled_out(training), "optimizer_config": {k: optimizer[k] for k in ("class_name", "config")}}
        h5.attrs["training_config"] = json.dumps(settings).encode()
    root = h5.create_group("model_weights")
    root.attrs["backend"], root.attrs["keras_version"] = "jax", version
    layers = [each for each in _top_layers(model) if is_layer_of_keras(each)]
    _set_names(root, "layer_names", [named(layer) for layer in layers])
    for layer in layers:
        _write_group(root.create_group(named(layer)), list(_named_weights(layer)))
    own = [(weight.name or str(i), _value(owner, weight)) for i, (owner, weight) in enumerate(own_weights(model)) if weight is not None]
    _write_group(root.create_group("top_level_model_weights"), own)
    if state:
        inner = _inner(state)
        outer = state[: len(state) - len(inner)]
        variables = [*((f"optimizer/{n}", a) for n, a in outer), *((f"inner_optimizer/{n}", a) for n, a in inner)]
        _write_group(h5.create_group("optimizer_weights"), variables)


def _spelled_out(value: Any) -> Any:
    """Names of losses and metrics in full: Keras does not find the short ones in .h5 files."""
    if isinstance(value, dict):
        return {k: _spelled_out(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_spelled_out(v) for v in value]
    return losses.SHORT[value].__name__ if isinstance(value, str) and value in losses.SHORT else value


def _top_layers(model: Model) -> list[Layer]:
    return ordered_layers(model) if model._layers is not None else [child for _, child in model.children()]


def _named_weights(layer: Layer) -> Iterator[tuple[str, np.ndarray]]:
    names = {id(p): name.replace(".", "/") for name, p in layer.named_parameters(f"{named(layer)}.")}
    for i, (owner, weight) in enumerate(flat_weights(layer)):
        yield names[id(weight)] if weight is not None else f"{named(layer)}/count_{i}", _value(owner, weight)


def _write_group(group: Any, arrays: list[tuple[str, np.ndarray]]) -> None:
    _set_names(group, "weight_names", [name for name, _ in arrays])
    for name, array in arrays:
        group[name] = array


def _set_names(group: Any, attribute: str, names: list[str]) -> None:
    """A list of names as an attribute; as several where one would be too large."""
    encoded = np.array([name.encode() for name in names] or [], dtype=None if names else np.float64)
    parts = 1
    while any(part.nbytes > _ATTRIBUTE_LIMIT for part in np.array_split(encoded, parts)):
        parts += 1
    if parts == 1:
        group.attrs[attribute] = encoded
        return
    for i, part in enumerate(np.array_split(encoded, parts)):
        group.attrs[f"{attribute}{i}"] = part
