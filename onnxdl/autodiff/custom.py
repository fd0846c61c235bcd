"""A user's own backward rule for a piece of graph, and the barrier that no gradient passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import onnx_ir as ir

from onnxdl.autodiff.shapes import zeros_like
from onnxdl.errors import GradientError
from onnxdl.graph import op
from onnxdl.graph.tensor import Operators, Tensor, TensorLike, as_tensor
from onnxdl.graph.trace import where
from onnxdl.graph.walk import RECORD


@dataclass(eq=False)
class CustomGradient:
    """What the reverse pass reads at the Identity nodes that end a function with its own backward rule."""

    arguments: Sequence[Tensor]
    inner: Sequence[Tensor]
    backward_rule: Callable[..., Any]
    outputs: Sequence[ir.Value] = ()

    @property
    def inputs(self) -> list[ir.Value]:
        """What the backward rule gives gradients of."""
        return [t.value for t in self.arguments]

    @property
    def results(self) -> list[ir.Value]:
        """What the forward function computed."""
        return [t.value for t in self.inner]

    def copied(self, known: Mapping[ir.Value, Tensor | None]) -> CustomGradient:
        """The record among copies of its nodes."""

        def there(tensors: Sequence[Tensor]) -> list[Tensor]:
            return [t if (copy := known.get(t.value)) is None else copy for t in tensors]

        outputs = [v if (t := known.get(v)) is None else t.value for v in self.outputs]
        return CustomGradient(there(self.arguments), there(self.inner), self.backward_rule, outputs)

    def backward(self, totals: Sequence[Tensor | None]) -> Sequence[TensorLike | None]:
        """The gradients of ``inputs`` from those of ``outputs``; an output that no gradient reaches counts as zeros."""
        given = [zeros_like(t) if g is None else g for g, t in zip(totals, self.inner, strict=True)]
        results = self.backward_rule(*given)
        results = results if isinstance(results, tuple | list) else [results]
        if len(results) != len(self.arguments):
            raise GradientError(f"the backward function gave {len(results)} gradients for {len(self.arguments)} tensor arguments{where()}")
        return results


def custom_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a function its own backward rule in place of the derivative of what it computes.

    ``function(*args)`` returns ``(y, backward)``, y one tensor or a tuple of them; ``backward(*gs)`` takes the gradient of
    each and returns the gradient of each tensor argument, in order, None for none::

        @ox.custom_gradient
        def clipped(x):
            return x, lambda g: op.Clip(g, -1.0, 1.0)

    Returns:
        A function that returns y alone.

    Raises:
        GradientError: ``function`` does not return such a pair, or ``backward`` gives a wrong number of gradients.
    """

    @wraps(function)
    def wrapped(*args: Any, **options: Any) -> Any:
        args = tuple(as_tensor(a) if isinstance(a, Operators) else a for a in args)
        pair = function(*args, **options)
        if not isinstance(pair, tuple) or len(pair) != 2 or not callable(pair[1]):
            raise GradientError(f"{function.__name__} must return (y, backward) to be a custom gradient{where()}")
        y, backward = pair
        several = isinstance(y, tuple | list)
        inner = [as_tensor(t) for t in (y if several else [y])]
        record = CustomGradient([a for a in args if isinstance(a, Tensor)], inner, backward)
        ends = [op.Identity(t) for t in inner]
        record.outputs = [end.value for end in ends]
        for value in record.outputs:
            value.producer().meta[RECORD] = record  # type: ignore[union-attr]
        return tuple(ends) if several else ends[0]

    return wrapped


def stop_gradient(x: TensorLike) -> Tensor:
    """``x`` itself, as a constant to the reverse pass: no gradient goes through."""
    return custom_gradient(lambda t: (t, lambda g: None))(as_tensor(x))  # type: ignore[no-any-return]
