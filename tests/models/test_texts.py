"""The systems that learn from running text, in a shortened form."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

import onnxdl as ox
from onnxdl.models import gpt, word2vec

SENTENCES = [
    f"the {adjective} {animal} {verb} the {food}"
    for animal, food, verb in (("cat", "fish", "eats"), ("dog", "meat", "eats"), ("man", "car", "drives"), ("woman", "bus", "drives"))
    for adjective in ("old", "young", "big", "small", "good")
]


@pytest.fixture
def text(monkeypatch: pytest.MonkeyPatch) -> word2vec.Corpus:
    monkeypatch.setattr(word2vec, "SAMPLE", 1.0)
    monkeypatch.setattr(word2vec, "DIMENSIONS", 12)
    ox.set_seed(0)
    return word2vec.corpus([sentence.split() for sentence in SENTENCES * 4])


def test_a_corpus_by_number(text: word2vec.Corpus) -> None:
    assert text.words[:2] == ["", "the"] and text.counts[1] == 160
    articles = np.split(text.numbers, np.flatnonzero(text.numbers == 0))
    assert [text.words[i] for i in np.concatenate(articles[: word2vec.WINDOW + 1]) if i] == SENTENCES[0].split()
    assert len(word2vec.corpus([["a"] * 9, ["b"]]).words) == 2  # MIN_COUNT


def test_chances_and_the_table() -> None:
    counts = np.array([0, 900, 90, 10])
    frequency = counts[1:] / 1000
    kept = np.minimum(np.sqrt(word2vec.SAMPLE / frequency) + word2vec.SAMPLE / frequency, 1)
    np.testing.assert_allclose(word2vec.chances(counts)[1:], kept)
    drawn = np.bincount(word2vec.unigram_table(counts), minlength=4) / word2vec.TABLE
    np.testing.assert_allclose(drawn, counts**0.75 / (counts**0.75).sum(), atol=1e-5)


@pytest.mark.parametrize("kind", ["skip-gram", "cbow"])
def test_every_pair_within_reach_is_asked_once(kind: str, text: word2vec.Corpus) -> None:
    asked: Counter[tuple[int, int]] = Counter()
    for (around, words, *_), weights in word2vec.batches(text, kind, 0):
        positive, negative = weights[:, : word2vec.BLOCK], weights[:, word2vec.BLOCK :]
        times = positive.sum(1, keepdims=True) * -word2vec.NEGATIVE / word2vec.DRAWN
        np.testing.assert_allclose(negative, np.broadcast_to(times, negative.shape), rtol=1e-6)
        for block, centre, place in np.argwhere(positive):
            if kind == "skip-gram":
                assert 0 < abs(place - word2vec.WINDOW - centre) <= word2vec.WINDOW
                asked[int(words[block, centre]), int(around[block, place])] += 1
            else:
                assert place == centre
                asked[int(words[block, centre]), 0] += 1
    assert all(min(pair) > 0 for pair in asked) == (kind == "skip-gram")
    if kind == "cbow":
        assert sum(asked.values()) == text.counts.sum() and all(asked[i, 0] == text.counts[i] for i in range(1, len(text.words)))
    else:  # neighbours are always within reach
        sentences = [[text.words.index(word) for word in sentence.split()] for sentence in SENTENCES * 4]
        beside = Counter(pair for s in sentences for a, b in itertools.pairwise(s) for pair in ((a, b), (b, a)))
        assert all(asked[pair] >= n for pair, n in beside.items())


@pytest.mark.parametrize("kind", ["skip-gram", "cbow"])
def test_word2vec_learns_and_survives_the_file(kind: str, text: word2vec.Corpus, tmp_path: Path) -> None:
    model = word2vec.build(len(text.words), kind, 200, word2vec.rate_of(text, kind))
    inputs, weights = next(word2vec.batches(text, kind, 0))
    before = model.test_on_batch(inputs, weights)
    model.fit(lambda epoch: word2vec.batches(text, kind, epoch), epochs=6, verbose=0)
    assert model.test_on_batch(inputs, weights) < before
    model.save(tmp_path / "model.onnx")
    expected = model.predict(inputs)
    np.testing.assert_allclose(ox.load(tmp_path / "model.onnx").predict(inputs), expected, rtol=1e-5, atol=1e-6)
    session = ort.InferenceSession(tmp_path / "model.onnx")
    feeds = {i.name: x for i, x in zip(session.get_inputs(), inputs, strict=True)}
    np.testing.assert_allclose(session.run(None, feeds)[0], expected, rtol=1e-4, atol=1e-5)


def test_a_step_moves_the_rows_that_it_used_and_no_others(text: word2vec.Corpus) -> None:
    model = word2vec.build(1000, "skip-gram", 100)
    (around, words), weights = next(word2vec.batches(text, "skip-gram", 0))
    model.train_on_batch([around, words], weights)  # the outputs begin as zeros: the contexts move from the second step on
    before = model.state
    model.train_on_batch([around, words], weights)
    for name, used in (("vectors.embeddings", around), ("outputs.embeddings", words)):
        moved = np.flatnonzero((model.state[name] != before[name]).any(1))
        assert len(moved) and set(moved) <= set(used.ravel())


def test_a_step_is_the_sum_of_the_pairs_gradients(text: word2vec.Corpus) -> None:
    model = word2vec.build(len(text.words), "skip-gram", 100)
    rng = np.random.default_rng(0)
    tables = {name: rng.normal(size=a.shape).astype(np.float32) for name, a in model.state.items() if name.endswith("embeddings")}
    model.load_state({**model.state, **tables})
    (around, words), weights = next(word2vec.batches(text, "skip-gram", 0))
    model.train_on_batch([around, words], weights)
    v, u = tables["vectors.embeddings"].astype(float), tables["outputs.embeddings"].astype(float)
    logits = np.einsum("bid,bjd->bij", u[words], v[around])
    slope = -weights / (1 + np.exp(np.sign(weights) * logits)) * word2vec.RATES["skip-gram"] * word2vec.BATCH_SIZE / len(words)
    np.add.at(v, around, -np.einsum("bij,bid->bjd", slope, tables["outputs.embeddings"].astype(float)[words]))
    np.testing.assert_allclose(model.state["vectors.embeddings"], v, rtol=1e-3, atol=1e-4)


def test_questions(tmp_path: Path) -> None:
    words = ["", "man", "woman", "king", "queen", "apple"]
    vectors = word2vec.unit(np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1], [-1, 0, 0.1]], float))
    text = word2vec.Corpus(np.zeros(0, np.int32), words, np.ones(6))
    (tmp_path / "q.txt").write_text(
        ": family\nMan Woman King Queen\nman king woman queen\nman woman pear queen\n: fruit\nman apple king woman\n"
    )
    assert word2vec.analogies(tmp_path / "q.txt", text, vectors) == {"family": (2, 2), "fruit": (0, 1)}
    (tmp_path / "s.tsv").write_text("# a remark\nman\twoman\t9\nman\tapple\t1\nKing\tqueen\t9\nman\tpear\t5\nman\tking\t9\n")
    correlation, asked = word2vec.similarity(tmp_path / "s.tsv", text, vectors)
    assert asked == 4 and correlation == pytest.approx(3 / 13.5**0.5)
    assert word2vec.neighbours("king", text, vectors, 2) == ["queen", "man"]
    np.testing.assert_array_equal(word2vec.ranks(np.array([3.0, 1.0, 3.0, 2.0])), [3.5, 1, 3.5, 2])


def test_a_text_of_ones_own(text: word2vec.Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.txt").write_text("\n".join(SENTENCES * 10))
    (tmp_path / "wordsim353.tsv").write_text("cat\tdog\t7\ncat\tcar\t2\nman\twoman\t9\nfish\tbus\t1\n")
    (tmp_path / "questions-words.txt").write_text(": verbs\ncat eats man drives\n")
    monkeypatch.setattr(word2vec, "shipped", lambda name: tmp_path / name)
    monkeypatch.setattr(word2vec, "SHOWN", ("cat", "car"))
    results = word2vec.main(tmp_path, 2, str(tmp_path / "own.txt"))
    assert set(results) == {f"{kind}, {what}" for kind in ("cbow", "skip-gram") for what in ("similarity", "analogies")}
    head, *rows = (tmp_path / "vectors.txt").read_text().splitlines()
    assert head == f"{len(rows)} {word2vec.DIMENSIONS}" and rows[0].startswith("the ")
    assert (tmp_path / "word2vec.png").stat().st_size > 5000


def test_gpt_learns_sees_nothing_to_come_and_survives_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpt, "WIDTH", 16)
    monkeypatch.setattr(gpt, "BLOCKS", 1)
    letters, train, test = gpt.split()
    assert len(train) > 8 * len(test) > 100_000 and train.max() == len(letters) - 1
    ox.set_seed(0)
    model = gpt.build(len(letters), 40)
    losses = model.fit(lambda epoch: list(gpt.batches(train, epoch))[:20], epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]
    x = gpt.windows(test)[0][:4]
    changed = x.copy()
    changed[:, 40:] = 1
    expected = model.predict(x)
    np.testing.assert_allclose(model.predict(changed)[:, :40], expected[:, :40], atol=1e-5)
    np.testing.assert_allclose(model.predict(x[:, :9]), expected[:, :9], atol=1e-5)
    model.save(tmp_path / "model.onnx")
    np.testing.assert_allclose(ox.load(tmp_path / "model.onnx").predict(x), expected, rtol=1e-5, atol=1e-6)
    session = ort.InferenceSession(tmp_path / "model.onnx")
    np.testing.assert_allclose(session.run(None, {session.get_inputs()[0].name: x})[0], expected, rtol=1e-4, atol=1e-4)
    said = gpt.sample(model, letters, "The ", 20, 1.0, np.random.default_rng(0))
    assert len(said) == 24 and said.startswith("The ") and gpt.UNKNOWN not in said


def test_sampling_at_a_low_temperature_takes_the_likeliest() -> None:
    class Always:
        def predict(self, x: np.ndarray) -> np.ndarray:
            return np.broadcast_to(np.array([9.0, 1.0, 2.0, 0.0]), (1, x.shape[1], 4))

    rng = np.random.default_rng(0)
    assert gpt.sample(Always(), "?abc", "a", 5, 0.01, rng) == "abbbbb"  # type: ignore[arg-type]
    drawn = Counter(gpt.sample(Always(), "?abc", "a", 3000, 1.0, rng)[1:])  # type: ignore[arg-type]
    assert drawn["b"] / drawn["a"] == pytest.approx(np.e, rel=0.15)


def test_n_grams_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpt, "ORDER", 2)
    train, test = np.array([0, 1, 0, 1, 0, 2]), np.array([0, 1, 2])
    first, second = gpt.counting(train, test, 3)
    unigrams = (np.array([3, 2, 1]) + 3 / 3) / (6 + 3)
    np.testing.assert_allclose(first, -np.log(unigrams[[0, 1, 2]]).mean())
    after_zero, after_one = (2 + 2 * unigrams[1]) / (3 + 2), (0 + 1 * unigrams[2]) / (2 + 1)
    np.testing.assert_allclose(second, -np.log([after_zero, after_one]).mean())
