"""Users' data and settings matched to a model's inputs and outputs, with errors that name the odd one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnxdl.errors import DataError, TrainingError
from onnxdl.graph.dtypes import to_numpy
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import metrics
from onnxdl.train.step import Recipe, Spec


def spec_of(t: Tensor, i: int) -> Spec:
    """The input that an ``Input`` tensor stands for."""
    return Spec(t.name or ("input" if i == 0 else f"input_{i}"), t.dtype, t.shape)


def spec_from(array: np.ndarray, i: int, name: str | None) -> Spec:
    """The input that an array of samples calls for; whole numbers stay whole, all else becomes float32."""
    dtype = np.dtype(np.int64) if array.dtype.kind == "i" else np.dtype(np.float32)
    return Spec(name or ("input" if i == 0 else f"input_{i}"), dtype, ("batch", *array.shape[1:]))


def target_spec_dtype(array: np.ndarray) -> np.dtype[Any]:
    """Class numbers stay whole, all else becomes float32."""
    return np.dtype(np.int64 if array.dtype.kind in "iu" else np.float32)


def named_arrays(data: Any) -> list[tuple[str | None, np.ndarray]]:
    """Users' data as pairs of a name, or None, and an array."""
    if isinstance(data, Mapping):
        return [(str(n), np.asarray(a)) for n, a in data.items()]
    if isinstance(data, list | tuple) and any(isinstance(a, np.ndarray | Tensor) for a in data):
        return [(None, np.asarray(a)) for a in data]
    return [(None, np.asarray(data))]


def fit_to_specs(specs: Sequence[Spec], data: Any, role: str) -> dict[str, np.ndarray]:
    """Data as arrays of the inputs' types, by name; raises DataError where it does not fit."""
    given = data if isinstance(data, list) and data and isinstance(data[0], tuple) else named_arrays(data)
    if len(given) != len(specs):
        raise DataError(f"the model has {len(specs)} {role}s ({', '.join(s.name for s in specs)}), but {len(given)} were given")
    by_name = {n: a for n, a in given if n is not None}
    arrays: dict[str, np.ndarray] = {}
    for spec, (_, array) in zip(specs, given, strict=True):
        array = by_name.get(spec.name, array)
        arrays[spec.name] = _checked(spec, array, role)
    return arrays


def _checked(spec: Spec, array: np.ndarray, role: str) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{role} {spec.name!r} holds {array.dtype}, but numbers are needed")
    if array.ndim != len(spec.shape) or any(isinstance(w, int) and w != h for w, h in zip(spec.shape, array.shape, strict=True)):
        wanted = ", ".join(str(d) for d in spec.shape)
        raise DataError(f"{role} {spec.name!r} has the shape {list(array.shape)}, but the model takes [{wanted}]")
    return np.ascontiguousarray(array, to_numpy(spec.dtype))


def check_labels(recipe: Recipe, output_shapes: Sequence[tuple[Any, ...]], arrays: Mapping[str, np.ndarray]) -> None:
    """Refuses class numbers that the model has no output for; a Gather would wrap or read past them."""
    for spec, loss, shape in zip(recipe.targets, recipe.losses, output_shapes, strict=True):
        labels, classes = arrays[spec.name], shape[-1] if shape else None
        if not loss.labels or not isinstance(classes, int) or not labels.size:
            continue
        low, high = labels.min(), labels.max()
        if low < 0 or high >= classes:
            raise DataError(
                f"target {spec.name!r} holds the label {low if low < 0 else high}, but the model has the classes 0 to {classes - 1}"
            )


def one_each(value: Any, n: int, what: str) -> list[Any]:
    """One entry for each output, from one for all or a list."""
    values = list(value) if isinstance(value, list | tuple) else [value] * n
    if len(values) != n:
        raise TrainingError(f"the model has {n} outputs, but {len(values)} {what} entries were given")
    return values


def metrics_each(value: Any, n: int) -> list[list[metrics.Metric]]:
    """The metrics of each output."""
    if value is None:
        return [[] for _ in range(n)]
    nested = value if n > 1 and isinstance(value, list | tuple) and all(isinstance(v, list | tuple) for v in value) else [value] * n
    return [metrics.get_all(v if isinstance(v, list | tuple) else [v]) for v in nested]


def split(x: Any, y: Any, fraction: float) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """The first samples for training, the last for validation, as Keras splits."""
    if not 0 < fraction < 1 or y is None:
        raise DataError(f"validation_split needs arrays x and y and a fraction between 0 and 1, not {fraction}")

    def part(data: Any, window: slice) -> Any:
        if isinstance(data, Mapping):
            return {n: np.asarray(a)[window] for n, a in data.items()}
        arrays = [a[window] for _, a in named_arrays(data)]
        return arrays if isinstance(data, list | tuple) and len(arrays) > 1 else arrays[0]

    at = int(len(named_arrays(x)[0][1]) * (1 - fraction))
    return (part(x, slice(0, at)), part(y, slice(0, at))), (part(x, slice(at, None)), part(y, slice(at, None)))
