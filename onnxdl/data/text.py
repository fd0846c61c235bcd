"""Text as numbers: a vocabulary learnt from texts, and sequences of word numbers padded to one length."""

from __future__ import annotations

import os
import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from onnxdl.data.folders import class_files
from onnxdl.errors import DataError, FormatError

_PUNCTUATION = re.compile(f"[{re.escape(string.punctuation)}]")
PADDING, UNKNOWN = "", "[UNK]"


def lower_and_strip_punctuation(text: str) -> str:
    """The text in lower case, without ASCII punctuation."""
    return _PUNCTUATION.sub("", text.lower())


class TextVectorization:
    """Texts as int64 arrays of word numbers, as Keras's layer of that name makes them.

    0 pads, 1 stands for words that are not in the vocabulary, and the words follow from 2 on, the most frequent first.

    Args:
        max_tokens: the size of the vocabulary, 0 and 1 included; None keeps every word.
        standardize: ``lower_and_strip_punctuation``, a function of your own, or None.
        split: ``whitespace``, ``character``, or a function from a text to its words.
        output_sequence_length: the length that every text is cut or padded to; None pads to the longest.
        vocabulary: the words from number 2 on, instead of ``adapt``.
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | Callable[[str], str] | None = "lower_and_strip_punctuation",
        split: str | Callable[[str], Sequence[str]] = "whitespace",
        output_sequence_length: int | None = None,
        vocabulary: Sequence[str] = (),
    ) -> None:
        if isinstance(standardize, str) and standardize != "lower_and_strip_punctuation":
            raise DataError(f"standardize is 'lower_and_strip_punctuation', a function or None, not {standardize!r}")
        if isinstance(split, str) and split not in ("whitespace", "character"):
            raise DataError(f"split is 'whitespace', 'character' or a function, not {split!r}")
        if max_tokens is not None and max_tokens < 2:
            raise DataError(f"max_tokens counts 0 and 1 too: at least 2, not {max_tokens}")
        self.max_tokens, self.output_sequence_length = max_tokens, output_sequence_length
        self._standardize: Callable[[str], str] = lower_and_strip_punctuation if isinstance(standardize, str) else standardize or str
        self._split: Callable[[str], Sequence[str]] = split if callable(split) else str.split if split == "whitespace" else list
        self.set_vocabulary(vocabulary)

    def adapt(self, data: Iterable[str]) -> None:
        """Learns the vocabulary: the most frequent words of the texts; words as frequent come in reverse alphabetical order."""
        counts = Counter(word for text in data for word in self.words(text))
        ordered = sorted(counts, key=lambda word: (counts[word], word), reverse=True)
        self.set_vocabulary(ordered if self.max_tokens is None else ordered[: self.max_tokens - 2])

    def set_vocabulary(self, words: Sequence[str]) -> None:
        """Sets the words from number 2 on."""
        self._words = list(words)
        self._numbers = {word: i for i, word in enumerate(self._words, 2)}
        if len(self._numbers) != len(self._words):
            raise DataError("the vocabulary holds a word twice")

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The words by number."""
        return [PADDING, UNKNOWN, *self._words] if include_special_tokens else list(self._words)

    def vocabulary_size(self) -> int:
        """The number of words, 0 and 1 included: what an Embedding needs as its ``input_dim``."""
        return len(self._words) + 2

    def words(self, text: str) -> Sequence[str]:
        """A text's words."""
        return self._split(self._standardize(text))

    def __call__(self, texts: str | Iterable[str]) -> np.ndarray:
        """The numbers of the words of each text, (n, length); of one text, (length,)."""
        if isinstance(texts, str):
            return np.asarray(self([texts])[0])
        numbers = [[self._numbers.get(word, 1) for word in self.words(text)] for text in texts]
        return pad_sequences(numbers, self.output_sequence_length, padding="post", truncating="post")


def pad_sequences(
    sequences: Sequence[Sequence[int]], maxlen: int | None = None, padding: str = "pre", truncating: str = "pre", value: int = 0
) -> np.ndarray:
    """Sequences of numbers as one int64 array (n, maxlen), cut and padded in front (``pre``) or behind (``post``)."""
    if padding not in ("pre", "post") or truncating not in ("pre", "post"):
        raise DataError(f"padding and truncating are 'pre' or 'post', not {padding!r} and {truncating!r}")
    length = max(map(len, sequences), default=0) if maxlen is None else maxlen
    padded = np.full((len(sequences), length), value, np.int64)
    for row, sequence in zip(padded, sequences, strict=True):
        kept = sequence[:length] if truncating == "post" else sequence[max(len(sequence) - length, 0) :]
        if len(kept):
            start = 0 if padding == "post" else length - len(kept)
            row[start : start + len(kept)] = kept
    return padded


class TextFolder(NamedTuple):
    """A folder of texts: the texts, the number of each one's class, and the classes' names."""

    x: list[str]
    y: np.ndarray
    classes: list[str]


def read_texts(folder: str | os.PathLike[str], encoding: str = "utf-8") -> TextFolder:
    """The .txt files of a folder with one sub-folder a class. Classes are numbered by their sorted names."""
    files, labels, classes = class_files(folder, (".txt",))
    return TextFolder([_text(file, encoding) for file in files], labels, classes)


def _text(file: Path, encoding: str) -> str:
    try:
        return file.read_text(encoding)
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"cannot read {file} as {encoding} text: {error}") from error
