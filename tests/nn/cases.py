"""What the contract test of layers runs: for each layer how it is made, in our library and in Keras, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onnxdl import nn

FIRST, LAST = "channels_first", "channels_last"


@dataclass(frozen=True)
class Ints:
    """An input of whole numbers below ``high``."""

    high: int
    shape: tuple[int, ...]
    low: int = 0


@dataclass(frozen=True)
class Case:
    """One way to use a layer.

    ``make`` takes the module of layers, ours or Keras's. ``inputs`` are the call's arguments: shapes, Ints or arrays, in
    lists where the layer takes lists. ``keywords`` are further ones of the call. What Keras draws at random, or knows
    otherwise, has no ``oracle``; what is no function of floats is not ``differentiable``.
    """

    make: Callable[[Any], Any]
    inputs: Sequence[Any]
    keywords: dict[str, Any] = field(default_factory=dict)
    training: bool = False
    oracle: bool = True
    differentiable: bool = True

    def __str__(self) -> str:
        layer = self.make(nn)
        inner = getattr(layer, "forward_layer", None) or getattr(layer, "layer", None)
        name = type(layer).__name__ + (f"({type(inner).__name__})" if inner is not None else "")
        return f"{name}-{'-'.join('x'.join(map(str, shape)) for shape in shapes_in(list(self.inputs)))}"


def shapes_in(inputs: Any) -> list[tuple[int, ...]]:
    """The shapes of all inputs in lists of lists."""
    if isinstance(inputs, list):
        return [shape for x in inputs for shape in shapes_in(x)]
    return [inputs.shape if isinstance(inputs, Ints | np.ndarray) else inputs]


def ours(layers: Any, **keywords: Any) -> dict[str, Any]:
    """Keywords that only our layers have."""
    return keywords if layers is nn else {}


MASK = np.array([[1, 1, 1, 0, 0], [1, 0, 1, 1, 0], [1, 1, 1, 1, 1]], bool)
TOKENS = np.array([[3, 1, 4, 0, 0], [5, 2, 0, 1, 0], [2, 7, 1, 8, 2]], np.int32)
SEQUENCE = (3, 5, 4)

CORE = [
    Case(lambda L: L.Dense(4, activation="tanh"), [(3, 5)]),
    Case(lambda L: L.Dense(4, use_bias=False), [(3, 2, 5)]),
    Case(lambda L: L.EinsumDense("abc,cd->abd", (None, 6), activation="tanh", bias_axes="d"), [(3, 2, 5)]),
    Case(lambda L: L.EinsumDense("...x,xyz->...zy", (3, 2), bias_axes="y"), [(3, 4, 5)]),
    Case(lambda L: L.EinsumDense("abcd,cde->abe", (None, 6), bias_axes="e"), [(2, 3, 4, 5)]),
    Case(lambda L: L.Embedding(9, 4), [Ints(9, (3, 5))]),
    Case(lambda L: L.ReversibleEmbedding(9, 4), [Ints(9, (3, 5))]),
    Case(lambda L: L.ReversibleEmbedding(9, 4, tie_weights=False, logit_soft_cap=2.0), [(3, 5, 4)], keywords={"reverse": True}),
    Case(lambda L: L.Masking(0.0), [np.repeat(MASK[..., None], 4, axis=2).astype(np.float32) * 0.7]),
    Case(lambda L: L.Activation("gelu"), [(3, 5)]),
    Case(lambda L: L.Identity(), [(3, 5)]),
    Case(lambda L: L.Lambda(lambda x: x * 2.0), [(3, 5)]),
    Case(lambda L: L.InputLayer((5,)), [(3, 5)], oracle=False),
    Case(lambda L: L.Wrapper(L.Dense(4)), [(3, 5)], oracle=False),
]

ACTIVATIONS = [
    Case(lambda L: L.ReLU(max_value=0.8, negative_slope=0.1, threshold=0.2), [(3, 5)]),
    Case(lambda L: L.ReLU(), [(3, 5)]),
    Case(lambda L: L.LeakyReLU(0.2), [(3, 5)]),
    Case(lambda L: L.PReLU(shared_axes=[2]), [(3, 4, 5)]),
    Case(lambda L: L.ELU(0.5), [(3, 5)]),
    Case(lambda L: L.Softmax(axis=[1, 2]), [(3, 4, 5)]),
    Case(lambda L: L.Softmax(), [(3, 5)], keywords={"mask": MASK}),
]


def convolutions() -> list[Case]:
    cases = []
    for form in (FIRST, LAST):
        one, two, three = ((2, 3, 9), (2, 3, 7, 8), (2, 3, 4, 5, 6)) if form == FIRST else ((2, 9, 3), (2, 7, 8, 3), (2, 4, 5, 6, 3))
        cases += [
            Case(lambda L, f=form: L.Conv1D(4, 3, padding="causal", dilation_rate=2, data_format=f), [one]),
            Case(lambda L, f=form: L.Conv2D(4, (3, 2), strides=2, padding="same", activation="tanh", data_format=f), [two]),
            Case(lambda L, f=form: L.Conv3D(4, 2, use_bias=False, data_format=f), [three]),
            Case(lambda L, f=form: L.Conv1DTranspose(4, 3, strides=2, data_format=f), [one]),
            Case(lambda L, f=form: L.Conv2DTranspose(4, (3, 2), strides=2, padding="same", data_format=f), [two]),
            Case(lambda L, f=form: L.Conv3DTranspose(2, 2, strides=2, padding="same", data_format=f), [three]),
            Case(lambda L, f=form: L.DepthwiseConv1D(3, depth_multiplier=2, padding="same", data_format=f), [one]),
            Case(lambda L, f=form: L.DepthwiseConv2D(3, strides=2, depth_multiplier=2, padding="same", data_format=f), [two]),
            Case(lambda L, f=form: L.SeparableConv1D(5, 3, data_format=f), [one]),
            Case(lambda L, f=form: L.SeparableConv2D(5, 3, depth_multiplier=2, padding="same", data_format=f), [two]),
        ]
    return [
        *cases,
        Case(lambda L: L.Conv2D(4, 3, dilation_rate=2, padding="same", data_format=FIRST), [(2, 3, 7, 8)]),
        Case(lambda L: L.Conv2D(4, 3, groups=2, data_format=FIRST), [(2, 6, 5, 5)]),
        Case(lambda L: L.Conv2DTranspose(2, 3, strides=3, padding="valid", output_padding=1, data_format=FIRST), [(2, 3, 4, 5)]),
        Case(lambda L: L.Conv2DTranspose(2, 2, strides=3, padding="valid", data_format=FIRST), [(2, 3, 4, 5)]),
    ]


def pools() -> list[Case]:
    sizes = {1: (9,), 2: (7, 8), 3: (4, 5, 6)}
    cases = []
    for rank, space in sizes.items():
        for form in (FIRST, LAST):
            shape = (2, 3, *space) if form == FIRST else (2, *space, 3)
            for name in (f"MaxPooling{rank}D", f"AveragePooling{rank}D"):
                cases.append(Case(lambda L, n=name, f=form: getattr(L, n)(2, data_format=f), [shape]))
        shape = (2, 3, *space)
        for name in (f"MaxPooling{rank}D", f"AveragePooling{rank}D"):
            cases.append(Case(lambda L, n=name: getattr(L, n)(3, strides=2, padding="same", data_format=FIRST), [shape]))
        for name in (f"GlobalMaxPooling{rank}D", f"GlobalAveragePooling{rank}D"):
            cases.append(Case(lambda L, n=name: getattr(L, n)(keepdims=True, data_format=FIRST), [shape]))
        for name in (f"AdaptiveMaxPooling{rank}D", f"AdaptiveAveragePooling{rank}D"):
            cases.append(Case(lambda L, n=name, r=rank: getattr(L, n)((3,) * r, data_format=FIRST), [shape]))
    return [
        *cases,
        Case(lambda L: L.AdaptiveAveragePooling2D((2, 4), data_format=LAST), [(2, 6, 8, 3)]),
        Case(lambda L: L.GlobalAveragePooling1D(data_format=LAST), [SEQUENCE], keywords={"mask": MASK}),
    ]


NORMALIZATIONS = [
    Case(lambda L: L.BatchNormalization(axis=1), [(4, 3, 5)]),
    Case(lambda L: L.BatchNormalization(axis=-1, scale=False), [(4, 3, 5)], training=True),
    Case(lambda L: L.BatchNormalization(axis=-1), [SEQUENCE], training=True, keywords={"mask": MASK}),
    Case(lambda L: L.LayerNormalization(), [(3, 4, 5)]),
    Case(lambda L: L.LayerNormalization(axis=[1, 2], scale=False), [(3, 4, 5)]),
    Case(lambda L: L.LayerNormalization(axis=1), [(3, 4, 5)]),
    Case(lambda L: L.GroupNormalization(2, axis=1), [(3, 4, 5, 2)]),
    Case(lambda L: L.GroupNormalization(-1, axis=-1), [(3, 5, 4)]),
    Case(lambda L: L.RMSNormalization(), [(3, 4, 5)]),
    Case(lambda L: L.UnitNormalization(axis=[1, 2]), [(3, 4, 5)]),
    Case(lambda L: L.SpectralNormalization(L.Dense(4), power_iterations=2), [(3, 5)]),
    Case(lambda L: L.SpectralNormalization(L.Dense(4), power_iterations=2), [(3, 5)], training=True, differentiable=False),
    Case(lambda L: L.SpectralNormalization(L.Conv2D(4, 3, data_format=FIRST)), [(2, 3, 5, 5)], training=True, differentiable=False),
]

REGULARIZATION = [
    Case(lambda L: L.Dropout(0.4), [(3, 5)]),
    Case(lambda L: L.Dropout(0.4, noise_shape=(None, 1)), [(3, 5)], training=True, oracle=False),
    Case(lambda L: L.AlphaDropout(0.4), [(3, 5)]),
    Case(lambda L: L.AlphaDropout(0.4), [(3, 5)], training=True, oracle=False),
    Case(lambda L: L.GaussianDropout(0.4), [(3, 5)], training=True, oracle=False),
    Case(lambda L: L.GaussianNoise(0.4), [(3, 5)], training=True, oracle=False),
    Case(lambda L: L.SpatialDropout1D(0.4), [(3, 5, 4)], training=True, oracle=False),
    Case(lambda L: L.SpatialDropout2D(0.4, data_format=LAST), [(3, 5, 4, 2)], training=True, oracle=False),
    Case(lambda L: L.SpatialDropout3D(0.4), [(3, 5, 4, 2, 2)], training=True, oracle=False),
    Case(lambda L: L.ActivityRegularization(0.1, 0.2), [(3, 5)]),
]


def reshapings() -> list[Case]:
    cases = []
    for form in (FIRST, LAST):
        two, three = ((2, 3, 4, 5), (2, 3, 4, 5, 6)) if form == FIRST else ((2, 4, 5, 3), (2, 4, 5, 6, 3))
        cases += [
            Case(lambda L, f=form: L.ZeroPadding1D((1, 2), data_format=f), [(2, 3, 4)]),
            Case(lambda L, f=form: L.ZeroPadding2D(((1, 0), (2, 1)), data_format=f), [two]),
            Case(lambda L, f=form: L.ZeroPadding3D((1, 2, 1), data_format=f), [three]),
            Case(lambda L, f=form: L.Cropping2D(((1, 0), (2, 1)), data_format=f), [two]),
            Case(lambda L, f=form: L.Cropping3D(((1, 1), (0, 2), (2, 1)), data_format=f), [three]),
            Case(lambda L, f=form: L.UpSampling2D((2, 3), data_format=f), [two]),
            Case(lambda L, f=form: L.UpSampling2D(2, data_format=f, interpolation="bilinear"), [two]),
            Case(lambda L, f=form: L.UpSampling3D(2, data_format=f), [three]),
        ]
    return [
        *cases,
        Case(lambda L: L.Flatten(), [(2, 3, 4)]),
        Case(lambda L: L.Flatten(data_format=FIRST), [(2, 3, 4, 5)]),
        Case(lambda L: L.Reshape((6, -1)), [(2, 3, 4)]),
        Case(lambda L: L.Permute((2, 3, 1)), [(2, 3, 4, 5)]),
        Case(lambda L: L.RepeatVector(3), [(2, 4)]),
        Case(lambda L: L.Cropping1D((1, 2), **ours(L, data_format=LAST)), [(2, 6, 3)]),
        Case(lambda L: L.UpSampling1D(3, **ours(L, data_format=LAST)), [(2, 6, 3)]),
        Case(lambda L: L.UpSampling2D(2, data_format=FIRST, interpolation="bicubic"), [(2, 3, 4, 5)], differentiable=False),
    ]


MERGING = [
    Case(lambda L: L.Add(), [[(3, 5)] * 3]),
    Case(lambda L: L.Add(), [[(3, 4, 5), (3, 5)]], oracle=False),
    Case(lambda L: L.Subtract(), [[(3, 5)] * 2]),
    Case(lambda L: L.Multiply(), [[(3, 5), (3, 1)]]),
    Case(lambda L: L.Average(), [[(3, 5)] * 3]),
    Case(lambda L: L.Maximum(), [[(3, 5)] * 2]),
    Case(lambda L: L.Minimum(), [[(3, 5)] * 2]),
    Case(lambda L: L.Concatenate(axis=1), [[(3, 5, 2), (3, 4, 2)]]),
    Case(lambda L: L.Dot(axes=1), [[(3, 5)] * 2]),
    Case(lambda L: L.Dot(axes=(1, 2), normalize=True), [[(3, 5, 4), (3, 2, 5)]]),
]

ATTENTION = [
    Case(lambda L: L.Attention(use_scale=True), [[(3, 4, 6), (3, 5, 6)]]),
    Case(lambda L: L.Attention(use_scale=True, score_mode="concat"), [[(3, 4, 6), (3, 5, 6), (3, 5, 6)]]),
    Case(lambda L: L.Attention(), [[(3, 5, 6), (3, 5, 6)]], keywords={"use_causal_mask": True}),
    Case(lambda L: L.AdditiveAttention(), [[(3, 4, 6), (3, 5, 6)]]),
    Case(lambda L: L.MultiHeadAttention(2, 3), [(3, 4, 6), (3, 5, 6)]),
    Case(
        lambda L: L.MultiHeadAttention(2, 3, value_dim=4, output_shape=5, use_gate=True, sliding_window=3),
        [(3, 5, 6), (3, 5, 6)],
        keywords={"use_causal_mask": True, "return_attention_scores": True},
    ),
    Case(lambda L: L.MultiHeadAttention(2, 3, attention_axes=[2]), [(2, 3, 4, 6), (2, 3, 5, 6)]),
    Case(lambda L: L.MultiHeadAttention(2, 3), [(2, 3, 4, 6), (2, 2, 5, 6)]),
    Case(lambda L: L.GroupQueryAttention(3, 4, 2), [(3, 4, 6), (3, 5, 6)]),
]


def masked(make: Callable[[Any], Any]) -> Case:
    return Case(make, [SEQUENCE], keywords={"mask": MASK})


RECURRENT = [
    Case(lambda L: L.SimpleRNN(3), [SEQUENCE]),
    Case(lambda L: L.SimpleRNN(3, activation="relu", return_sequences=True, go_backwards=True), [SEQUENCE]),
    Case(lambda L: L.SimpleRNN(3, activation="sigmoid"), [SEQUENCE]),
    Case(lambda L: L.GRU(3), [SEQUENCE]),
    Case(lambda L: L.GRU(3, reset_after=False, return_sequences=True, return_state=True), [SEQUENCE]),
    Case(lambda L: L.GRU(3, recurrent_activation="hard_sigmoid", use_bias=False), [SEQUENCE]),
    Case(lambda L: L.LSTM(3), [SEQUENCE]),
    Case(lambda L: L.LSTM(3, return_sequences=True, return_state=True, go_backwards=True), [SEQUENCE]),
    Case(lambda L: L.LSTM(3, activation="softsign", return_sequences=True), [SEQUENCE]),
    Case(lambda L: L.LSTM(3, recurrent_dropout=0.3, dropout=0.3), [SEQUENCE], training=True, oracle=False),
    masked(lambda L: L.SimpleRNN(3)),
    masked(lambda L: L.GRU(3, return_sequences=True, go_backwards=True)),
    masked(lambda L: L.LSTM(3, return_sequences=True, return_state=True)),
    masked(lambda L: L.LSTM(3, activation="relu", return_sequences=True)),
    masked(lambda L: L.RNN([L.LSTMCell(3), L.GRUCell(2)], return_sequences=True, zero_output_for_mask=True)),
    Case(lambda L: L.RNN(L.SimpleRNNCell(3), return_state=True), [SEQUENCE]),
    Case(lambda L: L.RNN([L.LSTMCell(3), L.GRUCell(2, reset_after=False)], return_sequences=True), [SEQUENCE]),
    Case(lambda L: L.Bidirectional(L.LSTM(3, return_sequences=True)), [SEQUENCE]),
    Case(lambda L: L.Bidirectional(L.GRU(3, return_state=True), merge_mode="sum"), [SEQUENCE]),
    masked(lambda L: L.Bidirectional(L.LSTM(3, return_sequences=True), merge_mode="ave")),
    Case(lambda L: L.LSTM(3), [SEQUENCE], keywords={"initial_state": [np.full((3, 3), v, np.float32) for v in (0.2, -0.4)]}),
    Case(lambda L: L.TimeDistributed(L.Dense(3)), [SEQUENCE]),
    Case(lambda L: L.TimeDistributed(L.Conv2D(2, 2, data_format=FIRST)), [(2, 3, 2, 4, 4)]),
    Case(lambda L: L.ConvLSTM1D(2, 3, padding="same", return_sequences=True, data_format=FIRST), [(2, 3, 2, 5)]),
    Case(lambda L: L.ConvLSTM2D(2, 3, strides=2, data_format=FIRST), [(2, 3, 2, 5, 6)]),
    Case(lambda L: L.ConvLSTM2D(2, 2, return_sequences=True, data_format=LAST), [(2, 3, 5, 6, 2)]),
    Case(lambda L: L.ConvLSTM3D(2, 2, return_state=True, data_format=FIRST), [(2, 2, 2, 3, 4, 3)]),
]


CELLS = [
    Case(lambda L: L.SimpleRNNCell(2), [(3, 4), [(3, 2)]]),
    Case(lambda L: L.LSTMCell(2), [(3, 4), [(3, 2), (3, 2)]]),
    Case(lambda L: L.GRUCell(2), [(3, 4), [(3, 2)]]),
    Case(lambda L: L.StackedRNNCells([L.GRUCell(2), L.GRUCell(3)]), [(3, 4), [[(3, 2)], [(3, 3)]]]),
]

PREPROCESSING = [
    Case(lambda L: L.Rescaling(0.5, 1.0), [(3, 5)]),
    Case(lambda L: L.Normalization(axis=1, mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]), [(4, 3, 5)], oracle=False),
    Case(lambda L: L.Discretization([-0.5, 0.0, 0.7], output_mode="count"), [(3, 5)], differentiable=False),
    Case(lambda L: L.CategoryEncoding(6, output_mode="multi_hot"), [Ints(6, (3, 4))], differentiable=False),
    Case(lambda L: L.CategoryEncoding(6, output_mode="one_hot"), [Ints(6, (3, 1))], differentiable=False),
    Case(lambda L: L.IntegerLookup(vocabulary=[7, 3, 5], mask_token=0), [Ints(9, (3, 4))], oracle=False, differentiable=False),
    *[Case(lambda L, f=form: L.Resizing(4, 7, data_format=f), [(2, 5, 6, 3)]) for form in (FIRST, LAST)],
    Case(lambda L: L.Resizing(4, 7, interpolation="nearest", data_format=FIRST), [(2, 3, 9, 5)]),
    Case(lambda L: L.Resizing(4, 7, interpolation="bicubic", data_format=FIRST), [(2, 3, 5, 6)], differentiable=False),
    Case(lambda L: L.Resizing(3, 5, antialias=True, data_format=FIRST), [(2, 3, 9, 8)], differentiable=False),
    Case(lambda L: L.Resizing(4, 6, crop_to_aspect_ratio=True, data_format=FIRST), [(2, 3, 7, 8)]),
    Case(lambda L: L.Resizing(4, 6, pad_to_aspect_ratio=True, fill_value=0.5, data_format=FIRST), [(2, 3, 7, 8)]),
    Case(lambda L: L.CenterCrop(3, 4, data_format=FIRST), [(2, 3, 7, 8)]),
    Case(lambda L: L.CenterCrop(9, 4, data_format=FIRST), [(2, 3, 7, 8)]),
    Case(lambda L: L.RandomCrop(3, 4), [(2, 3, 7, 8)], training=True, oracle=False),
    Case(lambda L: L.RandomFlip("horizontal"), [(2, 3, 7, 8)], training=True, oracle=False),
    Case(lambda L: L.RandomRotation(0.1), [(2, 3, 7, 8)], training=True, oracle=False),
    Case(lambda L: L.RandomTranslation(0.1, 0.2, fill_mode="constant"), [(2, 3, 7, 8)], training=True, oracle=False),
    Case(lambda L: L.RandomZoom(0.1, data_format=LAST), [(2, 7, 8, 3)], training=True, oracle=False),
    Case(lambda L: L.RandomBrightness(0.1, (-1, 1)), [(2, 3, 7, 8)], training=True, oracle=False),
    Case(lambda L: L.RandomContrast(0.1, (-1, 1)), [(2, 3, 7, 8)], training=True, oracle=False),
]

CASES: list[Case] = [
    *CORE, *ACTIVATIONS, *convolutions(), *pools(), *NORMALIZATIONS, *REGULARIZATION, *reshapings(), *MERGING, *ATTENTION,
    *RECURRENT, *CELLS, *PREPROCESSING,
]  # fmt: skip
