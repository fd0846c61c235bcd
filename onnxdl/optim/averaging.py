"""Weight averaging: the exponential moving average of the weights (Polyak and Juditsky 1992), kept beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.weights import Update

SLOT = "average"
T = TypeVar("T")


def averaged(update: Update, momentum: float, overwrite: int | None, state: Mapping[str, Tensor], before: Tensor) -> Update:
    """a' = momentum * a + (1 - momentum) * p, the first p itself; a' also replaces p each ``overwrite`` updates."""
    kept = op.Cast(op.Greater(before, 0), to="float32") * momentum
    averages = {
        name: kept.astype(p.dtype) * state[f"{SLOT}.{name}"] + (1.0 - kept).astype(p.dtype) * p for name, p in update.weights.items()
    }
    entries = {**update.state, **{f"{SLOT}.{name}": a for name, a in averages.items()}}
    if not overwrite:
        return Update(update.weights, entries)
    due = op.Equal(op.Mod(before + 1, overwrite), 0)
    return Update({name: op.Where(due, averages[name], p) for name, p in update.weights.items()}, entries)


def averages_in(state: Mapping[str, T]) -> dict[str, T]:
    """The averaged weights of a State by name; none where no average is kept."""
    found = ((re.fullmatch(rf"optimizer\.(?:\d+\.)*{SLOT}\.(.+)", name), array) for name, array in state.items())
    return {match[1]: array for match, array in found if match is not None}
