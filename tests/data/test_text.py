"""Text as numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn
from onnxdl.data import TextVectorization, pad_sequences, read_texts
from onnxdl.errors import DataError, FormatError
from tests.keras_backend import keras

TEXTS = ["The cat, the mat.", "the dog; a cat!", "No: dog"]


def test_words_are_numbered_by_their_frequency() -> None:
    vectorize = TextVectorization()
    vectorize.adapt(TEXTS)
    assert vectorize.get_vocabulary() == ["", "[UNK]", "the", "dog", "cat", "no", "mat", "a"]
    assert vectorize.vocabulary_size() == 8
    np.testing.assert_array_equal(vectorize(["THE cat sat", "dog"]), [[2, 4, 1], [3, 0, 0]])
    np.testing.assert_array_equal(vectorize("a mat"), [7, 6])
    assert vectorize(TEXTS).dtype == np.int64


def test_the_vocabulary_and_the_length_are_bounded() -> None:
    vectorize = TextVectorization(max_tokens=4, output_sequence_length=3)
    vectorize.adapt(TEXTS)
    assert vectorize.get_vocabulary(include_special_tokens=False) == ["the", "dog"]
    np.testing.assert_array_equal(vectorize(TEXTS), [[2, 1, 2], [2, 3, 1], [1, 3, 0]])


def test_texts_are_split_as_asked() -> None:
    characters = TextVectorization(standardize=None, split="character", vocabulary=["a", "B"])
    np.testing.assert_array_equal(characters("aBb"), [2, 3, 1])
    own = TextVectorization(standardize=str.upper, split=lambda text: text.split("-"), vocabulary=["X", "Y"])
    np.testing.assert_array_equal(own("x-y-z"), [2, 3, 1])


SEQUENCES: list[list[int]] = [[1, 2, 3, 4], [5], []]


@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
@pytest.mark.parametrize("maxlen", [None, 2, 6])
def test_sequences_are_padded_as_keras_pads_them(padding: str, truncating: str, maxlen: int | None) -> None:
    options: dict[str, Any] = {"maxlen": maxlen, "padding": padding, "truncating": truncating, "value": 9}
    expected = keras().utils.pad_sequences(SEQUENCES, **options)
    np.testing.assert_array_equal(pad_sequences(SEQUENCES, **options), expected)


def test_a_folder_of_texts_trains_the_classifier_of_the_lecture(tmp_path: Path) -> None:
    for name, words in {"good": "fine nice great", "poor": "bad sad awful"}.items():
        (tmp_path / name).mkdir()
        for i, word in enumerate(words.split() * 4):
            (tmp_path / name / f"{i:02}.txt").write_text(f"this is a {word} film, really {word}!")
    texts, labels, classes = read_texts(tmp_path)
    assert classes == ["good", "poor"] and len(texts) == 24 and texts[0].startswith("this is a fine film")
    vectorize = TextVectorization(output_sequence_length=6)
    vectorize.adapt(texts)
    ox.set_seed(0)
    model = ox.Sequential(
        [nn.Embedding(vectorize.vocabulary_size(), 10), nn.LSTM(5), nn.Dense(20, activation="relu"), nn.Dense(2, activation="softmax")]
    )
    model.compile(optimizer=ox.optim.Adam(0.02), loss="categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(vectorize(texts), np.eye(2)[labels], 8, 20, verbose=0).history
    assert history["accuracy"][-1] == 1.0


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "standardize": (lambda: TextVectorization(standardize="lower"), "not 'lower'"),
    "split": (lambda: TextVectorization(split="words"), "not 'words'"),
    "no room": (lambda: TextVectorization(max_tokens=1), "at least 2, not 1"),
    "a word twice": (lambda: TextVectorization(vocabulary=["a", "a"]), "a word twice"),
    "padding": (lambda: pad_sequences([[1]], padding="left"), "not 'left'"),
}


@pytest.mark.parametrize(("act", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_wrong_options_are_refused(act: Callable[[], Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        act()


def test_text_of_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_bytes("für".encode("latin-1"))
    with pytest.raises(FormatError, match=r"x.txt as utf-8 text"):
        read_texts(tmp_path)
    assert read_texts(tmp_path, "latin-1").x == ["für"]
