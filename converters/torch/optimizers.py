"""The state of ``torch.optim``'s Adam, AdamW, SGD and RMSprop as ours and ours as theirs, so that training goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from onnxdl import optim
from onnxdl.errors import ConversionError
from onnxdl.graph.tensor import tensor
from onnxdl.nn.parameter import Parameter
from onnxdl.train.model import Model

Place = Callable[[Mapping[str, np.ndarray]], dict[Parameter, np.ndarray]]
"""What arrays by torch's names are for our parameters."""

LayOut = Callable[[Mapping[Parameter, np.ndarray]], dict[str, np.ndarray]]
"""What arrays of our parameters are under torch's names."""


class Kept(NamedTuple):
    """What torch keeps for each parameter: our slot, and what it is multiplied by to be torch's."""

    ours: str
    scale: float


class Kind(NamedTuple):
    """An optimizer as torch has it.

    Args:
        name: its class.
        slots: what it keeps for each parameter, by torch's names.
        options: those of its parameter groups that say the same on both sides.
        counts: whether it keeps the number of steps with each parameter.
    """

    name: str
    slots: dict[str, Kept]
    options: dict[str, Any]
    counts: bool


def kind_of(optimizer: optim.Optimizer, rate: float) -> Kind | None:
    """Torch's optimizer of the same formula; None where it has none. ``rate`` is the learning rate."""
    if type(optimizer) in (optim.Adam, optim.AdamW):
        assert isinstance(optimizer, optim.Adam)
        beta_1, beta_2 = optimizer.beta_1, optimizer.beta_2
        slots = {"exp_avg": Kept("m", 1 - beta_1), "exp_avg_sq": Kept("v", 1 - beta_2)}
        if optimizer.amsgrad:
            slots["max_exp_avg_sq"] = Kept("v_max", 1 - beta_2)
        options = {"betas": (beta_1, beta_2), "amsgrad": optimizer.amsgrad}
        return Kind(type(optimizer).__name__, slots, options, True)
    if isinstance(optimizer, optim.SGD):
        slots = {"momentum_buffer": Kept("momentum", -1 / rate)} if optimizer.momentum else {}
        options = {"momentum": optimizer.momentum, "dampening": 0.0, "nesterov": optimizer.nesterov}
        return Kind("SGD", slots, options, False)
    if isinstance(optimizer, optim.RMSprop):
        rho = optimizer.rho
        slots = {"square_avg": Kept("velocity", 1 - rho)}
        slots |= {"momentum_buffer": Kept("momentum", 1 / rate)} if optimizer.momentum else {}
        slots |= {"grad_avg": Kept("mean", 1 - rho)} if optimizer.centered else {}
        # epsilon stands under the root here and beside it in torch
        options = {"alpha": rho, "momentum": optimizer.momentum, "centered": optimizer.centered, "eps": optimizer.epsilon**0.5}
        return Kind("RMSprop", slots, options, True)
    return None


def restore(model: Model, held: Mapping[str, Any], order: Sequence[str], place: Place, who: str) -> None:
    """Sets the slots, the learning rate and the step of a compiled model.

    Args:
        model: the model; its optimizer must be of the file's kind.
        held: the ``state_dict`` of a torch optimizer.
        order: torch's names, in the order of ``parameters()``.
        place: what arrays by torch's names are for our parameters.
        who: the file, for error messages.

    Raises:
        ConversionError: the optimizers differ, or the state does not fit the parameters.
    """
    assert model.compiled is not None
    optimizer, groups = model.compiled.optimizer, held["param_groups"]
    ids = [i for g in groups for i in g["params"]]
    if len(ids) != len(order):
        raise ConversionError(f"{who}: its optimizer holds {len(ids)} parameters, but the weights are {len(order)}")
    options = groups[0]
    kind = kind_of(optimizer, float(options["lr"]))
    if kind is None:
        raise ConversionError(
            f"{who}: the state of a {type(optimizer).__name__} cannot be read from torch; compile with Adam, AdamW, SGD or RMSprop"
        )
    if any(g.get(k) != options.get(k) for g in groups for k in ("lr", "weight_decay", *kind.options)):
        raise ConversionError(f"{who}: its optimizer treats groups of parameters differently, which has no equal here")
    _check(optimizer, kind, options, who)
    names = {p: n for n, p in model.named_parameters()}
    entries: dict[str, np.ndarray] = {}
    steps = 0
    try:
        kept = dict(zip(order, (held["state"].get(i, {}) for i in ids), strict=True))
        for slot, (own, scale) in kind.slots.items():
            given = {n: s[slot] for n, s in kept.items() if s.get(slot) is not None}
            for parameter, array in place(given).items() if given else ():
                entries[f"{own}.{names[parameter]}"] = array / np.float32(scale)
        steps = max((int(np.asarray(s["step"])) for s in kept.values() if "step" in s), default=0)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConversionError(f"{who}: the optimizer's state does not fit the model ({type(error).__name__}: {error})") from None
    if isinstance(optimizer, optim.Adam):
        entries["beta_1_power"], entries["beta_2_power"] = (np.asarray(b**steps, np.float32) for b in (optimizer.beta_1, optimizer.beta_2))
    if not callable(optimizer.learning_rate):
        entries["learning_rate"] = np.asarray(float(options["lr"]), np.float32)
    state = {**model.state, **{f"optimizer.{n}": a for n, a in entries.items()}}
    model.load_state({**state, "step": np.asarray(steps, np.int64)})


