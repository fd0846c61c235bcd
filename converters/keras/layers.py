"""The table of layers: Keras's class names, our classes, how the arguments differ, and how the weights lie.

One entry a class. What an entry does not mention is the same on both sides: argument names, weights and their order, and
the attributes under which layers hold other layers. Weights differ for convolutions only, whose kernels Keras keeps as
(*kernel, in, out) and we as (out, in, *kernel).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from onnxdl import nn
from onnxdl.converters.keras.ordering import ordered_layers
from onnxdl.nn.cells import GatedCell, GRUCell, LSTMCell, SimpleRNNCell
from onnxdl.nn.conv import Conv
from onnxdl.nn.conv_lstm import ConvLSTM
from onnxdl.nn.conv_transpose import ConvTranspose
from onnxdl.nn.layer import Layer
from onnxdl.nn.parameter import Parameter
from onnxdl.nn.separable import Depthwise
from onnxdl.train.model import Model
from onnxdl.train.sequential import Sequential

NONE = (None,)


@dataclass(frozen=True)
class Entry:
    """One of Keras's layers.

    Args:
        layer: our class.
        renamed: options that our arguments call otherwise.
        ignored: options that change nothing that is computed.
        only: options that we have for these values alone; any other is refused.
        absent: our arguments where a configuration says nothing: Keras's default where it is not ours.
        given: our arguments that Keras's class has no option for.
    """

    layer: type[Layer]
    renamed: Mapping[str, str] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    absent: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)


IGNORED = frozenset({"autocast", "batch_input_shape", "batch_shape", "build_input_shape", "input_dtype", "input_spec"})
"""Options of any layer that change nothing, or are read elsewhere."""

ONLY: Mapping[str, tuple[Any, ...]] = {
    "lora_alpha": NONE,
    "lora_rank": NONE,
    "quantization_config": NONE,
    "quantization_mode": NONE,
    "ragged": (False, None),
    "sparse": (False, None),
    "optional": (False, None),
}
"""Options of any layer that we have for these values alone."""

LAST = {"data_format": "channels_last"}
_HOW = frozenset({"unroll", "use_cudnn", "implementation"})
_STATELESS: Mapping[str, tuple[Any, ...]] = {"stateful": (False, None), "time_major": (False, None), "num_constants": (0, None)}
_KERNEL = frozenset({"kernel_initializer", "kernel_regularizer", "kernel_constraint"})
_QUERY_SHAPES = frozenset({"query_shape", "key_shape", "value_shape", "flash_attention"})

ENTRIES: dict[str, Entry] = {
    name: Entry(layer) for name in nn.__all__ if isinstance(layer := getattr(nn, name), type) and issubclass(layer, Layer)
}
ENTRIES |= {
    "Attention": Entry(nn.Attention, only={"causal": (False, None)}),
    "AdditiveAttention": Entry(nn.AdditiveAttention, ignored=frozenset({"score_mode", "seed"}), only={"causal": (False, None)}),
    "BatchNormalization": Entry(
        nn.BatchNormalization,
        ignored=frozenset({"fused", "renorm_clipping", "renorm_momentum", "mode"}),
        only={"renorm": (False, None), "synchronized": (False, None), "virtual_batch_size": NONE, "adjustment": NONE},
        absent={"axis": -1},
    ),
    **{f"Conv{n}DTranspose": Entry(getattr(nn, f"Conv{n}DTranspose"), only={"groups": (1, None)}) for n in (1, 2, 3)},
    "CategoryEncoding": Entry(nn.CategoryEncoding, renamed={"max_tokens": "num_tokens"}),
    "Cropping1D": Entry(nn.Cropping1D, given=LAST),
    "DepthwiseConv1D": Entry(nn.DepthwiseConv1D, ignored=_KERNEL | {"filters", "groups"}),
    "DepthwiseConv2D": Entry(nn.DepthwiseConv2D, ignored=_KERNEL | {"filters", "groups"}),
    "Discretization": Entry(nn.Discretization, ignored=frozenset({"epsilon"})),
    "Embedding": Entry(nn.Embedding, ignored=frozenset({"input_length"}), only={"weights": NONE}),
    "ReversibleEmbedding": Entry(nn.ReversibleEmbedding, only={"reverse_dtype": NONE}),
    "Flatten": Entry(nn.Flatten, absent=LAST),
    "GroupNormalization": Entry(nn.GroupNormalization, absent={"axis": -1}),
    "GroupQueryAttention": Entry(nn.GroupedQueryAttention, ignored=_QUERY_SHAPES),
    "GroupedQueryAttention": Entry(nn.GroupedQueryAttention, ignored=_QUERY_SHAPES),
    "IntegerLookup": Entry(
        nn.IntegerLookup,
        ignored=frozenset({"vocabulary_size", "oov_method", "salt"}),
        only={"vocabulary_dtype": ("int64", "int32", None), "idf_weights": NONE, "pad_to_max_tokens": (False, None), "max_values": NONE},
    ),
    "LayerNormalization": Entry(nn.LayerNormalization, only={"rms_scaling": (False, None)}),
    "LeakyReLU": Entry(nn.LeakyReLU, renamed={"alpha": "negative_slope"}),
    "MultiHeadAttention": Entry(nn.MultiHeadAttention, ignored=_QUERY_SHAPES, only={"softmax_robust_masking": (False, None)}),
    "SeparableConv1D": Entry(nn.SeparableConv1D, ignored=_KERNEL | {"groups"}),
    "SeparableConv2D": Entry(nn.SeparableConv2D, ignored=_KERNEL | {"groups"}),
    "Resizing": Entry(nn.Resizing, only={"fill_mode": ("constant", None)}),
    "SpatialDropout1D": Entry(nn.SpatialDropout1D, only={"noise_shape": NONE}, given=LAST),
    "SpatialDropout2D": Entry(nn.SpatialDropout2D, only={"noise_shape": NONE}),
    "SpatialDropout3D": Entry(nn.SpatialDropout3D, only={"noise_shape": NONE}),
    "UpSampling1D": Entry(nn.UpSampling1D, given=LAST),
    **{
        name: Entry(getattr(nn, name), ignored=_HOW, only=_STATELESS)
        for name in ("RNN", "SimpleRNN", "GRU", "LSTM", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
    },
    **{
        name: Entry(getattr(nn, name), ignored=frozenset({"implementation"}))
        for name in ("SimpleRNNCell", "GRUCell", "LSTMCell", "StackedRNNCells")
    },
}  # fmt: skip
# Keras 2's other names
ENTRIES |= {
    "BatchNormalizationV1": ENTRIES["BatchNormalization"],
    "BatchNormalizationV2": ENTRIES["BatchNormalization"],
    "Deconvolution2D": ENTRIES["Conv2DTranspose"],
    "SyncBatchNormalization": ENTRIES["BatchNormalization"],
}


# ---- arguments --------------------------------------------------------------------------------------------------------


@cache
def accepted(layer: Any) -> frozenset[str]:
    """The names of the arguments that a class of ours takes."""
    names = {"name", "trainable", "dtype", "activity_regularizer"}
    kinds = [layer, *[cell for kind, cell in _CELLS.items() if issubclass(layer, kind)]]
    for kind in kinds:
        names |= {f"{w}_{option}" for w in kind.weight_options for option in ("regularizer", "constraint")}
        for base in kind.__mro__:
            if "__init__" in vars(base):
                parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
                names |= {p.name for p in list(parameters)[1:] if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    return frozenset(names - {"cell", "layer"}) | ({"cell"} if layer is nn.RNN else set()) | ({"layer"} if _wraps(layer) else set())


_CELLS: Mapping[type[Layer], type[GatedCell]] = {nn.SimpleRNN: SimpleRNNCell, nn.GRU: GRUCell, nn.LSTM: LSTMCell}


def _wraps(layer: type[Layer]) -> bool:
    return issubclass(layer, nn.Wrapper | nn.Bidirectional)


# ---- weights ----------------------------------------------------------------------------------------------------------


def class_name(layer: Layer) -> str:
    """The name of a layer's class in Keras: that of the file it came from, or else of our class."""
    given = getattr(layer, "keras_class", None)
    if given is not None:
        return str(given)
    if type(layer) is Model:
        return "Functional"
    return "Sequential" if type(layer) is Sequential else type(layer).__name__


