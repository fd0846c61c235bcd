"""``@ox.function``: the static graph. A Python function traced once for each signature of its inputs, then run as one session."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxdl import runtime
from onnxdl.errors import GraphError
from onnxdl.graph.tensor import Operators, Tensor, as_tensor, tensor
from onnxdl.graph.trace import Trace, current_trace


class Function:
    """A function of tensors, compiled at its first call with inputs of given types and shapes.

    Python numbers, strings and other hashable arguments are part of the signature; arrays and tensors are inputs. Inside
    another trace it is written in place. The result holds data: differentiate inside the function, not through it.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._compiled: dict[Hashable, Any] = {}

    def __call__(self, *args: Any) -> Any:
        if current_trace() is not None or any(isinstance(a, Tensor) and (a.trace is not None or a.symbolic) for a in args):
            return self._function(*args)
        tensors = [as_tensor(a) if isinstance(a, Operators | np.ndarray) else a for a in args]
        key = tuple(_signature(t) for t in tensors)
        if key not in self._compiled:
            self._compiled[key] = self._compile(tensors)
        session, rebuild = self._compiled[key]
        feeds = {f"x{i}": t._evaluated() for i, t in enumerate(tensors) if isinstance(t, Tensor)}
        return rebuild([tensor(a, a.dtype) for a in runtime.run(session, None, feeds)])

    def program(self, *args: Any) -> ir.Model:
        """The ONNX model that a call with these arguments runs."""
        return self._trace([as_tensor(a) if isinstance(a, Operators | np.ndarray) else a for a in args])[0]

    def _compile(self, args: list[Any]) -> tuple[Any, Callable[[list[Tensor]], Any]]:
        model, rebuild = self._trace(args)
        return runtime.create_session(ir.to_proto(model).SerializeToString()), rebuild

    def _trace(self, args: list[Any]) -> tuple[ir.Model, Callable[[list[Tensor]], Any]]:
        with Trace(self._function.__name__) as trace:
            inputs = [trace.input(f"x{i}", a.dtype, a.shape) if isinstance(a, Tensor) else a for i, a in enumerate(args)]
            result = self._function(*inputs)
            several = isinstance(result, tuple | list)
            parts = [as_tensor(r) for r in (result if several else [result])]
            if any(p.trace is not trace for p in parts):
                raise GraphError(f"{self._function.__name__} must return tensors that it computed from its arguments")
            model = trace.model({f"y{i}": p for i, p in enumerate(parts)})
        return model, (lambda values: type(result)(values)) if several else (lambda values: values[0])


def function(f: Callable[..., Any]) -> Function:
    """Compiles a function of tensors: ``@ox.function``."""
    return Function(f)


def _signature(a: Any) -> Hashable:
    return (str(a.dtype), a.shape) if isinstance(a, Tensor) else a
