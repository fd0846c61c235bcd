"""The graphs that the tests of viz share."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from onnxdl.autodiff.gradient import gradient
from onnxdl.graph import op
from onnxdl.graph.trace import Trace, scope

# the weights of these models are ConstantOfShape nodes, so that the onnx package can hold them
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def light(name: str) -> ir.Model:
    """One of the image models that the onnx package brings along."""
    return ir.load(LIGHT / f"light_{name}.onnx")


def toy() -> ir.Model:
    """The lecture's f = (2x + y)(x - 5)."""
    with Trace() as t:
        x, y = t.input("x", "float32", []), t.input("y", "float32", [])
        return t.model({"f": (x * 2 + y) * (x - 5)})


def toy_gradient() -> ir.Model:
    """The same with its gradient."""
    with Trace() as t:
        x, y = t.input("x", "float32", []), t.input("y", "float32", [])
        f = (x * 2 + y) * (x - 5)
        dx, dy = gradient(f, [x, y])
        return t.model({"f": f, "grad/x": dx, "grad/y": dy})


def train_step(n_layers: int, *, scoped: bool = True) -> ir.Model:
    """A residual network with its gradient and an update by gradient descent."""
    with Trace() as t:
        x, target = t.input("x", "float32", ["N", 16]), t.input("target", "float32", ["N", 16])
        parameters, h = [], x
        for i in range(n_layers):
            with contextlib.ExitStack() as stack:
                if scoped:
                    stack.enter_context(scope("encoder"))
                    stack.enter_context(scope(str(i)))
                w, b = t.input(f"encoder.{i}.weight", "float32", [16, 16]), t.input(f"encoder.{i}.bias", "float32", [16])
                parameters += [w, b]
                h = op.Tanh(h @ w + b) * 0.5 + h
        difference = h - target
        loss = op.ReduceSum(difference * difference, keepdims=0)
        outputs = {"loss": loss}
        gradients = gradient(loss, parameters)
        with scope("sgd"):
            for parameter, g in zip(parameters, gradients, strict=True):
                outputs[f"next/{parameter.name}"] = parameter - g * 0.1
        return t.model(outputs)


def branching() -> ir.Model:
    """An If whose branches take a value from around them, an initializer with two readers, and a constant output."""
    with Trace() as t:
        x = t.input("x", "float32", ["N"])
        scale = t.initializer("scale", np.float32([1, 2, 3, 4, 5]))
        condition = op.Greater(op.ReduceSum(x, keepdims=0), 0.0)
        y = op.If(condition, then_branch=lambda: op.Neg(x), else_branch=lambda: op.Abs(x))
        return t.model({"y": y, "z": scale * 2.0, "w": scale + 1.0})
