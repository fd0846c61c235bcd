"""A small transformer that reads text letter by letter and guesses the next one (Vaswani et al. 2017; Radford et al. 2018).

A convolution mixes each letter with the three before. Then each block attends to the letters so far (the causal mask hides those to
come) and passes each through two dense layers; both add to what they were given. The letters' vectors serve as the weights of the
output too (Press and Wolf 2016), and matrices move along their orthogonalized momentum (Muon, Jordan et al. 2024). What it reaches
is set beside what counting reaches: n-grams of all orders up to ORDER, interpolated (Witten and Bell 1991).

Data: the text of the Python Language Reference, which the standard library carries (``pydoc_data``; PSF licence). The last tenth
is held out. ``--data FILE`` takes a text of yours.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

import onnxdl as ox
from onnxdl import nn, op, optim

EPOCHS = 4
BATCH_SIZE = 16
CONTEXT = 64
WIDTH = 96
HEADS = 4
BLOCKS = 3
RATE = 1e-2
ORDER = 5
RARE = 20  # letters that occur less often are taken for one
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
TEMPERATURES = (0.3, 0.7, 1.0)


def block(x: ox.Tensor) -> ox.Tensor:
    """x + attention, then + two dense layers, each of what is normalized first."""
    y = nn.LayerNormalization(epsilon=1e-5)(x)
    x = x + nn.MultiHeadAttention(HEADS, WIDTH // HEADS, use_bias=False)(y, y, use_causal_mask=True)
    y = nn.Dense(4 * WIDTH, activation="gelu")(nn.LayerNormalization(epsilon=1e-5)(x))
    out: ox.Tensor = x + nn.Dense(WIDTH)(y)
    return out


class Positions(nn.Layer):
    """Adds a learned vector for each place in the context: (..., time, width) -> the same."""

    def build(self, input_shape: tuple[int, ...]) -> None:
        start = nn.initializers.RandomNormal(stddev=0.02)
        self.vectors = self.add_weight(name="vectors", shape=(CONTEXT, input_shape[-1]), initializer=start)

    def call(self, x: ox.Tensor) -> ox.Tensor:
        return x + op.Slice(self.vectors, [0], op.Shape(x, start=1, end=2), [0])


def build(letters: int = 96, steps: float = 1e4) -> ox.Model:
    """Letter numbers (time,) -> logits (time, letters); the rate rises over a twentieth of the steps, then falls along a cosine."""
    numbers = ox.Input((None,), dtype="int64", name="letters")
    table = nn.ReversibleEmbedding(letters, WIDTH, embeddings_initializer=nn.initializers.RandomNormal(stddev=0.02), name="letter")
    mixed = nn.Conv1D(WIDTH, 4, padding="causal", use_bias=False, data_format="channels_last")(table(numbers))
    x = Positions(name="position")(mixed)
    for _ in range(BLOCKS):
        x = block(x)
    model = ox.Model(numbers, table(nn.LayerNormalization(epsilon=1e-5)(x), reverse=True), name="gpt")
    rate = optim.schedules.CosineDecay(0.0, steps, alpha=0.02, warmup_target=RATE, warmup_steps=steps / 20)
    optimizer = optim.Muon(rate, weight_decay=None, adam_weight_decay=None, adam_lr_ratio=0.3, exclude_layers=["position"])
    model.compile(optimizer, loss=nn.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def read(path: str | None = None) -> str:
    """The text, runs of spaces as one."""
    text = "\n".join(topics[topic] for topic in sorted(topics)) if path is None else Path(path).read_text("utf-8")
    return re.sub(" +", " ", text)


def split(path: str | None = None) -> tuple[str, np.ndarray, np.ndarray]:
    """The letters by number, and the numbers of the text to train with and of that held out."""
    text = read(path)
    letters = UNKNOWN + "".join(sorted(c for c, n in Counter(text).items() if n >= RARE))
    number = {c: i for i, c in enumerate(letters)}
    numbers = np.array([number.get(c, 0) for c in text])
    cut = len(numbers) * 9 // 10
    return letters, numbers[:cut], numbers[cut:]


def windows(numbers: np.ndarray, begin: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(n, CONTEXT) letters one after another, and for each the letter that follows."""
    end = begin + (len(numbers) - 1 - begin) // CONTEXT * CONTEXT
    return numbers[begin:end].reshape(-1, CONTEXT), numbers[begin + 1 : end + 1].reshape(-1, CONTEXT)


