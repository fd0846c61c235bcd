"""An optimizer's state, ours and Keras's: the same numbers in another order, layout and scale.

Keras keeps a list of variables: the iterations, the learning rate unless it is a schedule, then the slots, of which those
that belong together alternate (momentum and velocity of one weight after the other). Ours are entries of the State by name.
Adam's and some others' decayed sums lack the factor 1 - beta here, which is where ``scale`` comes from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from onnxdl import optim
from onnxdl.converters.keras.layers import flat_weights, from_keras, keras_axes, shape_in_keras, to_keras
from onnxdl.errors import ConversionError
from onnxdl.nn.layer import Layer
from onnxdl.nn.parameter import Parameter
from onnxdl.optim import Optimizer
from onnxdl.optim.accumulation import SLOT as ACCUMULATED
from onnxdl.optim.averaging import SLOT as AVERAGE
from onnxdl.optim.nadam import DECAY
from onnxdl.train.model import Model

OPTIMIZERS: tuple[type[Optimizer], ...] = (
    optim.SGD, optim.RMSprop, optim.Adam, optim.AdamW, optim.Adamax, optim.Nadam, optim.Adagrad, optim.Adadelta, optim.Adafactor,
    optim.Lion, optim.Lamb, optim.Muon, optim.Ftrl,
)  # fmt: skip
"""Those that Keras has too, under the same names."""


class Slot(NamedTuple):
    """What is kept for a weight: our name, Keras's, what ours is multiplied by to be Keras's, and Keras 2's other names."""

    ours: str
    keras: str
    scale: float = 1.0
    older: tuple[str, ...] = ()


class Trained(NamedTuple):
    """A weight that is trained: its name in the State, the layer that keeps it, the Parameter."""

    name: str
    owner: Layer
    parameter: Parameter


class Variable(NamedTuple):
    """One of Keras's variables: a slot of a weight, or else a number that ``kind`` names."""

    kind: str
    slot: Slot | None = None
    weight: Trained | None = None


def groups(optimizer: Optimizer) -> list[list[Slot]]:
    """The slots of an optimizer; those of one group alternate, weight by weight.

    Raises:
        ConversionError: Keras has no such optimizer, or keeps something else for it.
    """
    o = optimizer
    found: list[list[Slot]] = []
    if type(o) not in OPTIMIZERS:
        raise ConversionError(f"Keras has no optimizer like {type(o).__name__}; compile the model with another one")
    if o.options.get("use_ema"):
        found.append([Slot(AVERAGE, "average")])
    if o.options.get("gradient_accumulation_steps"):
        found.append([Slot(ACCUMULATED, "gradient_accumulator")])
    if isinstance(o, optim.Adam):  # Lamb is one too
        moments = [Slot("m", "momentum", 1 - o.beta_1, ("m",)), Slot("v", "velocity", 1 - o.beta_2, ("v",))]
        return [*found, moments, *([[Slot("v_max", "velocity_hat", 1 - o.beta_2, ("vhat",))]] if o.amsgrad else [])]
    if isinstance(o, optim.Nadam):
        return [*found, [Slot("m", "momentum", 1 - o.beta_1, ("m",)), Slot("v", "velocity", 1 - o.beta_2, ("v",))]]
    if isinstance(o, optim.Adamax):
        return [*found, [Slot("m", "momentum", 1 - o.beta_1, ("m",)), Slot("u", "norm", 1.0, ("v", "u"))]]
    if isinstance(o, optim.SGD):
        return [*found, *([[Slot("momentum", "momentum", 1.0, ("m",))]] if o.momentum else [])]
    if isinstance(o, optim.RMSprop):
        velocity = Slot("velocity", "velocity", 1 - o.rho, ("rms",))
        mean = Slot("mean", "average_gradient", 1 - o.rho, ("mg",))
        return [*found, [velocity], *([[Slot("momentum", "momentum")]] if o.momentum else []), *([[mean]] if o.centered else [])]
    if isinstance(o, optim.Adagrad):
        return [*found, [Slot("accumulator", "accumulator")]]
    if isinstance(o, optim.Adadelta):
        kept = [Slot("velocity", "accumulated_grad", 1.0, ("accum_grad",)), Slot("delta", "accumulated_delta_var", 1.0, ("accum_var",))]
        return [*found, kept]
    if isinstance(o, optim.Ftrl):
        return [*found, [Slot("n", "accumulator"), Slot("z", "linear")]]
    if isinstance(o, optim.Lion):
        return [*found, [Slot("m", "momentum", 1.0, ("m",))]]
    if isinstance(o, optim.Adafactor):
        return [*found, [Slot("r", "r"), Slot("c", "c"), Slot("v", "velocity")]]
    assert isinstance(o, optim.Muon)  # the last that is left
    a = o.adam
    return [*found, [Slot("momentum", "momentum"), Slot("m", "momentum", 1 - a.beta_1), Slot("v", "velocity", 1 - a.beta_2)]]


