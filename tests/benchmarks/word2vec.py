"""word2vec beside gensim's, on one corpus, vocabulary, number of dimensions, window and number of epochs: quality and time.

    python -m tests.benchmarks.word2vec [--epochs 15] [--runs 2] [--threads 2]

Each run is a process of its own, ours and gensim's in turn; reading the corpus and starting up are not counted. Quality is Spearman's
correlation with WordSim-353, and the part of Google's analogies that are answered, both by the gallery's own functions.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np

from onnxdl.models import word2vec

Seconds = np.ndarray


def now() -> Seconds:
    """The clock, and the time that the processor has spent on this process, all threads together."""
    return np.array([time.perf_counter(), time.process_time()])


def ours(text: word2vec.Corpus, kind: str, epochs: int, seed: int) -> tuple[np.ndarray, Seconds]:
    """The gallery's vectors, and the seconds that training took: on the clock, and of the processor."""
    import onnxdl as ox

    ox.set_seed(seed)
    begun = now()
    vectors = word2vec.train(text, kind, epochs, verbose=0)[1]
    return vectors, now() - begun


def gensims(
    articles: Sequence[Sequence[str]], text: word2vec.Corpus, kind: str, epochs: int, seed: int, threads: int
) -> tuple[np.ndarray, Seconds]:
    """gensim's vectors in the order of our vocabulary, and the seconds."""
    from gensim.models import Word2Vec

    model = Word2Vec(
        vector_size=word2vec.DIMENSIONS,
        window=word2vec.WINDOW,
        negative=word2vec.NEGATIVE,
        min_count=word2vec.MIN_COUNT,
        sample=word2vec.SAMPLE,
        sg=kind == "skip-gram",
        seed=seed + 1,
        workers=threads,
    )
    model.build_vocab(articles)
    begun = now()
    model.train(articles, total_examples=model.corpus_count, epochs=epochs)
    seconds = now() - begun
    assert set(model.wv.index_to_key) == set(text.words[1:])
    vectors = np.stack([np.zeros(word2vec.DIMENSIONS, np.float32), *(model.wv[word] for word in text.words[1:])])
    return word2vec.unit(vectors), seconds


def one(who: str, kind: str, epochs: int, seed: int, threads: int) -> dict[str, float]:
    """One run, in this process."""
    articles = word2vec.articles(None)
    text = word2vec.corpus(articles)
    vectors, seconds = ours(text, kind, epochs, seed) if who == "ours" else gensims(articles, text, kind, epochs, seed, threads)
    right, asked = np.sum(list(word2vec.analogies(word2vec.shipped("questions-words.txt"), text, vectors).values()), axis=0)
    similarity, _ = word2vec.similarity(word2vec.shipped("wordsim353.tsv"), text, vectors)
    return {"similarity": similarity, "analogies": float(right / asked), "seconds": float(seconds[0]), "processor": float(seconds[1])}


def main() -> None:
    """Runs both in turn and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=word2vec.EPOCHS)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", nargs=3, metavar=("WHO", "KIND", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        who, kind, seed = options.one
        print(json.dumps(one(who, kind, options.epochs, int(seed), options.threads)))
        return
    print(f"{'':18}{'similarity':>12}{'analogies':>12}{'seconds':>10}{'processor':>11}")
    for kind in ("skip-gram", "cbow"):
        found: dict[str, list[dict[str, float]]] = {"ours": [], "gensim": []}
        for seed in range(options.runs):
            for who, runs in found.items():
                command = [sys.executable, "-m", "tests.benchmarks.word2vec", "--one", who, kind, str(seed)]
                command += ["--epochs", str(options.epochs), "--threads", str(options.threads)]
                bound = functools.partial(os.sched_setaffinity, 0, sorted(os.sched_getaffinity(0))[: options.threads])
                ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=bound)
                runs.append(json.loads(ran.stdout.splitlines()[-1]))
        for who, runs in found.items():
            means = {name: statistics.mean(run[name] for run in runs) for name in runs[0]}
            numbers = f"{means['similarity']:>12.4f}{means['analogies']:>12.4f}{means['seconds']:>10.1f}{means['processor']:>11.1f}"
            print(f"{kind + ', ' + who:18}{numbers}")


if __name__ == "__main__":
    main()
