"""Layers that Keras defines outside of ``keras.layers``, or defined in its second version only; and its old words for options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnxdl import nn
from onnxdl.converters.keras.layers import Entry
from onnxdl.graph import op, random
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.layer import Layer


def hard_sigmoid_of_keras_2(x: Tensor) -> Tensor:
    """0.2 * x + 0.5, cut off at 0 and 1: Keras 2's; Keras 3's rises by 1 / 6."""
    return op.HardSigmoid(x, alpha=0.2, beta=0.5)


class CustomScaleLayer(Layer):
    """The first input plus ``scale`` times the second: that of Inception-ResNet."""

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        return inputs[0] + inputs[1] * self.scale


class LayerScale(Layer):
    """x times a learned factor for each channel, the last axis: that of ConvNeXt (Touvron et al. 2021)."""

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.init_values, self.projection_dim = init_values, projection_dim

    def build(self, input_shape: Any) -> None:
        start = nn.initializers.Constant(self.init_values)
        self.gamma = self.add_weight(name="gamma", shape=(self.projection_dim,), initializer=start)

    def call(self, x: Tensor) -> Tensor:
        return x * self.gamma


class StochasticDepth(Layer):
    """While training each sample is 0 with the probability ``drop_path_rate``, the rest scaled up (Huang et al. 2016)."""

    def __init__(self, drop_path_rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.drop_path_rate = drop_path_rate

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training or not self.drop_path_rate:
            return x
        keep = 1.0 - self.drop_path_rate
        shape = op.Concat(op.Shape(x, start=0, end=1), np.ones(x.ndim - 1, np.int64), axis=0)
        return x / keep * op.Floor(random.uniform(shape, keep, 1.0 + keep))


class ThresholdedReLU(Layer):
    """x where x > theta, 0 elsewhere (Konda et al. 2014)."""

    supports_masking = True

    def __init__(self, theta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.theta = theta

    def call(self, x: Tensor) -> Tensor:
        return op.Where(x > self.theta, x, 0.0)


_CUDNN = {"activation": "tanh", "recurrent_activation": "sigmoid"}
_STATELESS: Mapping[str, tuple[Any, ...]] = {"stateful": (False, None), "time_major": (False, None)}

ENTRIES: dict[str, Entry] = {
    "CuDNNGRU": Entry(nn.GRU, only=_STATELESS, given={**_CUDNN, "reset_after": True}),
    "CuDNNLSTM": Entry(nn.LSTM, only=_STATELESS, given=_CUDNN),
    "CustomScaleLayer": Entry(CustomScaleLayer),
    "LayerScale": Entry(LayerScale),
    "StochasticDepth": Entry(StochasticDepth),
    "ThresholdedReLU": Entry(ThresholdedReLU),
}


# ---- Keras 1 ----------------------------------------------------------------------------------------------------------

_WORDS = {
    "W_constraint": "kernel_constraint",
    "W_regularizer": "kernel_regularizer",
    "b_constraint": "bias_constraint",
    "b_regularizer": "bias_regularizer",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "inner_activation": "recurrent_activation",
    "inner_init": "recurrent_initializer",
    "nb_filter": "filters",
    "output_dim": "units",
    "pool_length": "pool_size",
    "subsample": "strides",
    "subsample_length": "strides",
    "stride": "strides",
    "atrous_rate": "dilation_rate",
    "filter_length": "kernel_size",
    "init": "kernel_initializer",
    "bias": "use_bias",
}


def prepared(name: str, config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with Keras 1's words, if it has any, in today's."""
    if not (_WORDS.keys() - _OF_KERAS_2) & config.keys():
        return config
    words, left_out = dict(_WORDS), {"nb_row", "nb_col", "input_dim", "input_length"}
    if name == "Embedding":
        words, left_out = {"init": "embeddings_initializer", "W_regularizer": "embeddings_regularizer"}, {"W_constraint", "dropout"}
    new = {words.get(k, k): v for k, v in config.items() if k not in left_out}
    if "nb_row" in config:
        new["kernel_size"] = [config["nb_row"], config.get("nb_col")]
    if new.get("data_format") in ("tf", "th"):
        new["data_format"] = "channels_last" if new["data_format"] == "tf" else "channels_first"
    return new


_OF_KERAS_2 = {"output_dim", "stride"}
"""Words that Keras 2 has as well, for something else."""
