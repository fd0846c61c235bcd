"""How a model is trained, ours and Keras's: optimizer, losses, metrics, as the data that Keras calls a compile config."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from onnxdl import optim
from onnxdl.config import Configurable
from onnxdl.converters.keras.optimizer import OPTIMIZERS
from onnxdl.errors import ConversionError
from onnxdl.names import snake_case
from onnxdl.nn import losses, metrics
from onnxdl.optim import Optimizer, schedules
from onnxdl.train.model import Model

Custom = Mapping[str, Any]
SCHEDULES = (
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "PiecewiseConstantDecay", "PolynomialDecay",
)  # fmt: skip
_USUAL = {
    "loss_scale_factor": None, "relative_step": True, "muon_a": 3.4445, "muon_b": -4.775, "muon_c": 2.0315,
}  # fmt: skip
"""Options that we have for one value alone."""
_IDLE = {"jit_compile", "is_legacy_optimizer", "schedule_decay", "name", "dtype", "from_logits_default"}
"""Options that change nothing here. Nadam's schedule_decay was 0.004 always, which is its 0.96 written otherwise."""


# ---- from Keras -------------------------------------------------------------------------------------------------------


def compile_from(model: Model, config: Mapping[str, Any], custom_objects: Custom | None = None, *, mixed_precision: bool = False) -> None:
    """Compiles a model as a Keras file says: ``compile_config`` of a .keras archive, ``training_config`` of an .h5 file.

    Raises:
        ConversionError: the configuration holds something that has no equal here.
    """
    custom = custom_objects or {}
    optimizer = config.get("optimizer") or config.get("optimizer_config")
    names = {"loss": losses, "metrics": metrics}
    model.compile(
        optimizer=optimizer_from(optimizer, custom),
        loss=_objects_from(config.get("loss"), names["loss"], custom),
        metrics=_objects_from(config.get("metrics"), names["metrics"], custom),
        loss_weights=config.get("loss_weights"),
        weighted_metrics=_objects_from(config.get("weighted_metrics"), names["metrics"], custom),
        mixed_precision=mixed_precision,
    )


def optimizer_from(config: Any, custom_objects: Custom | None = None) -> Optimizer:
    """The optimizer of a configuration, or of a name."""
    if isinstance(config, str):
        return optim.get(config)
    name, options = str(config["class_name"]).removeprefix("Custom>"), dict(config["config"])  # so Keras 2.14 and later registered its own
    custom = _custom(config, custom_objects or {})
    if custom is not None:
        return custom.from_config(options)  # type: ignore[no-any-return]
    if name == "LossScaleOptimizer":
        inner = options.get("inner_optimizer") or options["optimizer"]
        scale, growth = options.get("initial_scale", 2.0**15), options.get("dynamic_growth_steps", 2000)
        return optim.LossScaleOptimizer(optimizer_from(inner, custom_objects), scale, growth)
    kind = next((k for k in OPTIMIZERS if k.__name__.lower() == name.lower()), None)
    if kind is None:
        raise ConversionError(f"there is no optimizer {name!r} here; give yours as custom_objects={{{name!r}: ...}}")
    rate = options.pop("lr", options.get("learning_rate", 0.001))
    rate = _schedule_from(rate) if isinstance(rate, Mapping) else float(rate)
    decay = options.pop("decay", 0.0)
    if decay:
        if callable(rate):
            raise ConversionError(f"{name} has both a schedule and a decay of the learning rate; Keras 2 did not say how they go together")
        rate = schedules.InverseTimeDecay(rate, 1.0, decay)
    options = {k: v for k, v in options.items() if v is not False or k in _accepted(kind)}
    if options.get("epsilon", 0) is None:
        del options["epsilon"]
    return kind(**{**_known(kind, options, name), "learning_rate": rate})


def _schedule_from(config: Mapping[str, Any]) -> Any:
    name = config["class_name"]
    if name not in SCHEDULES:
        raise ConversionError(f"there is no learning rate schedule {name!r} here; known are {', '.join(SCHEDULES)}")
    kind = getattr(schedules, name)
    return kind(**_known(kind, config["config"], name))


def _accepted(kind: Callable[..., Any]) -> set[str]:
    accepted = set(inspect.signature(kind).parameters)
    return accepted | (optim.Options.__optional_keys__ if "options" in accepted else set())


