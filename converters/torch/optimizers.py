"""The state of ``torch.optim``'s Adam, AdamW and SGD as ours, so that training goes on as it would have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from onnxdl import optim
from onnxdl.errors import ConversionError
from onnxdl.nn.parameter import Parameter
from onnxdl.train.model import Model

Place = Callable[[Mapping[str, np.ndarray]], dict[Parameter, np.ndarray]]


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
    if any(g.get(k) != options.get(k) for g in groups for k in ("lr", "betas", "momentum", "weight_decay", "eps")):
        raise ConversionError(f"{who}: its optimizer treats groups of parameters differently, which has no equal here")
    try:
        arrays = _placed(model, dict(zip(order, (held["state"].get(i, {}) for i in ids), strict=True)), place)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConversionError(f"{who}: the optimizer's state does not fit the model ({type(error).__name__}: {error})") from None
    if isinstance(optimizer, optim.Adam):
        entries, steps = _adam(optimizer, options, arrays, who)
    elif isinstance(optimizer, optim.SGD):
        entries, steps = _sgd(optimizer, options, arrays, who)
    else:
        raise ConversionError(
            f"{who}: the state of a {type(optimizer).__name__} cannot be read from torch; compile with Adam, AdamW or SGD"
        )
    if not callable(optimizer.learning_rate):
        entries["learning_rate"] = np.asarray(float(options["lr"]), np.float32)
    state = {**model.state, **{f"optimizer.{n}": a for n, a in entries.items()}}
    model.load_state({**state, "step": np.asarray(steps, np.int64)})


def _placed(model: Model, slots: Mapping[str, Mapping[str, Any]], place: Place) -> dict[str, dict[str, np.ndarray]]:
    """What is kept for each of our parameters, by its name: slots in our layout, and the step."""
    names = {p: n for n, p in model.named_parameters()}
    found: dict[str, dict[str, np.ndarray]] = {}
    for slot in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer"):
        given = {n: s[slot] for n, s in slots.items() if s.get(slot) is not None}
        for parameter, array in place(given).items() if given else ():
            found.setdefault(names[parameter], {})[slot] = array
    steps = [np.asarray(s["step"]) for s in slots.values() if "step" in s]
    for entries in found.values():
        entries.update({"step": max(steps, key=int)} if steps else {})
    return found


def _same(who: str, what: str, theirs: Any, own: Any) -> None:
    if theirs is not None and not np.allclose(theirs, own, rtol=1e-5, atol=0):
        raise ConversionError(f"{who}: its optimizer has {what} = {theirs}, the model was compiled with {own}; compile it alike")


def _decay(who: str, optimizer: optim.Optimizer, options: Mapping[str, Any], *, decoupled: bool) -> None:
    own = optimizer.options.get("weight_decay") or 0.0
    theirs = float(options.get("weight_decay") or 0.0)
    if theirs and not decoupled:
        raise ConversionError(
            f"{who}: its optimizer adds weight_decay = {theirs} to the gradient; give the layers an L2 regularizer of {theirs / 2}"
        )
    _same(who, "weight_decay", theirs, own)


def _adam(
    optimizer: optim.Adam, options: Mapping[str, Any], arrays: Mapping[str, Mapping[str, Any]], who: str
) -> tuple[dict[str, np.ndarray], int]:
    if "betas" not in options:
        raise ConversionError(f"{who}: its optimizer is no Adam, but the model was compiled with {type(optimizer).__name__}")
    beta_1, beta_2 = (float(b) for b in options["betas"])
    _same(who, "betas", (beta_1, beta_2), (optimizer.beta_1, optimizer.beta_2))
    if bool(options.get("amsgrad")) != optimizer.amsgrad:
        raise ConversionError(f"{who}: its optimizer has amsgrad = {bool(options.get('amsgrad'))}; compile the model alike")
    decoupled = bool(options.get("decoupled_weight_decay")) or isinstance(optimizer, optim.AdamW)
    _decay(who, optimizer, options, decoupled=decoupled)
    steps = max((int(np.asarray(s["step"])) for s in arrays.values() if "step" in s), default=0)
    entries: dict[str, np.ndarray] = {
        "beta_1_power": np.asarray(beta_1**steps, np.float32),
        "beta_2_power": np.asarray(beta_2**steps, np.float32),
    }
    for name, slots in arrays.items():
        if slots:
            entries[f"m.{name}"] = slots["exp_avg"] / np.float32(1 - beta_1)
            entries[f"v.{name}"] = slots["exp_avg_sq"] / np.float32(1 - beta_2)
            if optimizer.amsgrad:
                entries[f"v_max.{name}"] = slots["max_exp_avg_sq"] / np.float32(1 - beta_2)
    return entries, steps


def _sgd(
    optimizer: optim.SGD, options: Mapping[str, Any], arrays: Mapping[str, Mapping[str, Any]], who: str
) -> tuple[dict[str, np.ndarray], int]:
    if "momentum" not in options or "betas" in options:
        raise ConversionError(f"{who}: its optimizer is no SGD, but the model was compiled with SGD")
    _same(who, "momentum", float(options["momentum"]), optimizer.momentum)
    _decay(who, optimizer, options, decoupled=False)
    if options.get("dampening"):
        raise ConversionError(f"{who}: its optimizer has dampening = {options['dampening']}, which has no equal here")
    rate = np.float32(options["lr"])
    found = {f"momentum.{n}": -rate * s["momentum_buffer"] for n, s in arrays.items() if s.get("momentum_buffer") is not None}
    return found, 0
