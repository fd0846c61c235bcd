"""Layer: parameters and sub-layers plus ``call``. It only writes graph, and may be traced many times."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import Any, ClassVar

import numpy as np

from onnxdl.config import Configurable
from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.dtypes import DTypeLike
from onnxdl.graph.tensor import Operators, Tensor, as_tensor
from onnxdl.graph.trace import current_trace, scope
from onnxdl.names import snake_case
from onnxdl.nn import constraints, initializers, precision, regularizers
from onnxdl.nn.parameter import Parameter
from onnxdl.nn.structure import in_region, map_tensors, masks_of, set_masks, tensors_in

_training: ContextVar[bool | None] = ContextVar("onnxdl_training", default=None)

_watcher: ContextVar[Callable[[Layer, Any], None] | None] = ContextVar("onnxdl_layer_watcher", default=None)


@contextmanager
def watching(watcher: Callable[[Layer, Any], None]) -> Iterator[None]:
    """Tells ``watcher`` of each layer called inside, with its result."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


class Layer(Configurable):
    """What networks are made of; write your own as a Keras user does.

    Override ``call``, and ``build(self, input_shape)`` where weights depend on the input's shape, in which the batch and
    other symbolic dimensions are None.

    Args:
        name: its name among its siblings; by default the attribute's name or the class's in snake case.
        trainable: False freezes all its weights.
        dtype: the element type of its weights.
        autocast: whether it computes in float16 under mixed precision.
        activity_regularizer: a regularizer whose value on the outputs, divided by the batch's size, is added to the loss.
        weight_options: for a layer with ``weight_options = ("kernel", "bias")``, what its weights are given by name:
            ``kernel_regularizer``, ``kernel_constraint``, ``bias_regularizer`` and ``bias_constraint``. Also, for the first layer
            of a Sequential, its input's shape: ``input_shape`` or ``input_dim`` without the batch, ``batch_input_shape`` with it.
    """

    weight_options: ClassVar[tuple[str, ...]] = ()
    supports_masking: ClassVar[bool] = False
    full_precision = False
    """Whether it computes in float32 under mixed precision too."""
    remat: bool = False
    """Whether the gradient computes again what happens inside, as ``ox.remat`` says."""
    scoped: ClassVar[bool] = True  # False where names must stand as they are, without the layer's own before them

    def __init__(
        self,
        name: str | None = None,
        *,
        trainable: bool = True,
        dtype: DTypeLike = "float32",
        activity_regularizer: Any = None,
        autocast: bool = True,
        **weight_options: Any,
    ) -> None:
        self.name = name
        self.built = False
        self.dtype = dtype
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.full_precision = type(self).full_precision or not autocast
        self._trainable = trainable
        self._parameters: dict[str, Parameter] = {}
        self._symbolic: tuple[Any, Any] | None = None
        self.batch_input_shape = _given_shape(weight_options)
        self._options = weight_options
        known = {f"{w}_{kind}" for w in self.weight_options for kind in ("regularizer", "constraint")}
        for option in weight_options:
            if option not in known:
                raise TypeError(f"{type(self).__name__} takes no argument {option!r}")

    @property
    def input(self) -> Any:
        """What it was given at its first symbolic call: the tensors to begin another Model at."""
        return self._first_call()[0]

    @property
    def output(self) -> Any:
        """What its first symbolic call gave: the tensors to end another Model at."""
        return self._first_call()[1]

    def _first_call(self) -> tuple[Any, Any]:
        if self._symbolic is None:
            raise GraphError(f"{self!r} has no input and output yet: it was not called on an Input or a result of one")
        return self._symbolic

    def note_call(self, args: Any, result: Any) -> None:
        """Remembers a symbolic call as ``input`` and ``output``; the first one stays."""
        if self._symbolic is None:
            self._symbolic = args[0] if len(args) == 1 else list(args), result

    def build(self, input_shape: Any) -> None:
        """Creates the weights; called once, before the first ``call``."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Writes the layer's graph."""
        raise GraphError(f"{type(self).__name__} does not define call(self, x)")

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: Any = "glorot_uniform",
        dtype: DTypeLike | None = None,
        trainable: bool = True,
        *,
        name: str | None = None,
        regularizer: Any = None,
        constraint: Any = None,
    ) -> Parameter:
        """A new Parameter of this layer; by default the layer's own dtype and the options given for its name."""
        name = name or f"weight_{len(self._parameters)}"
        if name in self._parameters:
            raise GraphError(f"{type(self).__name__} has a weight called {name!r} already; give this one another name")
        parameter = Parameter(shape, initializers.get(initializer), dtype=dtype or self.dtype, trainable=trainable, name=name)
        option = name.removesuffix("_kernel")
        parameter.regularizer = regularizers.get(regularizer or self._options.get(f"{option}_regularizer"))
        parameter.constraint = constraints.get(constraint or self._options.get(f"{option}_constraint"))
        self._parameters[name] = parameter
        return parameter

    def add_loss(self, loss: Any) -> None:
        """Adds a tensor's sum to the loss of the step being traced; outside a trace there is no loss to add to."""
        trace = current_trace()
        if trace is not None:
            trace.root.losses.append(as_tensor(loss))

    def regularization_losses(self) -> list[Tensor]:
        """What the regularizers say of the trainable weights."""
        return [p.regularizer(as_tensor(p)) for p in self.trainable_weights if p.regularizer is not None]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The output's mask, for layers that support masking: which steps count, bool (batch, time); by default the input's."""
        return mask

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for the input's, or a structure of shapes; unknown sizes are None. The layer is built by it."""
        from onnxdl.nn.symbolic import output_shape

        return output_shape(self, input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments by name, as plain data, with the present name and ``trainable``."""
        accepted = inspect.signature(type(self).__init__).parameters
        rest = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in accepted.values())
        present = {"name": self.name, "trainable": self._trainable}
        config = {**super().get_config(), **{k: v for k, v in present.items() if rest or k in accepted}}
        for chosen in ("data_format", "axis"):  # what the default was when the layer was made
            if chosen in config and config[chosen] is None:
                config[chosen] = getattr(self, chosen, None)
        return config

    def __call__(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        args, kwargs = map_data(args), map_data(kwargs)
        if any(t.symbolic for t in tensors_in((args, kwargs))):
            from onnxdl.nn.symbolic import record

            return record(self, args, kwargs, training)
        with scope((self.name or snake_case(type(self).__name__)).replace(".", "/")) if self.scoped else nullcontext():
            call = self.at_top if not self.remat else partial(in_region, self.at_top)
            result = call(*args, training=training, **kwargs)
        watcher = _watcher.get()
        if watcher is not None:
            watcher(self, result)
        return result

    def at_top(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Like calling it, without a scope of its own: its layers stand at the top of the graph."""
        token = _training.set(training if training is not None else self._inherited_training())
        try:
            self._build_once(args, kwargs)
            with_context = self._with_context(args, kwargs)
            outputs = precision.called(self.call, self.full_precision, args, with_context)
            if self.activity_regularizer is not None:
                for t in tensors_in(outputs):
                    self.add_loss(self.activity_regularizer(t) / _batch_size(t))
            if self.supports_masking:
                first = args[0] if args else None
                set_masks(outputs, self.compute_mask(first, masks_of(first, with_context.get("mask"))))
            return outputs
        finally:
            _training.reset(token)

    def _inherited_training(self) -> bool:
        outer = _training.get()
        if outer is not None:
            return outer
        trace = current_trace()
        return trace.root.training if trace is not None else False

    def _with_context(self, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The keywords of ``call``, with ``training``, ``mask`` and each ``<argument>_mask`` where it takes them."""
        accepted = inspect.signature(self.call).parameters
        given = {**dict(zip(accepted, args, strict=False)), **kwargs}
        context: dict[str, Any] = {"training": bool(_training.get())} if "training" in accepted else {}
        if "mask" in accepted and "mask" not in given and args:
            context["mask"] = masks_of(args[0])
        context.update((f"{k}_mask", masks_of(v)) for k, v in given.items() if f"{k}_mask" in accepted and f"{k}_mask" not in given)
        return {**kwargs, **context}

    def _build_once(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Calls ``build`` with the first argument's shape, and ``<argument>_shape`` for those it asks for by name."""
        self._name_children()
        if not self.built:
            given = {**dict(zip(inspect.signature(self.call).parameters, args, strict=False)), **kwargs}
            shapes = {f"{k}_shape": map_tensors(_known_shape, v) for k, v in given.items() if tensors_in(v)}
            others = list(inspect.signature(self.build).parameters)[1:]
            self.build(next(iter(shapes.values()), None), **{k: shapes[k] for k in others if k in shapes})
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
        names: set[str] = set()
        for name, parameter in self._walk(prefix):
            if id(parameter) not in seen:
                if name in names:
                    raise GraphError(f"two weights of {self!r} are called {name!r}; give the layers that hold them names of their own")
                seen.add(id(parameter))
                names.add(name)
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
            if parameter.adapter is not None:
                yield from ((f"{prefix}{name}.{p.name}", p) for p in parameter.adapter.parameters)
        for name, child in self.children():
            yield from child._walk(f"{prefix}{child.name or name}." if child.scoped else prefix)

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
            for parameter in layer._own():
                parameter.frozen = parameter.frozen and not value

    @property
    def weights(self) -> list[Parameter]:
        """All parameters, trainable or not."""
        return [p for _, p in self.named_parameters()]

    @property
    def variables(self) -> list[Parameter]:
        """Another name of ``weights``."""
        return self.weights

    @property
    def trainable_variables(self) -> list[Parameter]:
        """Another name of ``trainable_weights``."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Parameter]:
        """Another name of ``non_trainable_weights``."""
        return self.non_trainable_weights

    @property
    def trainable_weights(self) -> list[Parameter]:
        """The parameters that training changes."""
        frozen = {id(p) for layer in self.layers_below() if not layer._trainable for p in layer._own()}
        return [p for p in self.weights if p.trainable and not p.frozen and id(p) not in frozen]

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


def _given_shape(options: dict[str, Any]) -> tuple[int | None, ...] | None:
    """Takes what says the shape of a first layer's input out of its options; the shape begins with the batch's."""
    width, shape, whole = options.pop("input_dim", None), options.pop("input_shape", None), options.pop("batch_input_shape", None)
    if whole is not None:
        return tuple(whole)
    if shape is None:
        return None if width is None else (None, width)
    return (None, *shape)


def _batch_size(t: Tensor) -> Any:
    if t.ndim == 0 or isinstance(t.shape[0], int):
        return t.shape[0] if t.ndim else 1
    # adding up ones keeps the number on the device, where Shape would leave it
    ones = op.Slice(op.Flatten(t), [0], [1], [1]) * 0.0 + 1.0
    return op.ReduceSum(ones, keepdims=0)


def _known_shape(t: Tensor) -> tuple[int | None, ...]:
    return tuple(d if isinstance(d, int) else None for d in t.shape)


def _layers_under(name: str, value: Any) -> Iterator[tuple[str, Layer]]:
    if isinstance(value, Layer):
        yield name, value
    elif isinstance(value, list | tuple):
        for i, member in enumerate(value):
            yield from _layers_under(f"{name}.{i}", member)
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from _layers_under(f"{name}.{key}", member)
