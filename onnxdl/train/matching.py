"""Users' data and settings matched to a model's inputs and outputs, with errors that name the odd one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnxdl.data.lazy import as_samples, in_memory, window_of
from onnxdl.errors import DataError, TrainingError
from onnxdl.graph.dtypes import to_numpy
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import metrics
from onnxdl.nn.losses import Loss
from onnxdl.train.step import Recipe, Spec


def spec_of(t: Tensor, i: int) -> Spec:
    """The input that an ``Input`` tensor stands for; unknown sizes of inputs without a name are told apart."""
    name = t.name or ("input" if i == 0 else f"input_{i}")
    unnamed = re.compile(r"input(?=_dim_\d+$)")
    return Spec(name, t.dtype, tuple(unnamed.sub(name, d) if isinstance(d, str) and t.name is None else d for d in t.shape))


def spec_from(array: np.ndarray, i: int, name: str | None) -> Spec:
    """The input that an array of samples calls for; whole numbers stay whole, all else becomes float32."""
    dtype = np.dtype(np.int64) if array.dtype.kind == "i" else np.dtype(np.float32)
    return Spec(name or ("input" if i == 0 else f"input_{i}"), dtype, ("batch", *array.shape[1:]))


def is_reserved(name: str) -> bool:
    """Whether a train step has an input or output of its own that is called so."""
    words = ("step", "seed", "loss", "target", "sample_weight")
    return (
        name in words
        or name in metrics.NAMES
        or re.fullmatch(r"(target|sample_weight)_\d+|(next/|optimizer\.|metrics\.).*", name) is not None
    )


def named_arrays(data: Any) -> list[tuple[str | None, np.ndarray]]:
    """Users' data as pairs of a name, or None, and an array."""
    if isinstance(data, Mapping):
        return [(str(n), as_samples(a)) for n, a in data.items()]
    if isinstance(data, list | tuple) and any(getattr(a, "ndim", 0) for a in data):
        return [(None, as_samples(a)) for a in data]
    return [(None, as_samples(data))]


def align_targets(y: Any, shapes: Sequence[tuple[Any, ...]]) -> list[tuple[str | None, np.ndarray]]:
    """Targets as arrays; numbers for an output of one column become a column, as Keras has it."""
    arrays = [(n, in_memory(a)) for n, a in named_arrays(y)]
    if len(arrays) != len(shapes):
        return arrays
    return [(n, a[..., None] if a.ndim == len(s) - 1 and s[-1] == 1 and a.ndim else a) for (n, a), s in zip(arrays, shapes, strict=True)]


def target_specs(arrays: Sequence[tuple[str | None, np.ndarray]]) -> list[Spec]:
    """The inputs that targets call for; class numbers stay whole, all else becomes float32."""
    names = ["target"] if len(arrays) == 1 else [f"target_{i}" for i in range(len(arrays))]
    return [
        Spec(n, np.dtype(np.int64 if a.dtype.kind in "iu" else np.float32), ("batch", *a.shape[1:]))
        for n, (_, a) in zip(names, arrays, strict=True)
    ]


def match_specs(specs: Sequence[Spec], data: Any, role: str) -> dict[str, np.ndarray]:
    """Data as arrays by input name, in the types that they have; raises DataError where they do not fit."""
    given = data if isinstance(data, list) and data and isinstance(data[0], tuple) else named_arrays(data)
    if len(given) != len(specs):
        raise DataError(f"the model has {len(specs)} {role}s ({', '.join(s.name for s in specs)}), but {len(given)} were given")
    by_name = {n: a for n, a in given if n is not None}
    arrays = {spec.name: by_name.get(spec.name, array) for spec, (_, array) in zip(specs, given, strict=True)}
    for spec in specs:
        _check(spec, arrays[spec.name], role)
    return arrays


