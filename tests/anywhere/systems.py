"""A small CNN, LSTM and GPT with data, each compiled: what the hosts train side by side.

No bias stands where it cannot matter (before batch normalization, in attention): its gradient is rounding alone, which Adam makes large.
"""

from __future__ import annotations

import numpy as np

import onnxdl as ox
from onnxdl import nn, optim

CONTEXT = 12
Batches = tuple[np.ndarray, np.ndarray]


def cnn() -> ox.Model:
    """Convolutions, batch normalization, pooling, dropout; Adam."""
    layers = [
        nn.Conv2D(8, 3, padding="same", use_bias=False),
        nn.BatchNormalization(),
        nn.ReLU(),
        nn.Conv2D(8, 3, padding="same", activation="relu"),
        nn.MaxPooling2D(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Dense(10, activation="softmax"),
    ]
    model = ox.Sequential([ox.Input((1, 8, 8), name="image"), *layers])
    model.compile(optim.Adam(3e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def lstm() -> ox.Model:
    """Embedding and LSTM, clipped gradients, a decaying rate."""
    layers = [nn.Embedding(12, 8), nn.LSTM(16), nn.Dropout(0.1), nn.Dense(3, activation="softmax")]
    model = ox.Sequential([ox.Input((CONTEXT,), dtype="int64", name="words"), *layers])
    rate = optim.schedules.ExponentialDecay(1e-2, 100, 0.7)
    model.compile(optim.RMSprop(rate, clipnorm=1.0), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def gpt() -> ox.Model:
    """Two causal transformer blocks; AdamW, a warm-up and a cosine."""
    letters = ox.Input((CONTEXT,), dtype="int64", name="letters")
    x = nn.Embedding(12, 16)(letters)
    for _ in range(2):
        y = nn.LayerNormalization()(x)
        x = x + nn.MultiHeadAttention(2, 8, use_bias=False)(y, y, use_causal_mask=True)
        x = x + nn.Dense(16)(nn.Dense(32, activation="gelu")(nn.LayerNormalization()(x)))
    model = ox.Model(letters, nn.Dense(12)(nn.LayerNormalization()(x)), name="gpt")
    rate = optim.schedules.CosineDecay(0.0, 300, warmup_target=5e-3, warmup_steps=20)
    model.compile(optim.AdamW(rate), loss=nn.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def batches(name: str, steps: int, size: int = 16) -> Batches:
    """(steps, size, ...) inputs and targets that can be learned: noisy blobs by digit, the commonest word of three, the next letter."""
    rng = np.random.default_rng(0)
    if name == "cnn":
        y = rng.integers(0, 10, (steps, size))
        means = rng.normal(size=(10, 1, 8, 8))
        return (means[y] + rng.normal(size=(steps, size, 1, 8, 8))).astype(np.float32), y
    if name == "lstm":
        x = rng.integers(0, 12, (steps, size, CONTEXT))
        return x, (x[..., None] % 3 == np.arange(3)).sum(-2).argmax(-1)
    start = rng.integers(0, 12, (steps, size, 1))
    whole = (start + np.cumsum(rng.integers(1, 3, (steps, size, CONTEXT + 1)), -1)) % 12
    return whole[..., :-1], whole[..., 1:]


SYSTEMS = {"cnn": cnn, "lstm": lstm, "gpt": gpt}
