"""Several optimizers, each for its own group of weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from onnxdl.errors import GraphError
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import scope
from onnxdl.optim.optimizer import Optimizer, OptimizerWrapper
from onnxdl.optim.weights import Shaped, Update, Weight

if TYPE_CHECKING:
    from onnxdl.runtime.cells import Cell


class OptimizerMap(NamedTuple):
    """Which optimizer trains which weights: each pattern must match the whole of a name such as ``encoder.0.kernel``."""

    default_optimizer: Optimizer
    optimizer_map: Mapping[str, Optimizer]


class MultiOptimizer(OptimizerWrapper):
    r"""Optimizers by group: ``MultiOptimizer(OptimizerMap(Adam(1e-3), {r"encoder\..*": Adam(1e-4)}))`` has two rates.

    The entries of the State are those of the default optimizer, and of the others under their number, from 1.
    """

    def __init__(self, optimizer_map: OptimizerMap) -> None:
        optimizer_map = OptimizerMap(*optimizer_map)  # a configuration holds a list
        self.patterns = list(optimizer_map.optimizer_map)
        self.optimizers = [optimizer_map.default_optimizer, *optimizer_map.optimizer_map.values()]
        super().__init__(self.optimizers[0])

    def follow(self, cells: Mapping[str, Cell]) -> None:
        for i, optimizer in enumerate(self.optimizers):
            own = {name.removeprefix(_prefix(i)): cell for name, cell in cells.items() if name.startswith(_prefix(i))}
            optimizer.follow({**own, "step": cells["step"]} if own else {})
        self._cells = {"step": cells["step"]} if cells else {}

    def start(self, weights: Mapping[str, Shaped]) -> dict[str, np.ndarray]:
        groups = [{name: p for name, p in weights.items() if _group(name, self.patterns) == i} for i in range(len(self.optimizers))]
        started = [o.start(group) if group else {} for o, group in zip(self.optimizers, groups, strict=True)]
        return {_prefix(i) + name: array for i, entries in enumerate(started) for name, array in entries.items()}

    def apply(self, weights: Sequence[Weight], state: Mapping[str, Tensor], step: Tensor) -> Update:
        new = Update({}, {})
        for i, optimizer in enumerate(self.optimizers):
            group = [w for w in weights if _group(w.name, self.patterns) == i]
            if not group:
                continue
            names = optimizer.start({w.name: w.value for w in group})
            with scope(f"group_{i}"):
                update = optimizer.apply(group, {name: state[_prefix(i) + name] for name in names}, step)
            new.weights.update(update.weights)
            new.state.update((_prefix(i) + name, t) for name, t in update.state.items())
        return new


def _group(name: str, patterns: Sequence[str]) -> int:
    found = [i for i, pattern in enumerate(patterns, 1) if re.fullmatch(pattern, name)]
    if len(found) > 1:
        raise GraphError(f"several optimizers are given for {name!r}: the patterns {', '.join(patterns[i - 1] for i in found)}")
    return found[0] if found else 0


def _prefix(group: int) -> str:
    return f"{group}." if group else ""
