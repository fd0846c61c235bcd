"""Optimizer: declares what it keeps for each weight, and writes the update. It only writes graph.

A kind of optimizer is its ``slots`` and its ``update``, one formula for one weight. What needs all gradients at once, or
stands around the formula (clipping, decay, accumulation, averaging), is composed here, by functions of their own files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack

import numpy as np

from onnxdl.config import Configurable
from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, as_tensor
from onnxdl.graph.trace import scope
from onnxdl.optim import accumulation, averaging, clipping, rows
from onnxdl.optim.weights import Options, Schedule, Shape, Shaped, Slots, Update, Updated, Weight, shape_of

if TYPE_CHECKING:
    from onnxdl.runtime.cells import Cell


class Optimizer(Configurable):
    """The base of all optimizers.

    ``slots`` names what is kept for each weight, in its shape, with the value that it starts at. ``scalars`` names what is
    kept once, with its first value, and ``advance`` moves it on at each step.

    Args:
        learning_rate: a number, which stays a State entry that may be changed while training, or a function that writes
            the rate from ``step`` (float32, 0 at the first), such as those of ``onnxdl.optim.schedules``.
        options: see ``Options``.
    """

    elementwise: ClassVar[bool] = True
    """Whether each element of a weight moves by what is kept for it alone, so that single rows can be updated."""

    def __init__(self, learning_rate: float | Schedule = 0.001, **options: Unpack[Options]) -> None:
        if not callable(learning_rate) and not learning_rate > 0:
            raise GraphError(f"the learning rate must be above 0, not {learning_rate}")
        for option in options:
            if option not in Options.__optional_keys__:
                raise TypeError(f"{type(self).__name__} takes no argument {option!r}")
        self._cells: Mapping[str, Cell] = {}
        self._learning_rate = learning_rate
        self.options = options
        self.name = options.get("name") or type(self).__name__.lower()
        self.slots: Mapping[str, float] = {}
        self.scalars: Mapping[str, float] = {}
        self._undecayed: list[str] = []
        if sum(bool(options.get(bound)) for bound in ("clipvalue", "clipnorm", "global_clipnorm")) > 1:
            raise GraphError("give one of clipvalue, clipnorm and global_clipnorm")

    # ---- what training has made of it ----------------------------------------------------------------------------

    @property
    def learning_rate(self) -> float | Schedule:
        """The schedule, or the present rate, which may be set while training."""
        live = self._cells.get("learning_rate")
        return float(live.numpy()) if live is not None else self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float | Schedule) -> None:
        live = self._cells.get("learning_rate")
        if live is None:
            self._learning_rate = value if callable(value) else float(value)
        elif callable(value):
            raise GraphError("a schedule is part of the train step: give it to a new optimizer, and compile again")
        else:
            live.assign(np.full((), value, np.float32))

    @property
    def iterations(self) -> int:
        """How many updates it has made."""
        steps = int(self._cells["step"].numpy()) if "step" in self._cells else 0
        return steps // (self.options.get("gradient_accumulation_steps") or 1)

    def follow(self, cells: Mapping[str, Cell]) -> None:
        """Reads and sets its entries of the State where training keeps them; none once that ends."""
        if not cells:
            self._learning_rate = self.learning_rate
        self._cells = cells

    # ---- what a kind of optimizer defines ------------------------------------------------------------------------

    def slots_for(self, name: str, shape: Shape) -> dict[str, tuple[Shape, float]]:
        """What is kept for one weight: shapes and first values; by default ``slots`` in the weight's shape."""
        return {slot: (shape, start) for slot, start in self.slots.items()}

    def advance(self, scalars: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The scalars of this step, from those of the last."""
        return dict(scalars)

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots, scalars: Mapping[str, Tensor]) -> Updated:
        """The weight's next value and its next slots; ``scalars`` holds the step's number too, ``t``, from 1."""
        raise GraphError(f"{type(self).__name__} does not define update()")

    def added(self, g: Tensor, rate: Tensor) -> Tensor | None:
        """What a gradient adds to a weight, where that is all of ``update`` and linear in the gradient; None elsewhere."""
        return None

    def decay_of(self, name: str, shape: Shape) -> float:
        """The decoupled weight decay of one weight, unless it is excluded."""
        return self.options.get("weight_decay") or 0.0

    # ---- what a train step uses ----------------------------------------------------------------------------------

    def exclude_from_weight_decay(self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None) -> None:
        """Leaves weights out of the weight decay: Parameters by their own name, or every name that a pattern is found in."""
        self._undecayed = [*(rf"(^|\.){re.escape(p.name)}$" for p in var_list or ()), *(var_names or ())]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments by name, as plain data, and the patterns of weights that do not decay."""
        return {**super().get_config(), **({"undecayed": list(self._undecayed)} if self._undecayed else {})}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The optimizer of a configuration."""
        made = super().from_config({k: v for k, v in config.items() if k != "undecayed"})
        made._undecayed = list(config.get("undecayed", ()))
        return made

    def start(self, weights: Mapping[str, Shaped]) -> dict[str, np.ndarray]:
        """The first values of all entries that the optimizer keeps for these weights."""
        entries = {name: np.full((), value, np.float32) for name, value in self.scalars.items()}
        if not callable(self._learning_rate):
            entries["learning_rate"] = np.full((), self._learning_rate, np.float32)
        around = {"gradient_accumulation_steps": accumulation.SLOT, "use_ema": averaging.SLOT}
        for name, p in weights.items():
            slots = self.slots_for(name, shape_of(p)) | {s: (shape_of(p), 0.0) for o, s in around.items() if self.options.get(o)}
            entries.update((f"{slot}.{name}", np.full(shape, value, p.dtype)) for slot, (shape, value) in slots.items())
        return entries

    def loss_scale(self, state: Mapping[str, Tensor]) -> Tensor | None:
        """What the loss is multiplied by before its gradient is taken; None for nothing."""
        factor = self.options.get("loss_scale_factor")
        return as_tensor(np.float32(factor)) if factor else None

    def apply(self, weights: Sequence[Weight], state: Mapping[str, Tensor], step: Tensor) -> Update:
        """The next weights and entries, from the weights, the entries that ``start`` declared, and the step (int64)."""
        every, factor = self.options.get("gradient_accumulation_steps"), self.options.get("loss_scale_factor")
        weights = [w._replace(gradient=w.gradient * (1.0 / factor)) for w in weights] if factor else weights
        sparse = [w.name for w in weights if w.rows is not None]
        if sparse and (every or not self.elementwise):
            kind = "gradient_accumulation_steps" if every else type(self).__name__
            raise GraphError(f"{kind} needs the whole gradient of {sparse[0]!r}: leave out sparse=True of its Embedding")
        if every:
            update = accumulation.accumulated(self._updated, every, weights, state, step)
        else:
            update = self._updated(weights, state, step)
        if self.options.get("use_ema"):
            momentum, overwrite = self.options.get("ema_momentum", 0.99), self.options.get("ema_overwrite_frequency")
            update = averaging.averaged(update, momentum, overwrite, state, self._updates_before(step))
        return update

    def rate(self, step: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        """The learning rate of a step: the schedule's, or the State's entry."""
        return self.learning_rate(op.Cast(step, to="float32")) if callable(self.learning_rate) else state["learning_rate"]

    def _updates_before(self, step: Tensor) -> Tensor:
        every = self.options.get("gradient_accumulation_steps")
        return op.Div(step, every) if every else step

    def _updated(self, weights: Sequence[Weight], state: Mapping[str, Tensor], step: Tensor) -> Update:
        rate = self.rate(step, state)
        scalars = self.advance({name: state[name] for name in self.scalars})
        new = Update({}, {**{n: t for n, t in state.items() if n == "learning_rate"}, **scalars})
        scalars = {**scalars, "t": op.Cast(self._updates_before(step) + 1, to="float32")}
        for w, (name, p, g, touched, _) in zip(weights, clipping.clipped(weights, self.options), strict=True):
            with scope(name.replace(".", "/")):
                slots = {slot: state[f"{slot}.{name}"] for slot in self.slots_for(name, shape_of(p))}
                whole = {"": p, **slots}
                decay = 0.0 if any(re.search(pattern, name) for pattern in self._undecayed) else self.decay_of(name, shape_of(p))
                own_rate, own_scalars = rate.astype(p.dtype), {s: t.astype(p.dtype) for s, t in scalars.items()}
                if w.lookups is not None and g is w.gradient and not decay and rows.in_turn():
                    change = self.added(w.lookups[1], own_rate)
                    if change is not None:
                        new.weights[name] = rows.add(p, w.lookups[0], change)
                        continue
                if touched is not None:
                    p, slots = rows.taken(p, touched), {slot: rows.taken(t, touched) for slot, t in slots.items()}
                p = p * (1.0 - own_rate * decay) if decay else p
                new.weights[name], kept = self.update(p, g, own_rate, slots, own_scalars)
                if touched is not None:
                    new.weights[name] = rows.put(whole[""], touched, new.weights[name])
                    kept = {slot: rows.put(whole[slot], touched, t) for slot, t in kept.items()}
                new.state.update((f"{slot}.{name}", t) for slot, t in kept.items())
        return new


class OptimizerWrapper(Optimizer):
    """An optimizer around others; its learning rate is that of the leading one."""

    def __init__(self, leading: Optimizer) -> None:
        self._leading = leading
        super().__init__(leading.learning_rate)

    @property
    def learning_rate(self) -> float | Schedule:
        """The leading optimizer's."""
        return self._leading.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float | Schedule) -> None:
        self._leading.learning_rate = value


def get(optimizer: Any) -> Optimizer:
    """An optimizer by Keras's name, or as given."""
    from onnxdl.names import resolve
    from onnxdl.optim import NAMES

    found = resolve("optimizer", optimizer, NAMES)
    if not isinstance(found, Optimizer):
        raise GraphError(f"{found!r} is no optimizer; give a name such as 'adam' or an object of onnxdl.optim")
    return found