def path_name(name: str) -> str:
    """A class's name as weight files write it: ``MaxPooling2D`` as ``max_pooling2d``."""
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


def own_weights(layer: Layer) -> list[tuple[Layer, Parameter | None]]:
    """What Keras keeps in a layer itself, in the order of its ``vars``: owner and weight.

    None stands for the one thing that Keras keeps and we do not: the count of a Normalization, which no output depends on.
    """
    if isinstance(layer, nn.Normalization):
        if layer.given is not None:
            return []
        return [*((layer, p) for p in layer._parameters.values()), (layer, None)]
    own = sorted(layer._parameters.values(), key=lambda p: not p.trainable)
    if isinstance(layer, nn.SpectralNormalization):
        return [(layer.layer, layer._kernel()), *((layer, p) for p in own)]
    return [(layer, p) for p in own]


def own_path(layer: Layer) -> str:
    """Where below a layer Keras keeps what we keep in the layer itself."""
    return "cell" if isinstance(layer, ConvLSTM) else ""


OLD_LIST = "_layer_checkpoint_dependencies"
"""What Keras 2.12 to 2.15 called ``layers``; there, a layer with weights is listed twice and so takes two numbers."""


def inner_layers(layer: Layer, old: bool = False) -> Iterator[tuple[str, Layer]]:
    """The layers held by a layer, each with the path below it where Keras keeps its weights, in the order of its walk.

    A path names the attribute; members of a list or dict go by their class, numbered where several share it.
    """
    if isinstance(layer, Model) and layer._layers is not None:
        listed = [each for each in ordered_layers(layer) if is_layer_of_keras(each)]
        if old:
            listed = [each for each in listed for _ in range(2 if flat_weights(each) else 1)]
        yield from _members(OLD_LIST if old else "layers", listed)
    hidden = _HIDDEN if isinstance(layer, nn.GroupedQueryAttention) else _HIDDEN[:1] if isinstance(layer, nn.MultiHeadAttention) else ()
    attributes = {f"_{n}" if n in hidden else n: value for n, value in vars(layer).items() if n not in _BOOKKEEPING}
    for name in sorted(attributes, key=lambda n: f"~{n}" if n.startswith("_") else n):
        value = attributes[name]
        if isinstance(value, Layer):
            yield name, value
        elif isinstance(value, list | tuple | dict):
            yield from _members(name, value)


