"""Users' data as batches of a model: arrays, or whatever gives batches, with the weights of samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from onnxdl.data import ArrayBatches, Batches, IterableBatches, SequenceBatches
from onnxdl.data.lazy import LazyArray
from onnxdl.data.streams import is_sequence
from onnxdl.errors import DataError
from onnxdl.graph import random
from onnxdl.graph.dtypes import to_numpy
from onnxdl.graph.tensor import Tensor
from onnxdl.train.matching import named_arrays
from onnxdl.train.step import Spec

if TYPE_CHECKING:
    from onnxdl.train.model import Model

ClassWeight = Mapping[int, float]


class Feed(NamedTuple):
    """Batches, and the inputs among them that weight the samples."""

    batches: Batches
    weights: tuple[Spec, ...] = ()


def feed(
    model: Model,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    class_weight: ClassWeight | None = None,
    batch_size: int | None = None,
    shuffle: bool = False,
    steps: int | None = None,
    training: bool = False,
    first_epoch: int = 0,
    targets: bool = True,
) -> Feed:
    """The batches of users' data; the model is built from them if it is not yet.

    Args:
        model: the model they are for.
        x: inputs: arrays, or what gives batches.
        y: targets, where ``x`` is arrays.
        sample_weight: weights of the samples, likewise.
        class_weight: weights of the samples by their class.
        batch_size: samples a batch, 32 by default.
        shuffle: whether each epoch has an order of its own.
        steps: the batches of an epoch.
        training: whether the next epoch goes on where ``steps`` cut the one before.
        first_epoch: the epoch that begins with the first batch.
        targets: whether there are targets; without, only inputs are taken.
    """
    seed = random.default_seed()
    if not is_stream(x, y):
        if targets and y is None:
            raise DataError("there are no targets: pass y, or let x be an iterable of batches (x, y)")
        model.ensure_built(x)
        if targets:
            model.ensure_targets(y)
        weights = weight_arrays(model, y, sample_weight, class_weight)
        arrays = model.match(x, y if targets else None)
        specs = [*model.training_inputs(), *model.target_specs] if targets else model.input_specs
        dtypes = {s.name: to_numpy(s.dtype) for s in specs}
        samples = {**arrays, **weights}
        whole = ArrayBatches(samples, batch_size or 32, shuffle=shuffle, seed=seed, dtypes=dtypes, steps=steps)
        whole.steps = whole.steps if training else min(whole.steps, -(-whole.samples // whole.batch_size))
        return Feed(whole, weight_specs(weights))

    def to_arrays(item: Any) -> dict[str, np.ndarray]:
        bx, by, bw = unpack(item)
        return model.batch(bx, by if targets else None, weight_arrays(model, by, bw, class_weight))

    if y is not None or sample_weight is not None:
        raise DataError("where x gives batches, they hold targets and weights too: (x, y) or (x, y, sample_weight)")
    batches: IterableBatches | SequenceBatches
    if is_sequence(x):
        batches = SequenceBatches(x, to_arrays, shuffle=shuffle, seed=seed, steps=steps)
    else:
        batches = IterableBatches(x, to_arrays, steps=steps, continued=training, first_epoch=first_epoch)
    first_x, first_y, first_weight = unpack(batches.peek())
    if targets and first_y is None:
        raise DataError("without y, x must be an iterable of batches (x, y)")
    model.ensure_built(first_x)
    if targets:
        model.ensure_targets(first_y)
    return Feed(batches, weight_specs(weight_arrays(model, first_y, first_weight, class_weight)))


def is_stream(x: Any, y: Any = None) -> bool:
    """Whether ``x`` gives batches rather than being the samples."""
    if callable(x):
        return True
    if y is not None or isinstance(x, np.ndarray | LazyArray | Tensor | Mapping) or hasattr(x, "__array__"):
        return False
    return not isinstance(x, list | tuple) or bool(x and isinstance(x[0], tuple))


def unpack(item: Any) -> tuple[Any, Any, Any]:
    """A batch of a stream, or validation data, as inputs, targets and weights; what is missing is None."""
    if not isinstance(item, tuple | list):
        return item, None, None
    if not 1 <= len(item) <= 3:
        raise DataError(f"a batch is (x,), (x, y) or (x, y, sample_weight), not {len(item)} things")
    x, y, weight = (*item, None, None)[:3]
    return x, y, weight


def weight_arrays(model: Model, y: Any, sample_weight: Any, class_weight: ClassWeight | None = None) -> dict[str, np.ndarray]:
    """The weights of samples as float32 arrays by input name: one for all outputs, or one for each."""
    if class_weight is not None:
        if sample_weight is not None:
            raise DataError("sample_weight and class_weight cannot be given together; multiply them into one sample_weight")
        sample_weight = _by_class(model, y, class_weight)
    if sample_weight is None:
        return {}
    outputs = len(model.output_names)
    if isinstance(sample_weight, Mapping):
        if set(sample_weight) != set(model.output_names) and outputs > 1:
            raise DataError(f"sample_weight is for {', '.join(sample_weight)}, but the outputs are {', '.join(model.output_names)}")
        sample_weight = [sample_weight[n] for n in model.output_names] if outputs > 1 else list(sample_weight.values())
    given = [np.ascontiguousarray(a, np.float32) for _, a in named_arrays(sample_weight)]
    if len(given) not in (1, outputs):
        raise DataError(f"the model has {outputs} outputs, but sample_weight holds {len(given)} arrays")
    return {"sample_weight" if len(given) == 1 else f"sample_weight_{i}": a for i, a in enumerate(given)}


def _by_class(model: Model, y: Any, class_weight: ClassWeight) -> np.ndarray:
    if len(model.output_names) != 1:
        raise DataError("class_weight is for models with one output; pass a list as sample_weight")
    ((_, labels),) = named_arrays(y)
    if labels.ndim > 1:
        labels = labels[..., 0] if labels.shape[-1] == 1 else np.argmax(labels, axis=-1)
    values, places = np.unique(np.round(np.asarray(labels)).astype(np.int64), return_inverse=True)
    return np.array([class_weight.get(int(v), 1.0) for v in values], np.float32)[places].reshape(labels.shape)


def weight_specs(weights: Mapping[str, np.ndarray]) -> tuple[Spec, ...]:
    """The inputs that weights ask for."""
    return tuple(Spec(name, np.dtype(np.float32), ("batch", *a.shape[1:])) for name, a in weights.items())
