"""Layer: parameters and sub-layers plus ``call``. It only writes graph, and may be traced many times."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from onnxdl.errors import GraphError
from onnxdl.graph.dtypes import DTypeLike
from onnxdl.graph.tensor import Operators, Tensor, as_tensor
from onnxdl.graph.trace import current_trace, scope
from onnxdl.nn import initializers
from onnxdl.nn.names import snake_case
from onnxdl.nn.parameter import Parameter
from onnxdl.nn.structure import map_tensors, tensors_in

_training: ContextVar[bool | None] = ContextVar("onnxdl_training", default=None)


class Layer:
    """What networks are made of; write your own as a Keras user does.

    Override ``call``, and ``build(self, input_shape)`` where weights depend on the input's shape, in which the batch and
    other symbolic dimensions are None.

    Args:
        name: its name among its siblings; by default the attribute's name or the class's in snake case.
        trainable: False freezes all its weights.
    """

    def __init__(self, name: str | None = None, *, trainable: bool = True) -> None:
        self.name = name
        self.built = False
        self._trainable = trainable
        self._parameters: dict[str, Parameter] = {}

    def build(self, input_shape: Any) -> None:
        """Creates the weights; called once, before the first ``call``."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Writes the layer's graph."""
        raise GraphError(f"{type(self).__name__} does not define call(self, x)")

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: Any = "glorot_uniform",
        dtype: DTypeLike = "float32",
        trainable: bool = True,
        *,
        name: str | None = None,
    ) -> Parameter:
        """A new Parameter of this layer."""
        name = name or f"weight_{len(self._parameters)}"
        if name in self._parameters:
            raise GraphError(f"{type(self).__name__} has a weight called {name!r} already; give this one another name")
        parameter = Parameter(shape, initializers.get(initializer), dtype=dtype, trainable=trainable, name=name)
        self._parameters[name] = parameter
        return parameter

    def __call__(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        args, kwargs = map_data(args), map_data(kwargs)
        if any(t.symbolic for t in tensors_in((args, kwargs))):
            from onnxdl.nn.symbolic import record

            return record(self, args, kwargs, training)
        with scope((self.name or snake_case(type(self).__name__)).replace(".", "/")):
            return self.at_top(*args, training=training, **kwargs)

    def at_top(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Like calling it, without a scope of its own: its layers stand at the top of the graph."""
        token = _training.set(training if training is not None else self._inherited_training())
        try:
            self._build_once(args)
            return self.call(*args, **self._with_training(kwargs))
        finally:
            _training.reset(token)

    def _inherited_training(self) -> bool:
        outer = _training.get()
        if outer is not None:
            return outer
        trace = current_trace()
        return trace.root.training if trace is not None else False

    def _with_training(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        if "training" in inspect.signature(self.call).parameters:
            return {**kwargs, "training": bool(_training.get())}
        return kwargs

    def _build_once(self, args: Sequence[Any]) -> None:
        self._name_children()
        if not self.built:
            shapes = map_tensors(lambda t: tuple(d if isinstance(d, int) else None for d in t.shape), list(args))
            self.build(shapes[0] if len(shapes) == 1 else shapes)
            self.built = True
            self._name_children()

    # ---- its tree -----------------------------------------------------------------------------------------------

    def children(self) -> Iterator[tuple[str, Layer]]:
        """Its sub-layers with their names: attributes, and members of attributes that are lists, tuples or dicts."""
        for attribute, value in list(vars(self).items()):
            yield from _layers_under(attribute, value)

    def _name_children(self) -> None:
        for name, child in self.children():
            if child.name is None:
                child.name = name

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """All parameters below, each once, under the name that the State gives it: ``encoder.0.kernel``."""
        seen: set[int] = set()
        for name, parameter in self._walk(prefix):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter

    def _walk(self, prefix: str) -> Iterator[tuple[str, Parameter]]:
        self._name_children()
        own = dict(self._parameters)
        known = {id(p) for p in own.values()}
        for attribute, value in vars(self).items():
            if isinstance(value, Parameter) and id(value) not in known:
                own[value.name or attribute] = value
        for name, parameter in own.items():
            yield f"{prefix}{name}", parameter
        for name, child in self.children():
            yield from child._walk(f"{prefix}{child.name or name}.")

    def layers_below(self) -> Iterator[Layer]:
        """This layer and every layer below it, each once."""
        seen: set[int] = set()
        pending: list[Layer] = [self]
        while pending:
            layer = pending.pop()
            if id(layer) not in seen:
                seen.add(id(layer))
                yield layer
                pending.extend(reversed([child for _, child in layer.children()]))

    @property
    def trainable(self) -> bool:
        """Whether its weights are trained; setting it sets every layer below too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.layers_below():
            layer._trainable = bool(value)

    @property
    def weights(self) -> list[Parameter]:
        """All parameters, trainable or not."""
        return [p for _, p in self.named_parameters()]

    @property
    def trainable_weights(self) -> list[Parameter]:
        """The parameters that training changes."""
        frozen = {id(p) for layer in self.layers_below() if not layer._trainable for p in layer._own()}
        return [p for p in self.weights if p.trainable and id(p) not in frozen]

    @property
    def non_trainable_weights(self) -> list[Parameter]:
        """Running statistics and frozen weights."""
        trained = {id(p) for p in self.trainable_weights}
        return [p for p in self.weights if id(p) not in trained]

    def _own(self) -> list[Parameter]:
        return [*self._parameters.values(), *(v for v in vars(self).values() if isinstance(v, Parameter))]

    def get_weights(self) -> list[np.ndarray]:
        """The values of all parameters, in the order of ``weights``."""
        return [p.value for p in self.weights]

    def set_weights(self, values: Sequence[np.ndarray]) -> None:
        """Sets the values of all parameters, in the order of ``weights``."""
        weights = self.weights
        if len(values) != len(weights):
            raise GraphError(f"{self!r} has {len(weights)} weights, but {len(values)} values were given; is it built?")
        for parameter, value in zip(weights, values, strict=True):
            parameter.value = value

    def count_params(self) -> int:
        """The number of elements of all parameters."""
        return sum(p.size for p in self.weights)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})" if self.name else f"{type(self).__name__}()"


def map_data(tree: Any) -> Any:
    """Arrays and Parameters of a structure as tensors."""
    if isinstance(tree, np.ndarray) or (isinstance(tree, Operators) and not isinstance(tree, Tensor)):
        return as_tensor(tree)
    if isinstance(tree, dict):
        return {k: map_data(v) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(map_data(v) for v in tree)
    return tree


def _layers_under(name: str, value: Any) -> Iterator[tuple[str, Layer]]:
    if isinstance(value, Layer):
        yield name, value
    elif isinstance(value, list | tuple):
        for i, member in enumerate(value):
            yield from _layers_under(f"{name}.{i}", member)
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from _layers_under(f"{name}.{key}", member)
