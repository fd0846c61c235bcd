"""Gradient accumulation: a large batch in several steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.weights import Update, Weight, shape_of

SLOT = "accumulated"
Apply = Callable[[Sequence[Weight], Mapping[str, Tensor], Tensor], Update]


def accumulated(apply: Apply, every: int, weights: Sequence[Weight], state: Mapping[str, Tensor], step: Tensor) -> Update:
    """Each ``every`` steps the update by the mean of the gradients since the last, at the others none."""
    sums = {w.name: state[f"{SLOT}.{w.name}"] + w.gradient for w in weights}

    def now() -> Update:
        update = apply([w._replace(gradient=sums[w.name] * (1.0 / every)) for w in weights], state, step)
        update.state.update((f"{SLOT}.{w.name}", op.ConstantOfShape(np.array(shape_of(w.value), np.int64))) for w in weights)
        return update

    def later() -> Update:
        return Update({w.name: w.value for w in weights}, {**state, **{f"{SLOT}.{name}": total for name, total in sums.items()}})

    return either(op.Equal(op.Mod(step + 1, every), 0), now, later)


def either(condition: Tensor, now: Callable[[], Update], otherwise: Callable[[], Update]) -> Update:
    """One update or the other, as a branch of the graph: only the one that holds is computed."""
    weights: list[str] = []
    entries: list[str] = []

    def then() -> list[Tensor]:
        update = now()
        weights.extend(update.weights)
        entries.extend(update.state)
        return [*update.weights.values(), *update.state.values()]

    def other() -> list[Tensor]:
        update = otherwise()
        return [*(update.weights[name] for name in weights), *(update.state[name] for name in entries)]

    results = op.If(condition, then_branch=then, else_branch=other)
    results = list(results) if isinstance(results, tuple | list) else [results]
    n = len(weights)
    return Update(dict(zip(weights, results[:n], strict=True)), dict(zip(entries, results[n:], strict=True)))
