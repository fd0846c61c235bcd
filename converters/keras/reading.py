"""A Keras file as a Model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onnxdl.converters.keras.archive import Archive, opened
from onnxdl.converters.keras.compiling import compile_from
from onnxdl.converters.keras.config import WRONG, Reader, check_size
from onnxdl.converters.keras.functional import model_of
from onnxdl.converters.keras.layers import shape_in_keras
from onnxdl.converters.keras.optimizer import from_variables, trained_weights
from onnxdl.converters.keras.origin import Origin, set_origin
from onnxdl.converters.keras.weights import load_weights
from onnxdl.errors import ConversionError, OnnxdlError
from onnxdl.nn.layer import Layer
from onnxdl.train.composition import placeholder
from onnxdl.train.matching import spec_of
from onnxdl.train.model import Model


def read_file(path: Path, model: Model | None = None, custom_objects: Mapping[str, Any] | None = None, compile: bool = True) -> Model:
    """The Model of a Keras file, or ``model`` with the file's weights.

    Args:
        path: a .keras archive, or an HDF5 file of Keras 2 or 3, of a model or of weights alone.
        model: the architecture that weights alone go into.
        custom_objects: classes and functions by the names that the file knows them by.
        compile: whether to compile the model as the saved one was, with its optimizer's state.

    Raises:
        FormatError: the file is damaged.
        ConversionError: it holds something that has no equal here.
    """
    try:
        with opened(path) as archive:
            if model is not None:
                model.ensure_built()
                load_weights(archive, model)
                return model
            return _whole(archive, custom_objects, compile)
    except (MemoryError, RecursionError) as e:
        raise Archive(path).damaged(f"it asks for more than there is ({type(e).__name__})") from e


def _whole(archive: Archive, custom_objects: Mapping[str, Any] | None, compile: bool) -> Model:
    config = archive.config
    if config is None:
        raise archive.unsupported("it holds weights alone; give the architecture: ox.load(path, model), or load_weights")
    reader = Reader(archive, custom_objects, model_of)
    made = _layer_of(archive, reader, config)
    if not isinstance(made, Model):
        raise archive.unsupported(f"its {config.get('class_name')} is a layer, not a model")
    if not made.input_specs:
        _build(archive, made, config)
    named: dict[int, str] = {}
    if made.input_specs:
        for layer in reader.frozen:
            layer.trainable = False
        named = load_weights(archive, made)
    set_origin(made, Origin(config, archive.version, archive.training))
    if compile and archive.training:
        _compile(archive, reader, made)
        if archive.optimizer is not None and made.input_specs and made.compiled is not None:
            _take_up(archive, made, named)
    return made


def _compile(archive: Archive, reader: Reader, model: Model) -> None:
    """Compiles a model as the file says; where that has no equal here, such as a loss of the user's own, ``fit`` says so."""
    told = dict(archive.training or {})
    for which in ("metrics", "weighted_metrics"):
        given = told.get(which)
        if isinstance(given, list) and len(given) == 1 and isinstance(given[0], list) and len(model.output_names) == 1:
            told[which] = given[0]  # an .h5 file lists them by output, even where there is one
    try:
        compile_from(model, told, reader.custom, mixed_precision=reader.mixed)
    except ConversionError as e:
        model.compiled, model.uncompiled = None, str(e)
    except WRONG as e:
        raise archive.unsupported(f"how it was compiled cannot be understood ({e}); load it with compile=False") from e


def _take_up(archive: Archive, model: Model, named: Mapping[int, str]) -> None:
    """Sets the optimizer's state; one that does not fit is left out with a warning, as in Keras."""
    assert model.compiled is not None
    arrays, names = optimizer_variables(archive)
    rate = getattr(model.compiled.optimizer, "learning_rate", None)
    if arrays and names is None and archive.old and isinstance(rate, float):
        arrays.insert(1, np.array(rate, np.float32))  # Keras 2 keeps the rate in the configuration alone
    if not arrays:
        return
    try:
        from_variables(model, _in_order(archive, model, arrays, named) if names is not None else arrays, names)
    except ConversionError as e:
        warnings.warn(f"{archive.path}: the optimizer starts anew, since its state was not understood: {e}", stacklevel=2)
    except WRONG as e:
        raise archive.unsupported(f"its optimizer's settings or state make no sense ({e}); load it with compile=False") from e