def _check(optimizer: optim.Optimizer, kind: Kind, options: Mapping[str, Any], who: str) -> None:
    lacking = [k for k in kind.options if k not in options and k in ("betas", "momentum", "alpha")]
    if lacking or ("alpha" in options) != ("alpha" in kind.options):
        raise ConversionError(f"{who}: its optimizer is no {kind.name}, but the model was compiled with {type(optimizer).__name__}")
    decay, own = float(options.get("weight_decay") or 0.0), optimizer.options.get("weight_decay") or 0.0
    if decay and not options.get("decoupled_weight_decay") and kind.name != "AdamW":
        raise ConversionError(
            f"{who}: its optimizer adds weight_decay = {decay} to the gradient; give the layers an L2 regularizer of {decay / 2}"
        )
    for what, ours in {**kind.options, "weight_decay": own}.items():
        theirs = options.get(what)
        if theirs is not None and not np.allclose(theirs, ours, rtol=1e-5, atol=0):
            raise ConversionError(f"{who}: its optimizer has {what} = {theirs}, the model was compiled with {ours}; compile it alike")


def state_of(model: Model, order: Sequence[str], lay_out: LayOut) -> dict[str, Any]:
    """The ``state_dict`` of the torch optimizer that a compiled model is trained with.

    Args:
        model: the model.
        order: torch's names, in the order of ``parameters()``.
        lay_out: what arrays of our parameters are under torch's names.

    Raises:
        ConversionError: torch has no such optimizer.
    """
    assert model.compiled is not None
    optimizer, state = model.compiled.optimizer, model.state
    steps = int(state.get("step", 0))
    rate = float(optimizer.rate(tensor(np.int64(steps)), {}).numpy()) if callable(optimizer.learning_rate) else optimizer.learning_rate
    kind = kind_of(optimizer, rate)
    if kind is None:
        raise ConversionError(f"torch has no optimizer of the formula of {type(optimizer).__name__}; write the weights alone, as .pth")
    decay = optimizer.options.get("weight_decay") or 0.0
    lacking = ["use_ema", "gradient_accumulation_steps", *([] if isinstance(optimizer, optim.Adam) else ["weight_decay"])]
    beyond = [o for o in lacking if optimizer.options.get(o)]
    if "undecayed" in optimizer.get_config():
        beyond.append("exclude_from_weight_decay")
    if beyond:
        raise ConversionError(f"torch's {kind.name} has no {', '.join(beyond)} of this kind; write the weights alone, as .pth")
    options: dict[str, Any] = {"lr": rate, **kind.options, "weight_decay": decay}
    if isinstance(optimizer, optim.Adam):
        options |= {"eps": optimizer.epsilon, "decoupled_weight_decay": bool(decay) or kind.name == "AdamW"}
    kept: dict[str, dict[str, np.ndarray]] = {}
    parameters = {n: p for n, p in model.named_parameters() if p.trainable}
    for slot, (own, scale) in kind.slots.items():
        arrays = {p: state[k] * np.float32(scale) for n, p in parameters.items() if (k := f"optimizer.{own}.{n}") in state}
        for name, array in lay_out(arrays).items():
            start: dict[str, np.ndarray] = {"step": np.asarray(steps, np.float32)} if kind.counts else {}
            kept.setdefault(name, start)[slot] = array
    places = {i: kept[name] for i, name in enumerate(order) if name in kept and steps}
    return {"state": places, "param_groups": [{**options, "params": list(range(len(order)))}]}