_HIDDEN = ("gate_dense", "query_dense", "key_dense", "value_dense", "output_dense")
"""Attributes that Keras's attention layers write with an underscore before them: the first always, all in grouped ones."""
_BOOKKEEPING = frozenset({"_inputs", "_outputs", "_layers", "_starts", "_results", "_symbolic", "_options", "_parameters", "_arguments"})


def is_layer_of_keras(layer: Layer) -> bool:
    """Whether Keras counts it among a model's layers; it does not count bare operations."""
    return not getattr(layer, "keras_operation", False)


def _members(path: str, members: Any) -> Iterator[tuple[str, Layer]]:
    seen: dict[str, int] = {}
    for member in members.values() if isinstance(members, dict) else members:
        if isinstance(member, Layer):
            yield f"{path}/{_numbered(path_name(class_name(member)), seen)}", member
        elif isinstance(member, list | tuple | dict):
            yield from _members(f"{path}/{_numbered('container', seen)}", member)


def _numbered(name: str, seen: dict[str, int]) -> str:
    seen[name] = seen.get(name, -1) + 1
    return f"{name}_{seen[name]}" if seen[name] else name


def places(layer: Layer, path: str = "", seen: set[int] | None = None, old: bool = False) -> Iterator[tuple[str, Layer]]:
    """Every layer below, each once, with its path in a weight file of Keras 3 (``old``: of Keras 2.12); its own ``vars`` stand there."""
    seen = set() if seen is None else seen
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield "/".join(p for p in (path, own_path(layer)) if p), layer
    for name, inner in inner_layers(layer, old):
        yield from places(inner, f"{path}/{name}" if path else name, seen, old)