def _in_order(archive: Archive, model: Model, arrays: list[np.ndarray], named: Mapping[int, str]) -> list[np.ndarray]:
    """The variables in the order of the model's weights; the first versions of Keras 2 sorted them by the weights' names."""
    weights = trained_weights(model)
    slots = [a for a in arrays if a.ndim]
    if not weights or len(slots) % len(weights) or not all(id(w.parameter) in named for w in weights):
        return arrays
    shapes = [shape_in_keras(w.owner, w.parameter) for w in weights]
    order = sorted(range(len(weights)), key=lambda i: named[id(weights[i].parameter)])
    found = [a.shape for a in slots[: len(weights)]]
    if found != [shapes[i] for i in order] or (found == shapes and not archive.version.startswith("2.0.")):
        return arrays
    places = [order.index(i) for i in range(len(weights))]
    blocks = [slots[i : i + len(weights)] for i in range(0, len(slots), len(weights))]
    return [*(a for a in arrays if not a.ndim), *(block[i] for block in blocks for i in places)]


def optimizer_variables(archive: Archive) -> tuple[list[np.ndarray], list[str] | None]:
    """The variables of the optimizer in their order, and their names where Keras 2 wrote them."""
    group = archive.group(archive.optimizer, "vars")
    if group is not None:
        names = sorted(archive.children(group), key=lambda n: (len(n), n))
        return [archive.array(archive.group(group, n)) for n in names], None
    names = archive.names(archive.optimizer, "weight_names")
    return [archive.array(archive.group(archive.optimizer, n)) for n in names], names if archive.old else None


def _build(archive: Archive, model: Model, config: dict[str, Any]) -> None:
    """Builds a model that has no graph, a subclass of the user's or a Sequential, for the input that the file tells."""
    build = config.get("build_config")
    shape = (build.get("input_shape") or build.get("shapes_dict")) if isinstance(build, dict) else None
    inner = config.get("config")
    if shape is None and isinstance(inner, dict):
        shape = inner.get("build_input_shape")
    if shape is None:
        return
    shapes = list(shape.values()) if isinstance(shape, dict) else shape if shape and isinstance(shape[0], list) else [shape]
    sizes = [check_size(archive, "the model's input", s) for s in shapes]
    names = ["input" if i == 0 else f"input_{i}" for i in range(len(sizes))]
    tensors = [placeholder(n, np.float32, ["batch", *s[1:]]) for n, s in zip(names, sizes, strict=True)]
    try:
        model._specify([spec_of(t, i) for i, t in enumerate(tensors)])
    except WRONG as e:
        raise ConversionError(f"{archive.path}: {type(model).__name__} cannot be built for the input {shapes}: {e}") from e


def model_from_config(source: Path, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None, version: str = "") -> Layer:
    """A model without weights from a configuration that another file holds: a SavedModel's, or a tfjs model's."""
    archive = Archive(source)
    archive.config, archive.version = config, version
    return _layer_of(archive, Reader(archive, custom_objects, model_of), config)


def _layer_of(archive: Archive, reader: Reader, config: dict[str, Any]) -> Layer:
    """What a configuration describes; all its unknown layers are named at once."""
    try:
        unknown = list(dict.fromkeys(reader.unknown(config)))
        if unknown:
            raise archive.unsupported(
                f"{len(unknown)} of its layers are not known here: {', '.join(unknown)}; give their classes, subclasses of nn.Layer: "
                "custom_objects={name: class}"
            )
        return reader.layer(config)
    except OnnxdlError:
        raise
    except WRONG as e:
        raise archive.damaged(f"its configuration cannot be understood ({type(e).__name__}: {e})") from e
