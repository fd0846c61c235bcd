"""Keras itself, where it is installed: its models given as objects, and what their layers compute, for the parity report."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onnxdl.errors import ConversionError

_BACKENDS = ("jax", "torch", "tensorflow")


def is_model(source: Any) -> bool:
    """Whether an object is a Keras model; told without importing Keras."""
    names = [(c.__module__.split(".")[0], c.__name__) for c in type(source).__mro__]
    return ("keras", "Model") in names or ("tf_keras", "Model") in names


def saved(source: Any) -> Path:
    """A temporary .keras file of a Keras model; whoever asks for it deletes it."""
    descriptor, name = tempfile.mkstemp(suffix=".keras")
    os.close(descriptor)
    try:
        source.save(name)
    except Exception as error:  # whatever a layer of the user's raises
        os.unlink(name)
        raise ConversionError(f"Keras cannot save the model {getattr(source, 'name', '')!r}: {error}") from error
    return Path(name)


def activations(source: Any, inputs: Mapping[str, np.ndarray], **options: Any) -> dict[str, np.ndarray]:
    """What Keras computes at inference, by the names of the parity report.

    Args:
        source: a file of a whole model, or a Keras model.
        inputs: arrays by the names of our inputs, in the model's order.
        options: those of ``read``; Keras needs none.

    Raises:
        ConversionError: Keras cannot open the file, or it holds weights alone.
        ModuleNotFoundError: Keras or its backend is not installed.
    """
    model = source if is_model(source) else _opened(Path(source))
    found: dict[str, np.ndarray] = {}
    calls: Counter[str] = Counter()
    watched = list(_layers(model, ""))
    for path, layer in watched:
        _watch(layer, path, found, calls)
    try:
        results = model(_given(model, list(inputs.values())), training=False)
    finally:
        for _, layer in watched:
            vars(layer).pop("call", None)
    found.update((f"output.{name}", array) for name, array in _outputs(model, results))
    return found


def _keras() -> Any:
    if "keras" not in sys.modules and "KERAS_BACKEND" not in os.environ:
        installed = [name for name in _BACKENDS if importlib.util.find_spec(name) is not None]
        if installed:
            os.environ["KERAS_BACKEND"] = installed[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras
    return keras


def _opened(path: Path) -> Any:
    keras = _keras()
    if path.name.endswith(".weights.h5"):
        raise ConversionError(f"{path} holds weights alone, which Keras cannot run; compare with the file of the whole model")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, OSError, AttributeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConversionError(f"Keras itself cannot open {path}: {reason}; give stored values with --reference") from error


def _layers(model: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """The layers of a model, and of models within it, by the names that they have here."""
    for layer in model.layers:
        if type(layer).__name__ == "InputLayer":
            continue
        path = f"{prefix}{layer.name}"
        yield path, layer
        if type(layer).__name__ in ("Functional", "Sequential"):
            yield from _layers(layer, f"{path}.")


def _watch(layer: Any, path: str, found: dict[str, np.ndarray], calls: Counter[str]) -> None:
    call = layer.call

    def watched(*args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        name = f"{path}@{calls[path]}" if calls[path] else path
        calls[path] += 1
        found.update((f"{name}:{i}" if i else name, _array(t)) for i, t in enumerate(_flat(result)))
        return result

    object.__setattr__(layer, "call", watched)


def _flat(tree: Any) -> list[Any]:
    if isinstance(tree, Mapping):
        return [t for v in tree.values() for t in _flat(v)]
    return [t for v in tree for t in _flat(v)] if isinstance(tree, list | tuple) else [] if tree is None else [tree]


def _array(tensor: Any) -> np.ndarray:
    return np.asarray(_keras().ops.convert_to_numpy(tensor))


def _given(model: Any, arrays: list[np.ndarray]) -> Any:
    """Arrays in the structure that a model takes."""
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, Mapping):
        return dict(zip(structure, arrays, strict=True))
    return arrays[0] if len(arrays) == 1 else arrays


def _outputs(model: Any, results: Any) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(results, Mapping):
        yield from ((name, _array(t)) for name, t in results.items())
        return
    tensors = _flat(results)
    names = ["output"] if len(tensors) == 1 else list(getattr(model, "output_names", None) or ())
    taken: Counter[str] = Counter()
    for name, tensor in zip(names, tensors, strict=False):
        yield f"{name}_{taken[name]}" if taken[name] else name, _array(tensor)
        taken[name] += 1