def flat_weights(layer: Layer) -> list[tuple[Layer, Parameter | None]]:
    """A layer's weights in the order of Keras's ``trainable_weights + non_trainable_weights``: that of its .h5 files."""
    found: list[tuple[Layer, Parameter | None]] = []
    seen: set[int] = set()
    _collect(layer, found, seen, set())
    if not layer.trainable:
        return found
    return sorted(found, key=lambda each: each[1] is None or not (each[1].trainable and each[0].trainable))


def _collect(layer: Layer, found: list[tuple[Layer, Parameter | None]], seen: set[int], visited: set[int]) -> None:
    if id(layer) in visited:
        return
    visited.add(id(layer))
    for owner, p in own_weights(layer):
        if p is None or id(p) not in seen:
            seen.add(id(p))
            found.append((owner, p))
    inner = ordered_layers(layer) if isinstance(layer, Model) and layer._layers is not None else [child for _, child in layer.children()]
    for child in inner:
        _collect(child, found, seen, visited)


def to_keras(owner: Layer, weight: Parameter, value: np.ndarray) -> np.ndarray:
    """A weight's value, or anything of its shape, as Keras lays it out."""
    axes = keras_axes(owner, weight)
    if axes is None:
        return value
    if _depthwise(owner, weight):
        value = value.reshape(-1, owner.depth_multiplier, *value.shape[2:])  # type: ignore[attr-defined]
    return np.ascontiguousarray(value.transpose(axes))


def from_keras(owner: Layer, weight: Parameter, value: np.ndarray) -> np.ndarray:
    """What Keras lays out its way, as we do."""
    axes = keras_axes(owner, weight)
    if axes is None or value.ndim != len(axes):
        return value
    return np.ascontiguousarray(value.transpose(np.argsort(axes))).reshape(_ours(owner, weight, value))


def _ours(owner: Layer, weight: Parameter, value: np.ndarray) -> tuple[int, ...]:
    if _depthwise(owner, weight):
        return (value.shape[-2] * value.shape[-1], 1, *value.shape[:-2])
    return (value.shape[-1], value.shape[-2], *value.shape[:-2])


def keras_axes(owner: Layer, weight: Parameter) -> list[int] | None:
    """Which of our axes stands at each place in Keras's layout; None where both are alike.

    A depthwise kernel's are those of (channels, multiplier, *kernel).
    """
    if not isinstance(owner, Conv | ConvTranspose | ConvLSTM | Depthwise) or len(weight.shape) == 1:
        return None
    space = range(2, owner.rank + 2)
    return [*space, 0, 1] if _depthwise(owner, weight) else [*space, 1, 0]


def axis_of_kernel(layer: type[Layer], option: str, axis: int) -> int | None:
    """Where an axis of Keras's kernel stands in ours; None for the channels of a depthwise one, which ours has as one axis."""
    if not issubclass(layer, Conv | ConvTranspose | ConvLSTM | Depthwise):
        return axis
    rank: int = layer.rank
    axis %= rank + 2
    if axis < rank:
        return axis + 2
    return None if option.startswith("depthwise") else rank + 1 - axis


def _depthwise(owner: Layer, weight: Parameter) -> bool:
    return isinstance(owner, Depthwise) and weight.name != "pointwise_kernel"


def shape_in_keras(owner: Layer, weight: Parameter) -> tuple[int, ...]:
    """The shape that a weight has in Keras."""
    axes = keras_axes(owner, weight)
    if axes is None:
        return weight.shape
    shape = weight.shape
    if _depthwise(owner, weight):
        shape = (shape[0] // owner.depth_multiplier, owner.depth_multiplier, *shape[2:])  # type: ignore[attr-defined]
    return tuple(shape[a] for a in axes)
