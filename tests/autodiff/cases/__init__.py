"""What a case is: one way of calling one operator, as data. Every operator with a rule has at least one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """One call ``op(*inputs, **attributes)`` whose gradient is compared with central differences in float64.

    Float inputs are differentiated, others are constants. ``outputs`` asks for optional outputs; every float output
    gets a random seed. ``reason`` names what the case guards, where its inputs do not say so.
    """

    op: str
    inputs: Sequence[np.ndarray | None]
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int | None = None
    domain: str = ""
    reason: str = ""
    second_order: bool = True


def rand(*shape: int, low: float = -1.0, high: float = 1.0, seed: int = 0) -> np.ndarray:
    """Uniform numbers in [low, high), the same at each call; different seeds differ."""
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)
