"""The embedding layer as one supervised step: letters as points of a plane, learned by predicting the next letter.

An Embedding is a table whose rows are looked up, and trained like any weights. Here each letter gets two numbers, from which
a softmax predicts the letter after it. What comes out is spelling: vowels gather, since consonants follow them.

Data: the text of the Python Language Reference, which the standard library carries (``pydoc_data``; PSF licence).
"""

from __future__ import annotations

import re
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

import onnxdl as ox
from onnxdl import nn, optim

EPOCHS = 5
BATCH_SIZE = 1024
LETTERS = " abcdefghijklmnopqrstuvwxyz"
VOWELS = "aeiou"


def build() -> ox.Model:
    """A letter in, the probabilities of the next one out."""
    model = ox.Sequential(
        [
            ox.Input((), dtype="int64", name="letter"),
            nn.Embedding(len(LETTERS), 2),
            nn.Dense(len(LETTERS), activation="softmax"),
        ],
        name="embedding",
    )
    model.compile(optim.Adam(0.02), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def data(path: str | None = None) -> ox.data.Split:
    """Each letter of a text with its successor; ``path`` may name a text file."""
    text = " ".join(topics.values()) if path is None else Path(path).read_text(encoding="utf-8")
    numbers = np.array([LETTERS.index(c) for c in re.sub("[^a-z]+", " ", text.lower())], np.int64)
    return ox.data.hold_out(numbers[:-1], numbers[1:])


def entropies(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """In nats, the entropy of the next letter, and what remains of it when the letter before is known: no model gets lower."""
    pairs = np.zeros((len(LETTERS), len(LETTERS)))
    np.add.at(pairs, (x, y), 1)
    p = pairs / pairs.sum()
    return entropy(p.sum(0)), entropy(p) - entropy(p.sum(1))


def entropy(p: np.ndarray) -> float:
    """-sum p log p."""
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def main(folder: Path, epochs: int) -> dict[str, float]:
    """Trains, and draws the plane of letters into embedding.svg."""
    (x, y), test = data()
    model = build()
    history = model.fit(x, y, BATCH_SIZE, epochs, validation_data=test).history
    model.save(folder / "model.onnx")

    points = model.layers[0].get_weights()[0]
    figure = ox.data.require("matplotlib.figure", extra="examples").Figure(figsize=(6, 5), layout="constrained")
    panel = figure.subplots()
    for letter, point in zip(LETTERS, points, strict=True):
        vowel = letter in VOWELS
        panel.plot(*point, "o" if vowel else ".", color="C3" if vowel else "0.7", markersize=14 if vowel else 2, alpha=0.3)
        panel.annotate(letter.replace(" ", "space"), point, ha="center", va="center", fontweight="bold" if vowel else "normal")
    panel.margins(0.12)
    panel.set_xlabel("first number")
    panel.set_ylabel("second number")
    figure.savefig(folder / "embedding.svg")
    any_letter, known_letter = entropies(*test)
    return {"loss": history["val_loss"][-1], "entropy of a letter": any_letter, "given the one before": known_letter}


if __name__ == "__main__":
    print(main(Path(), EPOCHS))
