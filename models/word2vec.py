"""word2vec (Mikolov et al. 2013): words as points, by telling the words that stand near from words that do not.

Each word has two vectors, one as the context of others and one as the word in question. Their products are logits, which shall
be high where the word stood near the context in the text, and low for NEGATIVE words drawn at random. Skip-gram asks each
context on its own, the continuous bag of words asks for the mean of a word's contexts. Frequent words are left out now and
then; words are drawn by their count to the power 0.75. A step takes blocks of the text, each with DRAWN words drawn for all of it,
which weigh as much as NEGATIVE of their own for each context would: so nearly all of the work is products of matrices (Ji et al. 2016
share the words drawn in this way too). It moves only the rows of the tables that it used.

Data: 2,225 news articles of the BBC, as text_lstm.py reads them; the questions are those that gensim ships (LGPL 2.1): WordSim-353
(Finkelstein et al. 2002) and Google's analogies. ``--data FILE`` takes a text of yours, one article a line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import onnxdl as ox
from onnxdl import nn, op, optim
from onnxdl.models import text_lstm

EPOCHS = 15
BATCH_SIZE = 16  # blocks
BLOCK = 16
DIMENSIONS = 100
WINDOW = 5
NEGATIVE = 5
DRAWN = 16
MIN_COUNT = 5
SAMPLE = 1e-3
RATES = {"skip-gram": 0.025, "cbow": 0.1}
TABLE = 1 << 20
SHOWN = ("film", "music", "match", "minister", "court", "software", "profits", "france")
DISTANCE = abs(np.arange(BLOCK)[:, None] - np.arange(-WINDOW, BLOCK + WINDOW))  # of the words of a block and those in and around it


class Corpus(NamedTuple):
    """A text as numbers: 0 for no word, which WINDOW times parts the articles, then the words by frequency."""

    numbers: np.ndarray
    words: list[str]
    counts: np.ndarray


def build(words: int, kind: str = "skip-gram", steps: float = 1e6, rate: float = RATES["skip-gram"]) -> ox.Model:
    """``skip-gram`` or ``cbow`` for that many words (0 included); the rate falls in a line over the steps."""
    around = ox.Input((BLOCK + 2 * WINDOW,), BATCH_SIZE, "int32", name="around")
    asked = ox.Input((BLOCK + DRAWN,), BATCH_SIZE, "int32", name="asked")
    start = nn.initializers.RandomUniform(-0.5 / DIMENSIONS, 0.5 / DIMENSIONS)
    contexts = nn.Embedding(words, DIMENSIONS, start, sparse=True, name="vectors")(around)
    outputs = nn.Embedding(words, DIMENSIONS, "zeros", sparse=True, name="outputs")(asked)
    inputs = [around, asked]
    if kind == "cbow":
        inputs.append(ox.Input((BLOCK, BLOCK + 2 * WINDOW), BATCH_SIZE, name="means"))
        contexts = inputs[-1] @ contexts
    model = ox.Model(inputs, outputs @ op.Transpose(contexts, perm=[0, 2, 1]), name="word2vec")
    rate *= BATCH_SIZE  # word2vec's is meant for the sum over a batch; the loss is its mean
    model.compile(optim.SGD(optim.schedules.PolynomialDecay(rate, steps, rate / 250)), loss=negative_sampling)
    return model


def negative_sampling(weights: ox.Tensor, logits: ox.Tensor) -> ox.Tensor:
    """-|weight| log sigmoid(logit), or of -logit where the weight is negative, summed over a block."""
    return op.ReduceSum(op.Abs(weights) * op.Softplus(-op.Sign(weights) * logits), [1, 2], keepdims=0)


def corpus(articles: Sequence[Sequence[str]]) -> Corpus:
    """The words that occur MIN_COUNT times and more, numbered."""
    counts = Counter(word for article in articles for word in article)
    kept = [(word, n) for word, n in counts.most_common() if n >= MIN_COUNT]
    number = {word: i for i, (word, _) in enumerate(kept, 1)}
    gap = [0] * WINDOW
    numbers = gap + [i for article in articles for i in [*(number[word] for word in article if word in number), *gap]]
    return Corpus(np.array(numbers, np.int32), ["", *number], np.array([0, *(n for _, n in kept)]))


def chances(counts: np.ndarray) -> np.ndarray:
    """The chance of each word to be kept: a word of frequency f by sqrt(SAMPLE / f) + SAMPLE / f."""
    ratio = SAMPLE * counts.sum() / np.maximum(counts, 1)
    kept: np.ndarray = np.minimum(np.sqrt(ratio) + ratio, 1)
    return kept


def unigram_table(counts: np.ndarray) -> np.ndarray:
    """(TABLE,): each word as often as its count to the power 0.75 asks."""
    share = np.cumsum(counts**0.75) / np.sum(counts**0.75)
    return np.searchsorted(share, (np.arange(TABLE) + 0.5) / TABLE).astype(np.int32)


def rate_of(text: Corpus, kind: str) -> float:
    """RATES, or less where so many pairs of a batch have the most frequent word that the sum of its gradients would overshoot."""
    kept, drawn = text.counts * chances(text.counts), text.counts**0.75
    share = (kept / kept.sum() + NEGATIVE * drawn / drawn.sum()).max()
    pairs = share * BATCH_SIZE * BLOCK * (WINDOW + 1 if kind == "skip-gram" else 1)
    return float(min(RATES[kind], 4 / pairs))


def batches(text: Corpus, kind: str, epoch: int) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
    """The batches ``(inputs, weights)`` of an epoch, made as they are asked for; every word of the text comes once.

    The last one is filled up with blocks of no words.
    """
    rng, table = np.random.default_rng(epoch), unigram_table(text.counts)
    numbers = text.numbers[(text.numbers == 0) | (rng.random(len(text.numbers)) < chances(text.counts)[text.numbers])]
    numbers = np.pad(numbers, (int(rng.integers(BLOCK)), 2 * (BLOCK + WINDOW)))
    empty = len(numbers) - BLOCK - WINDOW
    begins = rng.permutation(np.arange(WINDOW, empty - BLOCK - WINDOW, BLOCK))
    for chosen in np.pad(begins, (0, -len(begins) % BATCH_SIZE), constant_values=empty).reshape(-1, BATCH_SIZE):
        around = numbers[chosen[:, None] + np.arange(-WINDOW, BLOCK + WINDOW)]
        centres = around[:, WINDOW:-WINDOW]
        drawn = table[rng.integers(0, TABLE, (len(chosen), DRAWN))]
        reach = rng.integers(1, WINDOW + 1, (len(chosen), BLOCK, 1))
        near = ((DISTANCE > 0) & (reach >= DISTANCE) & (centres[:, :, None] > 0) & (around[:, None] > 0)).astype(np.float32)
        inputs = [around, np.concatenate([centres, drawn], axis=1)]
        if kind == "cbow":
            inputs.append(near / np.maximum(near.sum(2, keepdims=True), 1))
            near = near.max(2, keepdims=True) * np.eye(BLOCK, dtype=np.float32)
        against = np.repeat(near.sum(1, keepdims=True) * np.float32(-NEGATIVE / DRAWN), DRAWN, axis=1)
        yield inputs, np.concatenate([near, against], axis=1)


def train(text: Corpus, kind: str, epochs: int, verbose: int = 2) -> tuple[ox.Model, np.ndarray]:
    """The trained model, and its vectors, each of length 1."""
    steps = chances(text.counts)[text.numbers].sum() * epochs / (BLOCK * BATCH_SIZE)
    model = build(len(text.words), kind, steps, rate_of(text, kind))
    model.fit(lambda epoch: batches(text, kind, epoch), epochs=epochs, verbose=verbose)
    return model, unit(model.state["vectors.embeddings"])


def unit(vectors: np.ndarray) -> np.ndarray:
    """Each row divided by its length."""
    divided: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return divided


def neighbours(word: str, text: Corpus, vectors: np.ndarray, n: int) -> list[str]:
    """The n words whose vectors have the highest cosines with the word's."""
    near = np.argsort(-vectors @ vectors[text.words.index(word)])
    return [text.words[i] for i in near[1 : n + 1]]


