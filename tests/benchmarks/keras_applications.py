"""All architectures of keras.applications, saved by stock Keras with random weights, and read without it.

    python -m tests.benchmarks.keras_applications [name ...] [--steps 20] [--files folder]

Each is built with ``weights=None``, random weights, statistics near those of a batch, so that activations neither vanish nor
explode however deep the net is, and no activation at its end (a softmax of random weights is nearly constant, and hides
everything). KERAS_BACKEND=torch makes Keras's part faster; the files are the same. A line tells the largest difference of the
outputs over their scale, how many layers of BatchNormalization and Dropout were found of those that Keras has, how the loss fell
over the steps, what reading took, and how far stock Keras's outputs are from ours when it opens what we then write.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

SMALL = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71, "NASNetLarge": 96, "NASNetMobile": 96}
SIZE = 64
TOLERANCE = 1e-4


def architectures(keras: Any) -> list[str]:
    """The names of all architectures."""
    names = [n for n in dir(keras.applications) if n[0].isupper() and callable(getattr(keras.applications, n))]
    return sorted(names)


def built(keras: Any, name: str, rng: np.random.Generator) -> Any:
    """An architecture of few classes on small images, with random weights that keep activations alive."""
    keras.backend.clear_session()
    size = SMALL.get(name, SIZE)
    options: dict[str, Any] = {"weights": None, "classes": 10, "classifier_activation": None}
    make = getattr(keras.applications, name)
    try:
        model = make(input_shape=(size, size, 3), **options)
    except ValueError:
        model = make(input_shape=(224, 224, 3), **options)
    for layer in model._flatten_layers():
        for weight in layer._trainable_variables + layer._non_trainable_variables:
            weight.assign(drawn(layer, weight, rng))
    settle(model, rng)
    return model


def images(model: Any, rng: np.random.Generator, n: int) -> np.ndarray:
    """Random pictures in the range that a model takes."""
    x: np.ndarray = rng.uniform(0, 255, (n, *model.input_shape[1:])).astype(np.float32)
    return x if any(type(layer).__name__ == "Rescaling" for layer in model._flatten_layers()) else x / 127.5 - 1


def settle(model: Any, rng: np.random.Generator) -> None:
    """Moves the running statistics to near those of a batch, nothing dropped."""
    layers = model._flatten_layers()
    norms = [layer for layer in layers if type(layer).__name__ == "BatchNormalization"]
    kept = [(n, "momentum", n.momentum) for n in norms] + [(d, "rate", d.rate) for d in layers if type(d).__name__ == "Dropout"]
    for layer, option, _ in kept:
        setattr(layer, option, 0.0)
    if norms:
        _call_in_training(model, images(model, rng, 4))
    for layer, option, value in kept:
        setattr(layer, option, value)
    for n in norms:
        n.moving_variance.assign(np.asarray(n.moving_variance) * rng.uniform(0.8, 1.25, n.moving_variance.shape) + 0.01)


def _call_in_training(model: Any, x: np.ndarray) -> None:
    import keras

    if keras.backend.backend() != "jax":
        model(x, training=True)
        return
    import jax  # compiled as a whole: to compile operator by operator takes minutes

    trained, others = ([v.value for v in each] for each in (model.trainable_variables, model.non_trainable_variables))
    moved = jax.jit(lambda x: model.stateless_call(trained, others, x, training=True)[1])(x)
    for variable, value in zip(model.non_trainable_variables, moved, strict=True):
        variable.assign(value)


def drawn(layer: Any, weight: Any, rng: np.random.Generator) -> np.ndarray:
    """A value for a weight: not its first one, and small enough that rounding does not grow with depth."""
    shape, kind = weight.shape, weight.path.rsplit("/", 1)[-1]
    if str(weight.dtype).startswith(("int", "uint")):
        return np.zeros(shape)
    if kind in ("gamma", "moving_variance", "variance"):
        return rng.uniform(0.7, 1.3, shape) + 0.2 * (kind != "gamma")
    if len(shape) < 2:
        return rng.normal(0.0, 0.1, shape)
    fan_in = np.prod(shape[:-2]) * (1 if "Depthwise" in type(layer).__name__ else shape[-2])
    return rng.normal(0.0, np.sqrt(1.0 / fan_in), shape)


def layers_in(model: Any, kind: str) -> int:
    """How many layers of a class are anywhere inside a Keras model."""
    return sum(type(layer).__name__ == kind for layer in model._flatten_layers())


def checked(keras: Any, name: str, folder: Path, steps: int) -> Iterator[str]:
    """What is told of one architecture."""
    from onnxdl import optim
    from onnxdl.converters.registry import load

    rng = np.random.default_rng(0)
    model = built(keras, name, rng)
    path = folder / f"{name}.keras"
    model.save(path)
    x = images(model, rng, 2)
    expected = np.asarray(model.predict(x, verbose=0))
    wanted = {kind: layers_in(model, kind) for kind in ("BatchNormalization", "Dropout")}
    del model
    gc.collect()
    start = time.perf_counter()
    ours = load(path)
    seconds = time.perf_counter() - start
    found = {kind: sum(type(layer).__name__ == kind for layer in ours.layers_below()) for kind in wanted}
    difference = float(np.abs(ours.predict(x, verbose=0) - expected).max() / np.abs(expected).max())
    yield f"{name:20} {path.stat().st_size / 1e6:6.1f} MB {seconds:5.2f} s  difference {difference:.1e}"
    yield f"normalization {found['BatchNormalization']}/{wanted['BatchNormalization']}  dropout {found['Dropout']}/{wanted['Dropout']}"
    fell = True
    if steps:
        y = np.arange(len(x)) % 10
        ours.compile(optim.Adam(2e-5), "mse", device="cpu")
        target = np.eye(10, dtype=np.float32)[y]
        losses = [float(np.ravel(ours.train_on_batch(x, target))[0]) for _ in range(steps)]
        fell = bool(np.isfinite(losses).all() and np.mean(losses[-3:]) < losses[0])
        yield f"loss {losses[0]:.3f} -> {losses[-1]:.3f}"
    back = reopened(keras, ours, x, folder / f"{name}.again.keras")
    yield f"re-saved {back:.1e}"
    yield "ok" if max(difference, back) < TOLERANCE and found == wanted and fell else "WRONG"


def reopened(keras: Any, ours: Any, x: np.ndarray, path: Path) -> float:
    """The largest difference of the outputs, over their scale, when stock Keras opens what we wrote."""
    ours.export(path, format="keras")
    found = np.asarray(keras.models.load_model(path, compile=False).predict(x, verbose=0))
    expected = ours.predict(x, verbose=0)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def main(arguments: list[str]) -> int:
    """Runs the architectures named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--files", type=Path, help="Where the .keras files stay; by default each goes when it is done.")
    chosen = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")  # compiles faster
    module = importlib.import_module("keras")
    wrong = 0
    names = chosen.names or architectures(module)
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            told = list(checked(module, name, chosen.files or Path(folder), chosen.steps))
        wrong += told[-1] != "ok"
        print("  ".join(told), flush=True)
    print(f"{len(names) - wrong} of {len(names)} right")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
