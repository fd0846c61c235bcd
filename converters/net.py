"""Net: a list of another framework's operators as a Layer, each written by a function from that framework's table."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onnxdl.errors import ConversionError, FormatError, OnnxdlError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, as_tensor
from onnxdl.graph.trace import scope
from onnxdl.nn import normalization
from onnxdl.nn.imported import Pretrained
from onnxdl.nn.layer import Layer
from onnxdl.nn.parameter import Parameter
from onnxdl.nn.regularization import dropout
from onnxdl.nn.structure import tensors_in
from onnxdl.train.composition import placeholder
from onnxdl.train.model import Model


@dataclass(frozen=True)
class Node:
    """One operator: its kind, its name, the names of what goes in and comes out, its attributes."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Use:
    """An operator at work: the node, whether the trace is one of training, whether statistics move, and the weights by name."""

    node: Node
    training: bool
    moving: bool
    weights: Mapping[str, Parameter]

    def weight(self, i: int) -> Parameter | None:
        """The Parameter that is the node's i-th input."""
        return self.weights.get(self.node.inputs[i])

    def batch_normalization(
        self, x: Tensor, gamma: Tensor, beta: Tensor, statistics: Sequence[int], epsilon: float, momentum: float, *, unbiased: bool
    ) -> Tensor:
        """Channels are axis 1; ``statistics`` are the places of running mean and variance among the inputs.

        They move to momentum * old + (1 - momentum) * batch, with the batch's variance divided by n - 1 where ``unbiased``.
        """
        mean, variance = (self.weight(i) for i in statistics)
        if mean is None or variance is None:
            raise ConversionError(f"the running statistics of {self.node.kind} {self.node.name!r} are computed, not stored")
        if not self.moving:
            return op.BatchNormalization(x, gamma, beta, mean, variance, epsilon=epsilon)
        y, batch_mean, batch_variance = normalization.by_batch_statistics(x, gamma, beta, epsilon)
        seen = normalization.unbiased(batch_variance, x) if unbiased else batch_variance
        mean.assign(normalization.moved(mean, batch_mean, momentum))
        variance.assign(normalization.moved(variance, seen, momentum))
        return y

    def dropout(self, x: Tensor, rate: float) -> Tensor:
        """Drops while training."""
        return dropout(x, rate) if self.training and rate > 0 else x


Write = Callable[..., Any]
_WRONG = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
"""What an operator's function raises when attributes from a file make no sense."""


@dataclass
class Table:
    """The operators of a framework that have an equal here: the function that writes each, and which inputs are running statistics.

    A function takes a ``Use``, the inputs (None where one is left out), and the attributes by keyword; one that it does not
    name, or that was not registered as ``also`` its own, is refused unless it is in ``ignored``.
    """

    framework: str
    ignored: frozenset[str]
    functions: dict[str, Write] = field(default_factory=dict)
    statistics: dict[str, tuple[int, ...]] = field(default_factory=dict)
    also: dict[str, frozenset[str]] = field(default_factory=dict)

    def operator(self, *kinds: str, statistics: tuple[int, ...] = (), also: frozenset[str] = frozenset()) -> Callable[[Write], Write]:
        """Registers a function for operators of these kinds."""

        def register(function: Write) -> Write:
            for kind in kinds:
                self.functions[kind] = function
                self.statistics[kind] = statistics
                self.also[kind] = also
            return function

        return register

    def check(self, nodes: Sequence[Node], origin: str) -> None:
        """Refuses what has no equal here, all at once.

        Raises:
            ConversionError: operators, or attributes of theirs, are not known.
        """
        unknown = sorted({n.kind for n in nodes if n.kind not in self.functions})
        if unknown:
            raise ConversionError(f"{origin} uses {self.framework} operators that have no equal here: {', '.join(unknown)}")
        odd = sorted({f"{n.kind}({a})" for n in nodes for a in n.attributes if a not in self._named(n.kind) and a not in self.ignored})
        if odd:
            raise ConversionError(f"{origin} uses {self.framework} attributes that have no equal here: {', '.join(odd)}")

    def _named(self, kind: str) -> set[str]:
        parameters = inspect.signature(self.functions[kind]).parameters.values()
        return {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY} | self.also[kind]


