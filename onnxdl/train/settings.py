"""How a model was compiled, as text in its file, so that a loaded one is compiled alike.

What has no configuration, such as a function of the user's, is named in the text; ``fit`` then says what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onnxdl import optim
from onnxdl.config import Configurable, as_text, deserialize
from onnxdl.errors import FormatError, GraphError
from onnxdl.nn import constraints, losses, metrics, regularizers

if TYPE_CHECKING:
    from onnxdl.train.model import Model

KEY = "onnxdl.compile"


def settings_of(model: Model) -> str:
    """What ``compile`` was told, or what of it cannot be told: ``{"missing": why}``."""
    assert model.compiled is not None  # who saves training has checked it
    told, recipe = model.compiled, model.recipe
    names = recipe.parameter_names()
    try:
        if recipe.compute_loss is not None:
            raise GraphError(f"{type(model).__name__} defines compute_loss, a function of your own")
        reported = [[m for m in chosen if not isinstance(m, metrics.LossMetric)] for chosen in recipe.metrics]
        settings = {
            "optimizer": _written(told.optimizer, None),
            "loss": [loss if loss is None else _written(loss, losses.name_of(loss)) for loss in recipe.losses],
            "loss_weights": list(recipe.loss_weights),
            "metrics": [[_written(m, metrics.name_of(m)) for m in chosen if not m.weighted] for chosen in reported],
            "weighted_metrics": [[_written(m, metrics.name_of(m)) for m in chosen if m.weighted] for chosen in reported],
            "mixed_precision": told.mixed_precision,
            "trained": [names[p] for p in recipe.trained],
            "regularizer": {name: _written(p.regularizer, None) for p, name in names.items() if p.regularizer is not None},
            "constraint": {name: _written(p.constraint, None) for p, name in names.items() if p.constraint is not None},
        }
    except GraphError as error:
        settings = {"missing": str(error)}
    return json.dumps(settings)


def _written(value: Any, name: str | None) -> Any:
    if name is not None:
        return name
    if not isinstance(value, Configurable) or type(value) in (losses.LossFunctionWrapper, metrics.MeanMetricWrapper):
        function = getattr(value, "function", value)
        raise GraphError(f"{getattr(function, '__name__', function)!r} is a function of your own")
    return json.loads(as_text(value))


def compile_as_saved(model: Model, metadata: Mapping[str, str]) -> None:
    """Compiles a loaded model as the saved one was, where its file says how."""
    if KEY not in metadata:
        return
    try:
        settings = json.loads(metadata[KEY])
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the metadata entry {KEY!r} is no JSON ({error}); remove it to load the model alone") from error
    if not isinstance(settings, dict):
        raise FormatError(f"the metadata entry {KEY!r} is no JSON object; remove it to load the model alone")
    if "missing" in settings:
        model.uncompiled = str(settings["missing"])
        return
    parameters = dict(model.named_parameters())
    try:
        model.compile(
            deserialize(settings["optimizer"], optim.Optimizer),
            [loss if loss is None else _made(loss, losses.Loss) for loss in settings["loss"]],
            settings["loss_weights"],
            _nested(settings["metrics"]),
            _nested(settings["weighted_metrics"]),
            mixed_precision=settings["mixed_precision"] and settings["optimizer"]["class_name"] != "LossScaleOptimizer",
        )
        for kind, base in (("regularizer", regularizers.Regularizer), ("constraint", constraints.Constraint)):
            for name, config in settings[kind].items():
                if name in parameters:
                    setattr(parameters[name], kind, deserialize(config, base))
        assert model.compiled is not None  # just done
        trained = [parameters[name] for name in settings["trained"] if name in parameters]
        model.compiled = model.compiled._replace(trained=trained, mixed_precision=bool(settings["mixed_precision"]))
    except GraphError as error:
        model.compiled, model.uncompiled = None, str(error)
        return
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise FormatError(f"the metadata entry {KEY!r} makes no sense ({type(error).__name__}: {error})") from error


def _made(value: Any, base: type[Configurable]) -> Any:
    return deserialize(value, base) if isinstance(value, Mapping) else value


def _nested(settings: Sequence[Sequence[Any]]) -> Any:
    found = [[_made(m, metrics.Metric) for m in chosen] for chosen in settings]
    return found if len(found) > 1 else found[0]