def ranks(x: np.ndarray) -> np.ndarray:
    """The place of each number in their order; equal ones share the mean of their places."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared: np.ndarray = (last - (counts - 1) / 2)[inverse]
    return shared


def similarity(pairs: Path, text: Corpus, vectors: np.ndarray) -> tuple[float, int]:
    """Spearman's correlation of cosines with what people said, and the pairs asked: those of known words.

    Args:
        pairs: a file of lines "word, word, number", parted by tabs; # begins a remark.
        text: the corpus.
        vectors: of its words, each of length 1.
    """
    number = {word: i for i, word in enumerate(text.words)}
    lines = [line.lower().split("\t") for line in pairs.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    known = [(number[a], number[b], float(said)) for a, b, said, *_ in lines if a in number and b in number]
    a, b, said = (np.array(column) for column in zip(*known, strict=True))
    cosines = (vectors[a] * vectors[b]).sum(1)
    return float(np.corrcoef(ranks(cosines), ranks(said))[0, 1]), len(known)


def analogies(questions: Path, text: Corpus, vectors: np.ndarray) -> dict[str, tuple[int, int]]:
    """By section, how many questions "a is to b as c is to ..." are answered, and asked: those of known words.

    The answer is the word nearest to b - a + c, but for those three. ``questions`` is a file in Google's form: lines of four
    words, after lines ": section".
    """
    number, section = {word: i for i, word in enumerate(text.words)}, ""
    asked: dict[str, list[list[int]]] = {}
    for line in questions.read_text("utf-8").splitlines():
        if line.startswith(":"):
            section = line[1:].strip()
        elif all(word in number for word in line.lower().split()):
            asked.setdefault(section, []).append([number[word] for word in line.lower().split()])
    found = {}
    for section, rows in asked.items():
        a, b, c, d = np.array(rows).T
        scores = unit(vectors[b] - vectors[a] + vectors[c]) @ vectors.T
        for given in (a, b, c):
            scores[np.arange(len(rows)), given] = -1
        found[section] = (int((scores.argmax(1) == d).sum()), len(rows))
    return found


def draw(text: Corpus, vectors: np.ndarray, path: Path) -> None:
    """Some words and the words nearest to each, in two dimensions (t-SNE, van der Maaten and Hinton 2008)."""
    groups = {word: [word, *neighbours(word, text, vectors, 4)] for word in SHOWN if word in text.words}
    owner = {word: k for k, group in enumerate(groups.values()) for word in group}
    options = {"perplexity": min(15, len(owner) / 4), "early_exaggeration": 1, "init": "random", "method": "exact", "random_state": 0}
    tsne = ox.data.require("sklearn.manifold", extra="examples").TSNE(**options)
    points = tsne.fit_transform(vectors[[text.words.index(word) for word in owner]])
    figure = ox.data.require("matplotlib.figure", extra="examples").Figure(figsize=(11, 7), layout="constrained")
    panel = figure.subplots()
    for (word, k), point in zip(owner.items(), points, strict=True):
        panel.plot(*point, ".", color=f"C{k}", markersize=5)
        weight = "bold" if word in groups else "normal"
        panel.annotate(word, point, (3, 2), textcoords="offset points", color=f"C{k}", fontsize=9, fontweight=weight)
    panel.margins(0.1)
    panel.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=80)


def shipped(name: str) -> Path:
    """A file of questions that gensim ships."""
    return Path(str(ox.data.require("gensim", extra="examples").__file__)).parent / "test" / "test_data" / name


def articles(path: str | None) -> list[list[str]]:
    """The words of each article; of a text file, each line is one."""
    if path is None:
        return [text_lstm.words(text) for part in text_lstm.articles() for text in part.x]
    with Path(path).open(encoding="utf-8") as lines:
        return [text_lstm.words(line) for line in lines]


def main(folder: Path, epochs: int, data: str | None = None) -> dict[str, float]:
    """Trains both kinds; writes the skip-gram's vectors as vectors.txt, in word2vec's form, and draws word2vec.png."""
    text = corpus(articles(data))
    results: dict[str, float] = {}
    for kind in ("cbow", "skip-gram"):
        model, vectors = train(text, kind, epochs)
        results[f"{kind}, similarity"], _ = similarity(shipped("wordsim353.tsv"), text, vectors)
        right, asked = np.sum(list(analogies(shipped("questions-words.txt"), text, vectors).values()), axis=0)
        results[f"{kind}, analogies"] = right / asked
        for word in SHOWN:
            if word in text.words:
                print(f"{kind}: {word}: {', '.join(neighbours(word, text, vectors, 6))}")
    model.save(folder / "model.onnx")
    with (folder / "vectors.txt").open("w", encoding="utf-8") as file:
        file.write(f"{len(text.words) - 1} {DIMENSIONS}\n")
        for word, vector in zip(text.words[1:], vectors[1:], strict=True):
            file.write(f"{word} {' '.join(f'{x:.5f}' for x in vector)}\n")
    draw(text, vectors, folder / "word2vec.png")
    return results


if __name__ == "__main__":
    print(main(Path(), EPOCHS))