def variables(optimizer: Optimizer, weights: Sequence[Trained]) -> Iterator[Variable]:
    """Keras's variables, in its order."""
    yield Variable("iteration")
    if not callable(optimizer.learning_rate):
        yield Variable("learning_rate")
    if isinstance(optimizer, optim.LossScaleOptimizer):
        yield from (Variable("step_counter"), Variable("dynamic_scale"))
        yield from variables(optimizer.inner_optimizer, weights)
        return
    around = {AVERAGE, ACCUMULATED}
    for group in groups(optimizer):
        for weight in weights:
            kept = optimizer.slots_for(weight.name, weight.parameter.shape)
            if isinstance(optimizer, optim.Adafactor) and group[0].ours not in around:
                _same_layout(weight)
                yield from (Variable("slot" if slot.ours in kept else "placeholder", slot, weight) for slot in group)
            else:
                yield from (Variable("slot", slot, weight) for slot in group if slot.ours in kept or slot.ours in around)
    if isinstance(optimizer, optim.Nadam):
        yield Variable("mu_product")


def _same_layout(weight: Trained) -> None:
    if keras_axes(weight.owner, weight.parameter) is not None:
        raise ConversionError(
            f"Adafactor's state of {weight.name!r} cannot be converted: it holds means along axes that Keras and we order differently; "
            "convert the model without its training, or train with Adam"
        )


def trained_weights(model: Model) -> list[Trained]:
    """The weights that the model's optimizer trains, in Keras's order of them."""
    names = {id(p): name for name, p in model.named_parameters()}
    told = model.compiled
    trained = {id(p) for p in ((told.trained if told is not None else None) or model.trainable_weights)}
    return [Trained(names[id(p)], owner, p) for owner, p in flat_weights(model) if p is not None and id(p) in trained]


def to_variables(model: Model) -> list[tuple[str, np.ndarray]]:
    """The state of a compiled model's optimizer as Keras's variables: name and value, in Keras's order.

    Raises:
        ConversionError: Keras has no such optimizer.
    """
    assert model.compiled is not None  # who writes training has checked it
    optimizer, weights = model.compiled.optimizer, trained_weights(model)
    state = {f"optimizer.{n}": a for n, a in optimizer.start({w.name: w.parameter for w in weights}).items()}
    state.update((n, a) for n, a in model.state.items() if n in state or n == "step")
    return [(_name(v), _value(v, state)) for v in variables(optimizer, weights)]


def _name(variable: Variable) -> str:
    if variable.slot is None or variable.weight is None:
        return variable.kind
    return f"{variable.weight.name.replace('.', '_')}_{variable.slot.keras}"


def _value(variable: Variable, state: Mapping[str, np.ndarray]) -> np.ndarray:
    slot, weight = variable.slot, variable.weight
    if variable.kind == "slot":
        assert slot is not None and weight is not None
        value = state[f"optimizer.{slot.ours}.{weight.name}"]
        scaled = value if slot.scale == 1.0 else (value.astype(np.float64) * slot.scale).astype(value.dtype)
        return to_keras(weight.owner, weight.parameter, scaled)
    if variable.kind == "placeholder":
        assert slot is not None and weight is not None
        return np.zeros(weight.parameter.shape, np.float32) if slot.ours == "v" else np.zeros((), np.int32)
    if variable.kind == "iteration":
        return np.asarray(state.get("step", 0)).astype(np.int32)
    entry = {"step_counter": "good_steps", "dynamic_scale": "loss_scale"}.get(variable.kind, variable.kind)
    return np.asarray(state[f"optimizer.{entry}"], np.int32 if variable.kind == "step_counter" else np.float32)


def from_variables(model: Model, arrays: Sequence[np.ndarray], names: Sequence[str] | None = None) -> None:
    """Sets the state of a compiled model's optimizer, so that training goes on where Keras left it.

    Args:
        model: a built and compiled model, its weights loaded.
        arrays: Keras's variables, in the order of the file.
        names: their names, where Keras 2 wrote the file: it has another order.

    Raises:
        ConversionError: the variables are not those of such an optimizer.
    """
    assert model.compiled is not None  # who reads training has compiled it
    optimizer, weights = model.compiled.optimizer, trained_weights(model)
    wanted = list(variables(optimizer, weights))
    if len(arrays) < len(wanted) and not any(a.ndim for a in arrays):
        return  # it has made no step yet, so that Keras has made no slots either
    found = _in_order(wanted, arrays) if names is None else _by_name(wanted, arrays, names)
    state: dict[str, np.ndarray] = {}
    steps = 0
    for variable, array in found:
        slot, weight = variable.slot, variable.weight
        if variable.kind == "slot":
            assert slot is not None and weight is not None
            value = from_keras(weight.owner, weight.parameter, np.asarray(array, np.float64)) / slot.scale
            state[f"optimizer.{slot.ours}.{weight.name}"] = value.astype(weight.parameter.dtype)
        elif variable.kind == "iteration":
            steps = int(array)
        elif variable.kind != "placeholder":
            entry = {"step_counter": "good_steps", "dynamic_scale": "loss_scale"}.get(variable.kind, variable.kind)
            state[f"optimizer.{entry}"] = np.asarray(array, np.int64 if variable.kind == "step_counter" else np.float32)
    model.keep_extra_state({"step": np.array(steps, np.int64), **_powers(optimizer, steps), **state})


