"""Metric: what a program accumulates across batches, and the value that follows from it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from onnxdl.config import Configurable
from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, as_tensor, tensor
from onnxdl.names import snake_case
from onnxdl.nn.losses.loss import Loss, aligned
from onnxdl.nn.metrics.variables import MetricVariable

Slots = Mapping[str, tuple[int, ...]]


class Metric(Configurable):
    """What training reports beside the loss; write your own by ``slots``, ``update`` and ``value``.

    Or as in Keras: ``add_variable`` in the constructor, ``update_state(y_true, y_pred, sample_weight)`` that assigns the
    variables, and ``result()``. Outside a program ``update_state`` takes a batch in, ``result()`` gives the value so far,
    and ``reset_state()`` begins anew.

    Args:
        name: its name in logs; by default the class's in snake case.
    """

    weighted = False
    """Whether the sample weights of a step count: those of ``compile(weighted_metrics=...)``."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        self.variables: list[MetricVariable] = []
        self._seen: dict[str, Tensor] = {}

    def add_variable(self, shape: Sequence[int] = (), initializer: Any = "zeros", dtype: Any = None, *, name: str | None = None) -> Any:
        """A new variable, float32 and zero at first."""
        if initializer not in ("zeros", None) or (dtype is not None and np.dtype(dtype) != np.float32):
            raise GraphError("the variables of a metric are float32 and start at zero")
        variable = MetricVariable(name or f"variable_{len(self.variables)}", shape)
        self.variables.append(variable)
        return variable

    def add_weight(self, shape: Sequence[int] = (), initializer: Any = "zeros", dtype: Any = None, *, name: str | None = None) -> Any:
        """Another name of ``add_variable``."""
        return self.add_variable(shape, initializer, dtype, name=name)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes a batch in: of arrays, outside a program."""

        def before(slot: str, shape: tuple[int, ...]) -> Tensor:
            return self._seen.get(slot, tensor(np.zeros(shape, np.float32)))

        weight = None if sample_weight is None else as_tensor(sample_weight)
        seen = self.advanced(before, as_tensor(y_true), as_tensor(y_pred), weight)
        self._seen = {slot: tensor(total.numpy()) for slot, total in seen.items()}

    def result(self) -> Tensor:
        """The value of what was seen outside a program."""
        return self.value(**(self._seen or {slot: tensor(np.zeros(shape, np.float32)) for slot, shape in self.slots().items()}))

    def reset_state(self) -> None:
        """Forgets what was seen outside a program."""
        self._seen = {}
        for variable in self.variables:
            variable.current = None

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Takes a batch in, outside a program; the value so far."""
        self.update_state(*args, **kwargs)
        return as_tensor(self.result())

    @property
    def plain(self) -> bool:
        """Whether it was made without arguments."""
        return not self._arguments.args and not self._arguments.kwargs

    def slots(self) -> Slots:
        """The shapes of what is accumulated, by name; all start at zero, float32. Asked for after the first ``update``."""
        if self.in_style_of_keras:
            return {variable.name: variable.shape for variable in self.variables}
        raise GraphError(f"{type(self).__name__} does not define slots()")

    def update(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Mapping[str, Tensor]:
        """What a batch adds to each slot."""
        raise GraphError(f"{type(self).__name__} does not define update()")

    def value(self, **slots: Tensor) -> Tensor:
        """The metric's value from what was accumulated."""
        raise GraphError(f"{type(self).__name__} does not define value()")

    def advanced(self, before: Before, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> dict[str, Tensor]:
        """What was accumulated with a batch more, ``before(slot, shape)`` being what there was."""
        if self.in_style_of_keras:
            for variable in self.variables:
                variable.current = before(variable.name, variable.shape)
            weighted = "sample_weight" in inspect.signature(self.update_state).parameters
            self.update_state(y_true, y_pred, **({"sample_weight": sample_weight} if weighted else {}))
            return {variable.name: as_tensor(variable) for variable in self.variables}
        given = (y_true, y_pred, sample_weight) if sample_weight is not None else (y_true, y_pred)
        added = self.update(*given)
        return {slot: before(slot, tuple(shape)) + added[slot] for slot, shape in self.slots().items()}

    def value_of(self, accumulated: Mapping[str, Tensor]) -> Tensor:
        """The metric's value from what was accumulated."""
        if not self.in_style_of_keras:
            return self.value(**accumulated)
        for variable in self.variables:
            variable.current = accumulated[variable.name]
        value = as_tensor(self.result())
        self.reset_state()
        return value

    @property
    def in_style_of_keras(self) -> bool:
        """Whether it defines ``update_state``."""
        return type(self).update_state is not Metric.update_state


Before = Callable[[str, tuple[int, ...]], Tensor]


class MeanMetric(Metric):
    """The weighted mean of ``values``, one number for each sample, over all samples."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """One number, or several, for each sample."""
        raise GraphError(f"{type(self).__name__} does not define values()")

    def slots(self) -> Slots:
        return {"total": (), "count": ()}

    def update(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Mapping[str, Tensor]:
        found = self.values(y_true, y_pred)
        values = op.Cast(found, to="float32")
        # counting a tensor of ones keeps the count on the device, where Shape would leave it
        weight = op.Cast(op.Equal(values, values), to="float32")
        for factor in (sample_weight, y_pred.mask, found.mask):
            if factor is not None:
                weight = weight * aligned(op.Cast(factor, to="float32"), values)
        weighted = any(factor is not None for factor in (sample_weight, y_pred.mask, found.mask))
        return {"total": op.ReduceSum(values * weight if weighted else values, keepdims=0), "count": op.ReduceSum(weight, keepdims=0)}

    def value(self, **slots: Tensor) -> Tensor:
        return no_nan(slots["total"], slots["count"])


class LossMetric(Metric):
    """The mean of a loss over the samples: what is told of one output among several."""

    weighted = True

    def __init__(self, loss: Loss) -> None:
        super().__init__("loss")
        self.loss = loss

    def slots(self) -> Slots:
        return {"total": (), "count": ()}

    def update(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Mapping[str, Tensor]:
        ones = op.Cast(op.Equal(y_pred, y_pred), to="float32")
        samples = op.ReduceSum(op.ReduceMean(ones, list(range(1, ones.ndim)), keepdims=0) if ones.ndim > 1 else ones, keepdims=0)
        return {"total": self.loss(y_true, y_pred, sample_weight) * samples, "count": samples}

    def value(self, **slots: Tensor) -> Tensor:
        return no_nan(slots["total"], slots["count"])


class MeanMetricWrapper(MeanMetric):
    """The mean of a function ``(y_true, y_pred, **options) -> one number a sample`` over all samples."""

    def __init__(self, fn: Callable[..., Tensor], name: str | None = None, **options: Any) -> None:
        super().__init__(name or fn.__name__)
        self.function, self.options = fn, options

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.function(y_true, y_pred, **self.options)


class NamedMetric(MeanMetricWrapper):
    """One of this package's functions as a class: it is made with the function's options and a name."""

    fn: Callable[..., Tensor]

    def __init__(self, *args: Any, name: str | None = None, **options: Any) -> None:
        function = type(self).fn
        bound = inspect.signature(function).bind(None, None, *args, **options)
        super().__init__(function, name or snake_case(type(self).__name__), **dict(list(bound.arguments.items())[2:]))

    def get_config(self) -> dict[str, Any]:
        """The options and the name."""
        return {**self.options, "name": self.name}


def no_nan(a: Tensor, b: Tensor) -> Tensor:
    """a / b, 0 where b is 0."""
    none = op.Equal(b, 0.0)
    return op.Where(none, 0.0, a / op.Where(none, 1.0, b))
