"""What Keras's users may write by name: every argument of Keras 3.15 is taken here, but for those listed with a reason."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import onnxdl as ox
from onnxdl import nn, optim
from onnxdl.optim.weights import Options
from tests.keras_backend import keras

QUANTIZED = "Keras's own quantization and LoRA change a layer in place; here both are of their own"
SPARSE = "ONNX has no sparse outputs"
OF_THE_INNER = "the options belong to the inner optimizer"
ABSENT: dict[str, str] = {
    **{f"Dense.{name}": QUANTIZED for name in ("lora_rank", "lora_alpha", "quantization_config")},
    **{f"Embedding.{name}": QUANTIZED for name in ("lora_rank", "lora_alpha", "quantization_config")},
    **{f"EinsumDense.{name}": QUANTIZED for name in ("lora_rank", "lora_alpha", "quantization_config", "gptq_unpacked_column_size")},
    **{f"BatchNormalization.{name}": "batch renormalization is not there" for name in ("renorm", "renorm_clipping", "renorm_momentum")},
    "Bidirectional.weights": "initial weights are set by set_weights",
    "CategoryEncoding.sparse": SPARSE,
    "Discretization.sparse": SPARSE,
    "Discretization.epsilon": "the boundaries are exact quantiles",
    "InputLayer.sparse": SPARSE,
    "InputLayer.ragged": SPARSE,
    "InputLayer.optional": "every input of a graph is given",
    "IntegerLookup.sparse": SPARSE,
    **{f"IntegerLookup.{n}": "no hashed or counted words" for n in ("idf_weights", "oov_method", "pad_to_max_tokens", "salt")},
    "IntegerLookup.vocabulary_dtype": "the vocabulary is int64",
    "ReversibleEmbedding.reverse_dtype": "both ways have the layer's element type",
    **{f"MultiOptimizer.{name}": OF_THE_INNER for name in Options.__optional_keys__},
    **{f"LossScaleOptimizer.{name}": OF_THE_INNER for name in Options.__optional_keys__},
}  # fmt: skip


def taken_by_keras(kind: type) -> set[str]:
    """The names of the constructor's arguments."""
    parameters = inspect.signature(kind.__init__).parameters.values()  # type: ignore[misc]
    return {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)} - {"self"}


def refused(kind: type, names: set[str]) -> set[str]:
    """Those that our constructor refuses by name: the call is made without values, and its complaint is read."""
    found = set()
    for name in names:
        try:
            inspect.signature(kind).bind_partial(**{name: None})
        except TypeError:
            found.add(name)
    return found


def options_of(kind: type) -> set[str]:
    """What our constructors take in ``**kwargs``, which their bases know by name."""
    known = {"input_shape", "input_dim", "batch_input_shape"} if issubclass(kind, nn.Layer) else set()
    for base in kind.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
            known |= {p.name for p in parameters}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    known |= {f"{w}_{option}" for w in getattr(kind, "weight_options", ()) for option in ("regularizer", "constraint")}
    if issubclass(kind, optim.Optimizer):
        known |= set(Options.__optional_keys__)
    if issubclass(kind, nn.LSTM | nn.GRU | nn.SimpleRNN):
        cell = {nn.LSTM: nn.LSTMCell, nn.GRU: nn.GRUCell, nn.SimpleRNN: nn.SimpleRNNCell}[kind]  # type: ignore[index]
        known |= options_of(cell)
    fn = getattr(kind, "fn", None)
    return known | (set(inspect.signature(fn).parameters) if fn is not None else set())


def missing(theirs: Any, ours: Any) -> set[str]:
    found = set()
    for name in dir(theirs):
        kind, own = getattr(theirs, name), getattr(ours, name, None)
        if isinstance(kind, type) and isinstance(own, type) and own is not optim.OptimizerMap:  # a NamedTuple of the same two
            names = taken_by_keras(kind) - ({"dtype"} if issubclass(own, nn.losses.Loss | nn.metrics.Metric) else set())  # float32 here
            found |= {f"{name}.{n}" for n in (names - options_of(own)) | refused(own, names & options_of(own))}
    return found


def test_layers_take_the_names_of_keras() -> None:
    layers, listed = missing(keras().layers, nn), {name for name in ABSENT if hasattr(nn, name.partition(".")[0])}
    aliases = {n for n in layers if n.startswith(("GroupQueryAttention",))}
    assert layers - aliases == listed


def test_optimizers_and_schedules_take_the_names_of_keras() -> None:
    theirs = keras().optimizers
    assert {n for n in dir(theirs) if n[0].isupper()} <= set(dir(optim))
    assert missing(theirs, optim) - set(ABSENT) == set()
    assert missing(theirs.schedules, optim.schedules) == set()


def test_losses_metrics_regularizers_and_constraints_take_the_names_of_keras() -> None:
    theirs = keras()
    assert missing(theirs.losses, nn.losses) | missing(theirs.regularizers, nn.regularizers) == set()
    assert missing(theirs.constraints, nn.constraints) == set()
    assert missing(theirs.metrics, nn.metrics) == {
        "AUC.num_labels",  # found from the shapes
        "SparseTopKCategoricalAccuracy.from_sorted_ids",
    }


@pytest.mark.parametrize("kind", optim.NAMES.values())
def test_every_optimizer_takes_every_option(kind: Callable[..., optim.Optimizer]) -> None:
    options = {"weight_decay": 0.01, "clipnorm": 1.0, "use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 2}
    optimizer = kind(learning_rate=0.1, **options, loss_scale_factor=8.0, gradient_accumulation_steps=2, name="mine")
    assert optimizer.name == "mine" and optimizer.get_config().items() >= options.items()
    with pytest.raises(TypeError, match="takes no argument 'decay'"):
        kind(decay=0.1)


METHODS = ("compile", "fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch", "summary", "get_layer")


@pytest.mark.parametrize("method", METHODS)
def test_arguments_stand_in_the_order_of_keras(method: str) -> None:
    theirs = inspect.signature(getattr(keras().Model, method)).parameters
    ours = inspect.signature(getattr(ox.Model, method)).parameters
    positional = [p.name for p in theirs.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD] == positional
    for name in positional:
        if ours[name].default is not inspect.Parameter.empty and theirs[name].default is not inspect.Parameter.empty:
            assert ours[name].default == theirs[name].default, name