def batches(numbers: np.ndarray, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The windows of an epoch, which begin elsewhere in each."""
    rng = np.random.default_rng(epoch)
    x, y = windows(numbers, int(rng.integers(CONTEXT)))
    order = rng.permutation(len(x))
    for chosen in np.split(order, range(BATCH_SIZE, len(x), BATCH_SIZE)):
        yield x[chosen], y[chosen]


def counting(train: np.ndarray, test: np.ndarray, letters: int) -> list[float]:
    """The cross-entropies on ``test``, in nats, of n-grams of the orders 1 to ORDER, counted in ``train``.

    p(c | h) = (n(h c) + kinds(h) p(c | h without its first letter)) / (n(h) + kinds(h)), kinds the letters seen after h.
    """

    def code(numbers: np.ndarray, order: int) -> np.ndarray:
        """Each run of letters as one number."""
        last = len(numbers) - order + 1
        digits: np.ndarray = sum(numbers[i : last + i].astype(np.int64) * letters ** (order - 1 - i) for i in range(order))
        return digits

    def look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        place = np.searchsorted(keys, wanted).clip(0, len(keys) - 1)
        return np.where(keys[place] == wanted, values[place], 0)

    p, found = np.full(len(test), 1 / letters), []
    for order in range(1, ORDER + 1):
        runs, times = np.unique(code(train, order), return_counts=True)
        histories, which, kinds = np.unique(runs // letters, return_inverse=True, return_counts=True)
        asked = code(test, order)
        n, seen, different = (
            look_up(runs, times, asked),
            look_up(histories, np.bincount(which, times), asked // letters),
            look_up(histories, kinds, asked // letters),
        )
        shorter = p[-len(asked) :]
        p = np.where(seen > 0, (n + different * shorter) / np.maximum(seen + different, 1), shorter)
        found.append(float(-np.log(p).mean()))
    return found


def sample(model: ox.Model, letters: str, begin: str, length: int, temperature: float, rng: np.random.Generator) -> str:
    """``begin``, and that many letters more, drawn from softmax(logits / temperature)."""
    numbers = [max(letters.find(c), 0) for c in begin]
    for _ in range(length):
        logits = model.predict(np.array([numbers[-CONTEXT:]]))[0, -1].astype(np.float64) / temperature
        logits[0] = -np.inf
        p = np.exp(logits - logits.max())
        numbers.append(int(rng.choice(len(letters), p=p / p.sum())))
    return "".join(letters[i] for i in numbers)


def main(folder: Path, epochs: int, data: str | None = None) -> dict[str, float]:
    """Trains, counts n-grams, and writes what the model says at several temperatures into samples.txt."""
    letters, train, test = split(data)
    model = build(len(letters), len(train) / CONTEXT / BATCH_SIZE * epochs)
    history = model.fit(lambda epoch: batches(train, epoch), epochs=epochs, validation_data=windows(test), verbose=2).history
    model.save(folder / "model.onnx")
    rng = np.random.default_rng(0)
    said = [f"temperature {t}\n{sample(model, letters, 'The ', 400, t, rng)}\n" for t in TEMPERATURES]
    (folder / "samples.txt").write_text("\n".join(said), "utf-8")
    print("\n".join(said))
    orders = counting(train, test, len(letters))
    return {"loss": history["val_loss"][-1], f"{ORDER}-grams": orders[-1]}


if __name__ == "__main__":
    print(main(Path(), EPOCHS))
