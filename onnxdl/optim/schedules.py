"""Learning rates as functions of ``step`` (float32, 0 at the first), written into the graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from onnxdl.config import Configurable
from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, as_tensor


class LearningRateSchedule(Configurable):
    """The base of schedules; define ``__call__(self, step)`` for one of your own."""

    def __call__(self, step: Tensor) -> Tensor:
        """The rate at a step."""
        raise GraphError(f"{type(self).__name__} does not define __call__(self, step)")


@dataclass(frozen=True)
class ConstantSchedule(LearningRateSchedule):
    """The same rate at every step."""

    learning_rate: float

    def __call__(self, step: Tensor) -> Tensor:
        return as_tensor(self.learning_rate, step)


@dataclass(frozen=True)
class ExponentialDecay(LearningRateSchedule):
    """initial * decay_rate^(step / decay_steps); ``staircase`` takes whole exponents only."""

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False
    name: str | None = None

    def __call__(self, step: Tensor) -> Tensor:
        return self.initial_learning_rate * op.Exp(math.log(self.decay_rate) * _turns(step, self.decay_steps, self.staircase))


@dataclass(frozen=True)
class InverseTimeDecay(LearningRateSchedule):
    """initial / (1 + decay_rate * step / decay_steps); ``staircase`` takes whole quotients only."""

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False
    name: str | None = None

    def __call__(self, step: Tensor) -> Tensor:
        return self.initial_learning_rate / (1.0 + self.decay_rate * _turns(step, self.decay_steps, self.staircase))


@dataclass(frozen=True)
class PolynomialDecay(LearningRateSchedule):
    """(initial - end) * (1 - min(step / decay_steps, 1))^power + end.

    With ``cycle``, decay_steps grows to the next multiple that the step does not pass.
    """

    initial_learning_rate: float
    decay_steps: float
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False
    name: str | None = None

    def __call__(self, step: Tensor) -> Tensor:
        turns = step / self.decay_steps
        done = turns / op.Max(op.Ceil(turns), 1.0) if self.cycle else op.Min(turns, 1.0)
        left = 1.0 - done
        left = left if self.power == 1.0 else op.Pow(left, self.power)
        return (self.initial_learning_rate - self.end_learning_rate) * left + self.end_learning_rate


@dataclass(frozen=True)
class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] up to and at the step boundaries[i], the last value after them all."""

    boundaries: Sequence[float]
    values: Sequence[float]
    name: str | None = None

    def __post_init__(self) -> None:
        if len(self.values) != len(self.boundaries) + 1:
            raise GraphError(f"{len(self.boundaries)} boundaries part {len(self.boundaries) + 1} values, not {len(self.values)}")

    def __call__(self, step: Tensor) -> Tensor:
        rate = as_tensor(self.values[-1], step)
        for boundary, value in zip(reversed(self.boundaries), reversed(self.values[:-1]), strict=True):
            rate = op.Where(step <= boundary, value, rate)
        return rate


@dataclass(frozen=True)
class CosineDecay(LearningRateSchedule):
    """peak * ((1 - alpha) * (1 + cos(pi * min(step / decay_steps, 1))) / 2 + alpha) (Loshchilov and Hutter 2017).

    With ``warmup_target``, the rate first rises in a line from the initial one to the target, over ``warmup_steps``, and
    decays from there.
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    warmup_target: float | None = None
    warmup_steps: float = 0
    name: str | None = None

    def __call__(self, step: Tensor) -> Tensor:
        if self.warmup_target is None:
            return self.initial_learning_rate * self._decayed(step)
        initial, target = self.initial_learning_rate, self.warmup_target
        decaying = target * self._decayed(op.Max(step - self.warmup_steps, 0.0))
        if not self.warmup_steps:
            return decaying
        return op.Where(step < self.warmup_steps, initial + (target - initial) / self.warmup_steps * step, decaying)

    def _decayed(self, step: Tensor) -> Tensor:
        return (1 - self.alpha) * _half_cosine(op.Min(step / self.decay_steps, 1.0)) + self.alpha


@dataclass(frozen=True)
class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decay that starts anew: period i lasts first_decay_steps * t_mul^i and begins at initial * m_mul^i.

    Source: Loshchilov and Hutter 2017.
    """

    initial_learning_rate: float
    first_decay_steps: float
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0
    name: str | None = None

    def __call__(self, step: Tensor) -> Tensor:
        turns = step / self.first_decay_steps
        if self.t_mul == 1.0:
            period = op.Floor(turns)
            done = turns - period
        else:
            period = op.Floor(op.Log(1.0 + turns * (self.t_mul - 1.0)) / math.log(self.t_mul))
            length = op.Exp(period * math.log(self.t_mul))
            done = (turns - (length - 1.0) / (self.t_mul - 1.0)) / length
        peak = 1.0 if self.m_mul == 1.0 else op.Exp(period * math.log(self.m_mul))
        return self.initial_learning_rate * ((1 - self.alpha) * (peak * _half_cosine(done)) + self.alpha)


@dataclass(frozen=True)
class OneCycle(LearningRateSchedule):
    """Up along a cosine to ``max_learning_rate`` in the first part of ``total_steps``, and down to nearly 0 (Smith 2018).

    Args:
        max_learning_rate: the rate at the top.
        total_steps: how many steps the cycle has.
        warmup_fraction: the part of them that goes up.
        initial_divisor: the first rate is the largest divided by it.
        final_divisor: the last rate is the first divided by it.
    """

    max_learning_rate: float
    total_steps: int
    warmup_fraction: float = 0.3
    initial_divisor: float = 25.0
    final_divisor: float = 1e4

    def __call__(self, step: Tensor) -> Tensor:
        top = self.warmup_fraction * self.total_steps - 1
        first = self.max_learning_rate / self.initial_divisor
        last = first / self.final_divisor
        rising = self.max_learning_rate + (first - self.max_learning_rate) * _half_cosine(op.Clip(step / top, 0.0, 1.0))
        done = op.Clip((step - top) / (self.total_steps - 1 - top), 0.0, 1.0)
        return op.Where(step <= top, rising, last + (self.max_learning_rate - last) * _half_cosine(done))


@dataclass(frozen=True)
class WarmUp(LearningRateSchedule):
    """A line from 0 to the schedule's first rate, over ``warmup_steps``; then the schedule, as if it began there."""

    schedule: Callable[[Tensor], Tensor] | float
    warmup_steps: float

    def __call__(self, step: Tensor) -> Tensor:
        schedule = self.schedule if callable(self.schedule) else ConstantSchedule(self.schedule)
        return schedule(op.Max(step - self.warmup_steps, 0.0)) * op.Min(step / self.warmup_steps, 1.0)


def _turns(step: Tensor, length: float, whole: bool) -> Tensor:
    return op.Floor(step / length) if whole else step / length


def _half_cosine(done: Tensor) -> Tensor:
    """1 at 0 and 0 at 1."""
    return 0.5 * op.Cos(math.pi * done) + 0.5
