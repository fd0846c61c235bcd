"""What optimizers share: weights with their gradients, updates, and the options that all of them take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypedDict

from onnxdl.graph.tensor import Tensor

Schedule = Callable[[Tensor], Tensor]
Slots = Mapping[str, Tensor]
Updated = tuple[Tensor, dict[str, Tensor]]
Shape = tuple[int, ...]


class Shaped(Protocol):
    """A weight or what stands for it: a Parameter, a Tensor, an array."""

    @property
    def shape(self) -> Any:
        """The dimensions, all known."""

    @property
    def dtype(self) -> Any:
        """The element type."""


class Weight(NamedTuple):
    """A weight as an optimizer sees it: its name in the State, its value and its gradient.

    Where ``rows`` is given, the gradient holds those rows of it only, each once; the others are zero. ``lookups`` then holds
    the rows as they were looked up, with repetitions, and the gradient of each.
    """

    name: str
    value: Tensor
    gradient: Tensor
    rows: Tensor | None = None
    lookups: tuple[Tensor, Tensor] | None = None


class Update(NamedTuple):
    """The next weights by name, and the optimizer's next entries of the State."""

    weights: dict[str, Tensor]
    state: dict[str, Tensor]


class OptionsBesideDecay(TypedDict, total=False):
    """What every optimizer takes beside its own arguments, named as in Keras.

    ``clipvalue``, ``clipnorm``, ``global_clipnorm``: the bound of each gradient's elements, of its norm, of the norm of all.
    ``gradient_accumulation_steps``: the weights move each so many steps, by the mean of the gradients.
    ``use_ema``, ``ema_momentum``, ``ema_overwrite_frequency``: the weights' moving average is kept, and replaces them at
    the end of ``fit`` and each so many steps.
    ``loss_scale_factor``: the loss is multiplied by it, and the gradients are divided again, against underflow.
    ``name``: its name.
    """

    clipvalue: float | None
    clipnorm: float | None
    global_clipnorm: float | None
    gradient_accumulation_steps: int | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    name: str | None


class Options(OptionsBesideDecay, total=False):
    """Those, and ``weight_decay``: each weight is first multiplied by 1 - rate * weight_decay.

    This decay is decoupled from the gradient (Loshchilov and Hutter 2019).
    """

    weight_decay: float | None


def shape_of(p: Shaped) -> Shape:
    """A weight's shape, which is always known."""
    return tuple(int(d) for d in p.shape)
