"""What a case is: one way of calling one operator, as data. Every operator with a rule has at least one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """One call ``op(*inputs, **attributes)`` whose gradient is compared with central differences in float64.

    Float inputs are differentiated, others are constants. ``outputs`` asks for optional outputs; every float output
    gets a random seed. ``reason`` names what the case guards, where its inputs do not say so. ``call`` computes the
    outputs from the inputs where the operator cannot stand alone (sequences, branches and loops). ``static`` lists the
    inputs that must stay constants even when everything else is known only at run time. ``forward`` is the operator in
    NumPy, called as the operator is, where neither ONNX Runtime nor onnx.reference computes it in float64 (and rightly).
    """

    op: str
    inputs: Sequence[np.ndarray | None]
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int | None = None
    domain: str = ""
    reason: str = ""
    second_order: bool = True
    call: Callable[..., Any] | None = None
    static: Sequence[int] = ()
    forward: Callable[..., Any] | None = None

    def __str__(self) -> str:
        shapes = ",".join("none" if x is None else "x".join(map(str, x.shape)) or "scalar" for x in self.inputs)
        attributes = ",".join(f"{k}={v}" for k, v in self.attributes.items())
        return f"{self.op}({shapes}{';' if attributes else ''}{attributes})" + (f"-{self.reason}" if self.reason else "")


def all_cases() -> list[Case]:
    """The cases of every module in this package."""
    modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
    return [case for module in modules for case in module.CASES]


def rand(*shape: int, low: float = -1.0, high: float = 1.0, seed: int = 0) -> np.ndarray:
    """Uniform numbers in [low, high), the same at each call; different seeds differ."""
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


def apart(*shape: int, gap: float = 0.1, seed: int = 0) -> np.ndarray:
    """Distinct numbers around zero, in random order, none nearer than ``gap / 2`` to zero or ``gap`` to another: no ties, no kinks."""
    size = int(np.prod(shape))
    values = (np.arange(size) - size // 2 + 0.5) * gap
    return np.random.default_rng([seed, *shape]).permutation(values).reshape(shape)