def _known(kind: Callable[..., Any], options: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The options that a class takes; those that change nothing are left out, any other is refused."""
    accepted = _accepted(kind)
    found: dict[str, Any] = {}
    for option, value in options.items():
        if option in accepted and option != "name":
            found[option] = value
        elif option not in _IDLE and value is not None and _USUAL.get(option) != value:
            raise ConversionError(f"{name} has the option {option}={value!r}, which has no equal here")
    return found


def _objects_from(value: Any, module: Any, custom: Custom) -> Any:
    """Losses or metrics by name, as objects, in any nest of lists and dicts."""
    if value is None:
        return None
    if isinstance(value, str):
        return _named(value, module, custom)
    if isinstance(value, list | tuple):
        return [_objects_from(v, module, custom) for v in value]
    if "class_name" not in value:
        return {k: _objects_from(v, module, custom) for k, v in value.items()}
    name, options = value["class_name"], value["config"]
    if name in ("function", "__keras_tensor__") or isinstance(options, str):
        return _named(str(options), module, custom)
    own = _custom(value, custom)
    if own is not None:
        return own.from_config(options) if hasattr(own, "from_config") else own
    if name in ("MeanMetricWrapper", "LossFunctionWrapper"):
        return _objects_from(options.get("fn"), module, custom)
    kind = getattr(module, name, None)
    if kind is None:
        raise ConversionError(f"there is no {module.__name__.split('.')[-1]} {name!r} here; give yours as custom_objects={{{name!r}: ...}}")
    given = {k: v for k, v in options.items() if k not in ("dtype", "fn") and v is not None}
    if given.get("reduction") == "auto":
        del given["reduction"]
    try:
        return kind(**given)
    except TypeError as error:
        raise ConversionError(f"{name} cannot be made of {given}: {error}") from error


def _named(name: str, module: Any, custom: Custom) -> Any:
    own = custom.get(name) or custom.get(name.rpartition(">")[2])
    if own is None and name not in module.NAMES and snake_case(name) not in module.NAMES:
        kind = module.__name__.split(".")[-1]
        raise ConversionError(f"there is nothing called {name!r} among the {kind} here; give yours as custom_objects={{{name!r}: ...}}")
    return own or name


def _custom(config: Mapping[str, Any], custom: Custom) -> Any:
    registered = config.get("registered_name")
    return custom.get(str(registered)) or custom.get(str(config["class_name"]))


# ---- to Keras ---------------------------------------------------------------------------------------------------------


def compile_config(model: Model) -> dict[str, Any]:
    """How a compiled model is trained, as Keras 3 writes it.

    Raises:
        ConversionError: Keras has no equal of it.
    """
    told = model.compiled
    assert told is not None  # who writes training has checked it
    return {
        "optimizer": optimizer_config(model, told.optimizer),
        "loss": _object_config(told.loss, "losses"),
        "loss_weights": told.loss_weights,
        "metrics": _object_config(told.metrics, "metrics"),
        "weighted_metrics": _object_config(told.weighted_metrics, "metrics"),
        "run_eagerly": False,
        "steps_per_execution": 1,
        "jit_compile": "auto",
    }


def optimizer_config(model: Model, optimizer: Optimizer) -> dict[str, Any]:
    """An optimizer as Keras 3 writes it, with the learning rate that it has by now."""
    if isinstance(optimizer, optim.LossScaleOptimizer):
        options = {"initial_scale": optimizer.initial_scale, "dynamic_growth_steps": optimizer.dynamic_growth_steps}
        return _written("optimizers", optimizer, {"inner_optimizer": optimizer_config(model, optimizer.inner_optimizer), **options})
    if type(optimizer) not in OPTIMIZERS:
        raise ConversionError(f"Keras has no optimizer like {type(optimizer).__name__}; compile the model with another one")
    options = optimizer.get_config()
    if options.pop("undecayed", None):
        raise ConversionError("Keras's configurations do not say which weights are excluded from weight decay; exclude none")
    rate = optimizer.learning_rate
    options["learning_rate"] = _schedule_config(rate) if callable(rate) else float(model.state.get("optimizer.learning_rate", rate))
    return _written("optimizers", optimizer, {**options, "name": optimizer.name})


def _schedule_config(schedule: Any) -> Any:
    if isinstance(schedule, schedules.ConstantSchedule):
        return schedule.learning_rate
    if type(schedule).__name__ not in SCHEDULES or type(schedule) is not getattr(schedules, type(schedule).__name__):
        name = getattr(schedule, "__name__", type(schedule).__name__)
        raise ConversionError(f"Keras has no learning rate schedule like {name}; known are {', '.join(SCHEDULES)}")
    return _written("optimizers.schedules", schedule, {k: v for k, v in schedule.get_config().items() if v is not None})


def _object_config(value: Any, module: str) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return [_object_config(v, module) for v in value]
    if isinstance(value, Mapping):
        return {k: _object_config(v, module) for k, v in value.items()}
    ours = losses if module == "losses" else metrics
    if isinstance(value, FunctionType):
        named = next((name for name, function in ours.NAMES.items() if function is value), None)
        if named is not None:
            return named
    elif isinstance(value, Configurable) and getattr(ours, type(value).__name__, None) is type(value):
        name = ours.name_of(value)
        return name if name is not None else _written(module, value, value.get_config())
    name = getattr(value, "__name__", type(value).__name__)
    raise ConversionError(f"{name} among the {module} is Python code of your own, which a Keras file cannot hold")


def _written(module: str, value: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    return {"module": f"keras.{module}", "class_name": type(value).__name__, "config": dict(options), "registered_name": None}