def _in_order(wanted: Sequence[Variable], arrays: Sequence[np.ndarray]) -> list[tuple[Variable, np.ndarray]]:
    shapes = [_shape(v) for v in wanted]
    if [a.shape for a in arrays] != shapes:
        odd = next((i for i, (a, s) in enumerate(zip(arrays, shapes, strict=False)) if a.shape != s), min(len(arrays), len(shapes)))
        expected = f"{_name(wanted[odd])!r} of the shape {list(shapes[odd])}" if odd < len(shapes) else "no further one"
        raise ConversionError(f"the optimizer's variable {odd} should be {expected}; load the model with compile=False")
    return list(zip(wanted, arrays, strict=True))


def _shape(variable: Variable) -> tuple[int, ...]:
    slot, weight = variable.slot, variable.weight
    if slot is None or weight is None or (variable.kind == "placeholder" and slot.ours != "v"):
        return ()
    shape = weight.parameter.shape
    if slot.keras in ("r", "c"):
        return shape[:-1] if slot.keras == "r" else (*shape[:-2], shape[-1])
    return shape_in_keras(weight.owner, weight.parameter)


def _by_name(wanted: Sequence[Variable], arrays: Sequence[np.ndarray], names: Sequence[str]) -> list[tuple[Variable, np.ndarray]]:
    """Keras 2's variables: ``Adam/dense/kernel/m:0``, ``Adam/m/dense/kernel:0``, or ``training/Adam/Variable_3:0`` slot by slot."""
    slots = list(dict.fromkeys(v.slot for v in wanted if v.slot is not None))
    by_slot: dict[Slot, list[np.ndarray]] = {slot: [] for slot in slots}
    numbers: list[tuple[Variable, np.ndarray]] = []
    unnamed: list[np.ndarray] = []
    for name, array in zip(names, arrays, strict=True):
        parts = [re.sub(r"(_\d+)?(:\d+)?$", "", part).lower() for part in name.split("/")]
        slot = next((s for part in reversed(parts) for s in slots if part in (s.keras, s.ours, *s.older)), None)
        if slot is not None:
            by_slot[slot].append(array)
        elif parts[-1] in ("iter", "iteration", "iterations") or (not array.ndim and parts[-1] == "variable"):
            numbers.append((Variable("iteration"), array))
        elif parts[-1] == "learning_rate":
            numbers.append((Variable("learning_rate"), array))
        elif array.ndim:
            unnamed.append(array)
    count = sum(v.slot == slots[0] for v in wanted) if slots else 0
    if unnamed and not any(by_slot.values()):
        by_slot = {slot: unnamed[i * count : (i + 1) * count] for i, slot in enumerate(slots)}
    found: list[tuple[Variable, np.ndarray]] = []
    for slot, kept in by_slot.items():
        places = [v for v in wanted if v.slot == slot]
        if [a.shape for a in kept] != [_shape(v) for v in places]:
            raise ConversionError(f"the optimizer's slots {slot.keras!r} do not fit the model's weights; load the model with compile=False")
        found += zip(places, kept, strict=True)
    return [*numbers, *found]


def _powers(optimizer: Optimizer, steps: int) -> dict[str, np.ndarray]:
    """The powers that we carry on and Keras computes from the iterations."""
    if isinstance(optimizer, optim.LossScaleOptimizer):
        return _powers(optimizer.inner_optimizer, steps)
    updates = steps // (optimizer.options.get("gradient_accumulation_steps") or 1)
    found: dict[str, float] = {}
    kept = optimizer.adam if isinstance(optimizer, optim.Muon) else optimizer
    if isinstance(kept, optim.Adam | optim.Nadam):
        found["beta_2_power"] = kept.beta_2**updates
    if isinstance(kept, optim.Adam | optim.Adamax):
        found["beta_1_power"] = kept.beta_1**updates
    if isinstance(kept, optim.Nadam):
        found["decay_power"] = DECAY**updates
        found["mu_product"] = math.prod(kept.beta_1 * (1 - 0.5 * DECAY**i) for i in range(1, updates + 1))
    return {f"optimizer.{name}": np.array(value, np.float32) for name, value in found.items()}
