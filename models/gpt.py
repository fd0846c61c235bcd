"""A small transformer that reads text letter by letter and guesses the next one (Vaswani et al. 2017; Radford et al. 2018).

Each block attends to the letters so far (the causal mask hides those to come), then passes each through two dense layers; both
add to what they were given. The letters' vectors serve as the weights of the output too (Press and Wolf 2016). What it reaches is
set beside what counting reaches: n-grams of all orders up to ORDER, interpolated (Witten and Bell 1991).

Data: the text of the Python Language Reference, which the standard library carries (``pydoc_data``; PSF licence). A tenth of it
is held out. ``--data FILE`` takes a text of yours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

import onnxdl as ox
from onnxdl import nn, op, optim

EPOCHS = 12
BATCH_SIZE = 32
CONTEXT = 64
WIDTH = 128
HEADS = 4
BLOCKS = 4
DROPOUT = 0.1
ORDER = 5
RARE = 20
CONV=False
RATE = 2e-3


def block(x: ox.Tensor, width: int) -> ox.Tensor:
    """x + attention, then + two dense layers, each of what is normalized first."""
    y = nn.LayerNormalization(epsilon=1e-5)(x)
    y = nn.MultiHeadAttention(HEADS, width // HEADS, use_bias=False)(y, y, use_causal_mask=True)
    x = x + nn.Dropout(DROPOUT)(y)
    y = nn.Dense(4 * width, activation="gelu")(nn.LayerNormalization(epsilon=1e-5)(x))
    out: ox.Tensor = x + nn.Dropout(DROPOUT)(nn.Dense(width)(y))
    return out


class Positions(nn.Layer):
    """Adds a learned vector for each place in the context: (..., time, width) -> the same."""

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.vectors = self.add_weight(name="vectors", shape=(CONTEXT, input_shape[-1]), initializer=nn.initializers.RandomNormal(stddev=0.02))

    def call(self, x: ox.Tensor) -> ox.Tensor:
        return x + op.Slice(self.vectors, [0], op.Shape(x, start=1, end=2), [0])


def build(letters: int = 96, width: int = WIDTH, blocks: int = BLOCKS, steps: float = 1e4) -> ox.Model:
    """Letter numbers (time,) -> logits (time, letters); the rate rises over a twentieth of the steps, then falls along a cosine."""
    numbers = ox.Input((None,), dtype="int64", name="letters")
    table = nn.ReversibleEmbedding(letters, width, embeddings_initializer=nn.initializers.RandomNormal(stddev=0.02), name="letter")
    x = Positions(name="position")(nn.Conv1D(width, 4, padding="causal", use_bias=False, data_format="channels_last")(table(numbers)) if CONV else table(numbers))
    for _ in range(blocks):
        x = block(x, width)
    model = ox.Model(numbers, table(nn.LayerNormalization(epsilon=1e-5)(x), reverse=True), name="gpt")
    rate = optim.schedules.CosineDecay(0.0, steps, alpha=0.02, warmup_target=RATE, warmup_steps=steps / 20)
    model.compile(optim.Adam(rate, beta_2=0.99), loss=nn.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model