class Net(Layer):
    """A net of another framework; its weights are Parameters under their own names.

    Dropout drops and batch normalisation uses the batch's statistics while training, unless the layer is frozen.

    Args:
        table: the framework's operators.
        nodes: in the order of computation.
        inputs: the names of the inputs.
        outputs: the names of the outputs.
        arrays: the weights.
        origin: the file, for messages.
        fixed: weights that training leaves as they are.
    """

    scoped = False
    full_precision = True

    def __init__(
        self,
        table: Table,
        nodes: Sequence[Node],
        inputs: Sequence[str],
        outputs: Sequence[str],
        arrays: Mapping[str, np.ndarray],
        origin: str,
        fixed: Collection[str] = (),
    ) -> None:
        super().__init__()
        table.check(nodes, origin)
        self.table, self.nodes, self.inputs, self.outputs, self.origin = table, list(nodes), list(inputs), list(outputs), origin
        statistics = {n.inputs[i] for n in nodes for i in table.statistics[n.kind] if i < len(n.inputs)}
        used = {name for n in nodes for name in n.inputs}
        self._held: dict[str, Parameter] = {}
        for name, array in arrays.items():
            if name in used:
                trainable = np.issubdtype(array.dtype, np.floating) and name not in statistics and name not in fixed
                parameter = self.add_weight(array.shape, Pretrained(name, array), array.dtype, trainable, name=name)
                parameter.value = array
                self._held[name] = parameter
        lacking = used - {o for n in nodes for o in n.outputs} - set(self._held) - set(self.inputs) - {""}
        if lacking:
            raise ConversionError(f"{origin} holds no values for {', '.join(sorted(lacking))}")

    def call(self, *inputs: Any, training: bool = False) -> Any:
        values: dict[str, Tensor | None] = {name: as_tensor(p) for name, p in self._held.items()}
        values.update(zip(self.inputs, tensors_in(list(inputs)), strict=True))
        for node in self.nodes:
            use = Use(node, training, training and self.trainable, self._held)
            if absent := [name for name in node.inputs if name and name not in values]:
                raise FormatError(f"{self.origin}, {node.kind} {node.name!r}: nothing before it gives {absent[0]!r}; the file is damaged")
            given = [values[name] if name else None for name in node.inputs]
            known = {k: v for k, v in node.attributes.items() if k not in self.table.ignored}
            with scope(node.name.strip("/")):
                try:
                    results = self.table.functions[node.kind](use, *given, **known)
                except OnnxdlError as error:
                    raise ConversionError(f"{self.origin}, {node.kind} {node.name!r}: {error}") from error
                except _WRONG as error:
                    raise FormatError(
                        f"{self.origin}, {node.kind} {node.name!r}: its inputs or attributes make no sense "
                        f"({type(error).__name__}: {error}); the file is damaged"
                    ) from error
            # an operator may give fewer results than the file names, where the others are workspace that nobody reads
            values.update(zip(node.outputs, results if isinstance(results, tuple) else (results,), strict=False))
        if absent := [name for name in self.outputs if name not in values]:
            raise FormatError(f"{self.origin}: nothing gives the output {absent[0]!r}; the file is damaged")
        found = [values[name] for name in self.outputs]
        return found[0] if len(found) == 1 else found


def model_of(net: Net, shapes: Mapping[str, Sequence[int | str | None]], dtypes: Mapping[str, Any], name: str) -> Model:
    """The Model of a net; ``shapes`` and ``dtypes`` are its inputs', the batch first."""
    inputs = [placeholder(n, dtypes.get(n, np.float32), [d or f"{n}_{i}" for i, d in enumerate(shapes[n])]) for n in net.inputs]
    model = Model(inputs, net(*inputs), name=name)
    model.output_names = list(net.outputs)
    return model