def converted(specs: Sequence[Spec], arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of the inputs' element types, as a session takes them; those of other names stay as they are."""
    dtypes = {s.name: to_numpy(s.dtype) for s in specs}
    return {name: np.ascontiguousarray(a, dtypes.get(name)) for name, a in arrays.items()}


def _check(spec: Spec, array: np.ndarray, role: str) -> None:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{role} {spec.name!r} holds {array.dtype}, but numbers are needed")
    if array.ndim != len(spec.shape) or any(isinstance(w, int) and w != h for w, h in zip(spec.shape, array.shape, strict=True)):
        wanted = ", ".join(str(d) for d in spec.shape)
        raise DataError(f"{role} {spec.name!r} has the shape {list(array.shape)}, but the model takes [{wanted}]")


def check_labels(recipe: Recipe, output_shapes: Sequence[tuple[Any, ...]], arrays: Mapping[str, np.ndarray]) -> None:
    """Refuses class numbers that the model has no output for; a Gather would wrap or read past them."""
    for spec, loss, shape in zip(recipe.targets, recipe.losses, output_shapes, strict=True):
        classes = shape[-1] if shape else None
        if loss is None or not loss.labels or not isinstance(classes, int):
            continue
        labels = in_memory(arrays[spec.name])
        if not labels.size:
            continue
        low, high = labels.min(), labels.max()
        if low < 0 or high >= classes:
            raise DataError(
                f"target {spec.name!r} holds the label {low if low < 0 else high}, but the model has the classes 0 to {classes - 1}"
            )


def by_output(value: Any, names: Sequence[str]) -> Any:
    """A dict by output as a list in the outputs' order, None where it says nothing; anything else as it is."""
    if not isinstance(value, Mapping):
        return value
    if len(names) == len(value) == 1:
        return next(iter(value.values()))
    unknown = [name for name in value if name not in names]
    if unknown:
        raise TrainingError(f"the model has no output called {unknown[0]!r}; its outputs are {', '.join(names)}")
    return [value.get(name) for name in names]


def one_each(value: Any, n: int, what: str) -> list[Any]:
    """One entry for each output, from one for all or a list."""
    values = list(value) if isinstance(value, list | tuple) else [value] * n
    if len(values) != n:
        raise TrainingError(f"the model has {n} outputs, but {len(values)} {what} entries were given")
    return values


def reported(losses: Sequence[Loss | None], plain: Any, weighted: Any) -> list[list[metrics.Metric]]:
    """What is told of each output: with several its loss, its metrics, and those that count samples by their weights."""
    several = len(losses) > 1
    each = zip(losses, _nested(plain, len(losses)), _nested(weighted, len(losses)), strict=True)
    found = [metrics.get_all([*([metrics.LossMetric(loss)] if several and loss is not None else []), *a, *b]) for loss, a, b in each]
    for chosen, b in zip(found, _nested(weighted, len(losses)), strict=True):
        for metric in chosen[len(chosen) - len(b) :]:
            metric.weighted = True
    return found


def _nested(value: Any, n: int) -> list[list[Any]]:
    """A list of metrics for each output: a list with an entry for each has as many; any other is for all of them."""
    nested = isinstance(value, list | tuple) and all(v is None or isinstance(v, list | tuple) for v in value)
    of_each = n > 1 and isinstance(value, list | tuple) and (nested or len(value) == n)
    entries = value if of_each else [value] * n
    if len(entries) != n:
        raise TrainingError(f"the model has {n} outputs, but {len(entries)} metrics entries were given")
    return [[] if v is None else list(v) if isinstance(v, list | tuple) else [v] for v in entries]


def split(data: Sequence[Any], fraction: float) -> tuple[list[Any], list[Any]]:
    """The first samples of inputs, targets and weights for training, the last for validation, as Keras splits."""
    x, y = data[:2]
    if not 0 < fraction < 1 or y is None:
        raise DataError(f"validation_split needs arrays x and y and a fraction between 0 and 1, not {fraction}")
    at = int(len(named_arrays(x)[0][1]) * (1 - fraction))
    return [_part(d, slice(0, at)) for d in data], [_part(d, slice(at, None)) for d in data]


def _part(data: Any, window: slice) -> Any:
    if data is None:
        return None
    if isinstance(data, Mapping):
        return {n: window_of(as_samples(a), window) for n, a in data.items()}
    arrays = [window_of(a, window) for _, a in named_arrays(data)]
    return arrays if isinstance(data, list | tuple) and len(arrays) > 1 else arrays[0]
