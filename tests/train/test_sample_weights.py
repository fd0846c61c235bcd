"""Weights of samples and classes, and single batches, beside Keras."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn, optim
from onnxdl.errors import DataError, OnnxdlError
from tests.keras_backend import keras

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 30)
WEIGHT = RNG.uniform(0, 2, 30).astype(np.float32)
KERNEL, BIAS = RNG.normal(size=(4, 3)).astype(np.float32), RNG.normal(size=3).astype(np.float32)
CLASSES = {0: 0.5, 2: 3.0}


def ours(loss: str = "sparse_categorical_crossentropy") -> ox.Model:
    ox.set_seed(0)
    model = ox.Sequential([ox.Input((4,)), nn.Dense(3, activation="softmax")])
    model.set_weights([KERNEL, BIAS])
    model.compile(optim.SGD(0.1), loss, metrics=["accuracy"])
    return model


def theirs(loss: str = "sparse_categorical_crossentropy") -> Any:
    k = keras()
    model = k.Sequential([k.Input((4,)), k.layers.Dense(3, activation="softmax")])
    model.set_weights([KERNEL, BIAS])
    model.compile(k.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    return model


WEIGHTS: dict[str, dict[str, Any]] = {
    "none": {},
    "sample": {"sample_weight": WEIGHT},
    "sample as a column": {"sample_weight": WEIGHT[:, None]},
    "class": {"class_weight": CLASSES},
}


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS.keys())
def test_training_weights_as_keras_does(loss: str, weights: dict[str, Any]) -> None:
    y = np.eye(3, dtype=np.float32)[Y] if loss == "categorical_crossentropy" else Y
    mine, other = ours(loss), theirs(loss)
    for m in (mine, other):
        m.fit(X, y, batch_size=8, epochs=2, shuffle=False, verbose=0, validation_data=(X, y, WEIGHT), **weights)
    assert set(mine.history.history) == set(other.history.history)
    for name, values in other.history.history.items():
        np.testing.assert_allclose(mine.history.history[name], values, rtol=1e-4, err_msg=name)
    for a, b in zip(mine.get_weights(), other.weights, strict=True):
        np.testing.assert_allclose(a, np.asarray(b.value), rtol=1e-4, atol=1e-6)
    found = mine.evaluate(X, y, sample_weight=WEIGHT, verbose=0)
    np.testing.assert_allclose(found, other.evaluate(X, y, sample_weight=WEIGHT, verbose=0), rtol=1e-4)
    np.testing.assert_allclose(mine.evaluate(X, y, verbose=0), other.evaluate(X, y, verbose=0), rtol=1e-4)


def test_single_batches_as_keras_has_them() -> None:
    mine, other = ours(), theirs()
    for m, found in ((mine, results := []), (other, expected := [])):
        found.append(m.train_on_batch(X, Y))
        found.append(m.train_on_batch(X[:7], Y[:7], sample_weight=WEIGHT[:7]))
        found.append(m.train_on_batch(X, Y, class_weight=CLASSES))
        found.append(m.test_on_batch(X, Y))
        found.append(m.test_on_batch(X, Y, sample_weight=WEIGHT))
        named = m.train_on_batch(X, Y, return_dict=True)
        assert list(named) == ["loss", "accuracy"] if m is mine else set(named) == {"loss", "accuracy"}
        found.append([float(named[n]) for n in ("loss", "accuracy")])
    np.testing.assert_allclose(results, np.array(expected, float), rtol=1e-4)
    np.testing.assert_allclose(mine.predict_on_batch(X), other.predict_on_batch(X), rtol=1e-4)
    plain = ox.Sequential([ox.Input((4,)), nn.Dense(1)])
    plain.compile("sgd", "mse")
    assert isinstance(plain.train_on_batch(X, Y), float)


def test_a_custom_loop_weights_too() -> None:
    a, b = ours(), ours()
    a.train_on_batch(X, Y)
    b.train_on_batch(X, Y)
    step = a.train_step()
    step(X, Y, WEIGHT)
    step(X, Y)
    b.train_on_batch(X, Y, WEIGHT)
    b.train_on_batch(X, Y)
    for p, q in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(p, q)


def test_weights_come_with_the_batches_of_a_stream() -> None:
    def batches() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for i in range(0, 30, 8):
            yield X[i : i + 8], Y[i : i + 8], WEIGHT[i : i + 8]

    def classes() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield from ((x, y) for x, y, _ in batches())

    stream, arrays = ours(), ours()
    one = stream.fit(batches, epochs=2, verbose=0, validation_data=batches).history
    options: Any = {"sample_weight": WEIGHT, "shuffle": False, "validation_data": (X, Y, WEIGHT), "validation_batch_size": 8}
    assert one == arrays.fit(X, Y, 8, 2, verbose=0, **options).history
    stream, arrays = ours(), ours()
    one = stream.fit(classes, epochs=2, verbose=0, class_weight=CLASSES).history
    assert one == arrays.fit(X, Y, 8, 2, class_weight=CLASSES, shuffle=False, verbose=0).history


def test_each_output_may_have_weights_of_its_own() -> None:
    def model() -> ox.Model:
        ox.set_seed(1)
        x = ox.Input((4,))
        made = ox.Model(x, [nn.Dense(1, name="a")(x), nn.Dense(1, name="b")(x)])
        made.compile(optim.SGD(0.1), "mse")
        return made

    y = X[:, :2]
    targets = [y[:, :1], y[:, 1:]]
    zero = np.zeros(30, np.float32)
    only_b, both = model(), model()
    before = only_b.state["a.kernel"]
    only_b.fit(X, targets, sample_weight=[zero, WEIGHT], verbose=0)
    both.fit(X, targets, sample_weight=WEIGHT, verbose=0)
    np.testing.assert_array_equal(only_b.state["a.kernel"], before)
    np.testing.assert_array_equal(only_b.state["b.kernel"], both.state["b.kernel"])
    assert not np.array_equal(both.state["a.kernel"], before)


def test_validation_split_takes_the_weights_along() -> None:
    a, b = ours(), ours()
    one = a.fit(X, Y, 8, 2, sample_weight=WEIGHT, validation_split=0.2, verbose=0).history
    held = (X[24:], Y[24:], WEIGHT[24:])
    assert one == b.fit(X[:24], Y[:24], 8, 2, sample_weight=WEIGHT[:24], validation_data=held, verbose=0).history


REFUSED: dict[str, tuple[Callable[[], Any], type[OnnxdlError], str]] = {
    "both": (lambda: ours().fit(X, Y, sample_weight=WEIGHT, class_weight=CLASSES, verbose=0), DataError, "cannot be given together"),
    "too few": (lambda: ours().fit(X, Y, sample_weight=WEIGHT[:-1], verbose=0), DataError, "different numbers of samples"),
    "too many arrays": (
        lambda: ours().fit(X, Y, sample_weight=[WEIGHT, WEIGHT], verbose=0),
        DataError,
        "1 outputs, but sample_weight holds 2",
    ),
    "no targets": (lambda: ours().fit(X, verbose=0), DataError, "there are no targets"),
    "a batch of four": (lambda: ours().fit([(X, Y, Y, Y)], verbose=0), DataError, "not 4 things"),
    "batches without targets": (lambda: ours().fit(lambda: [X], verbose=0), DataError, "iterable of batches"),
    "an empty stream": (lambda: ours().fit(lambda: [], verbose=0), DataError, "gave no batch"),
    "a stream and y": (lambda: ours().fit(lambda: [(X, Y)], Y, verbose=0), DataError, "they hold targets and weights too"),
}


@pytest.mark.parametrize(("act", "error", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_wrong_use_is_refused(act: Callable[[], Any], error: type[OnnxdlError], words: str) -> None:
    with pytest.raises(error, match=words):
        act()


# ---- what other libraries give ----------------------------------------------------------------------------------------


def test_a_torch_loader_gives_batches() -> None:
    torch = pytest.importorskip("torch")
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    loader, one = torch.utils.data.DataLoader(dataset, batch_size=8), ours()
    history = one.fit(loader, epochs=2, verbose=0, validation_data=loader).history
    expected = ours().fit(X, Y, 8, 2, shuffle=False, verbose=0, validation_data=(X, Y), validation_batch_size=8).history
    assert history == expected
    other = ours()
    other.fit(torch.from_numpy(X), torch.from_numpy(Y), 8, 2, shuffle=False, verbose=0)
    np.testing.assert_array_equal(other.predict(torch.from_numpy(X)), one.predict(loader))


def test_a_keras_dataset_gives_batches_in_an_order_of_the_epoch() -> None:
    k = keras()

    class Dataset(k.utils.PyDataset):  # type: ignore[misc, name-defined]
        def __len__(self) -> int:
            return 5

        def __getitem__(self, i: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
            asked.append(i)
            return {"input": X[6 * i : 6 * i + 6]}, Y[6 * i : 6 * i + 6]

    asked: list[int] = []
    model = ours()
    model.fit(Dataset(), epochs=2, verbose=0)
    assert asked[0] == 0 and sorted(asked[1:6]) == sorted(asked[6:]) == [0, 1, 2, 3, 4]
    assert asked[1:6] != asked[6:]
    loss, accuracy = model.evaluate(Dataset(), verbose=0)
    assert [loss, accuracy] == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-5)


class Foreign:
    """A tensor of a library that NumPy can ask for an array, as tf.data gives it."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.ndim = array, array.ndim

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.array, dtype)


class Endless:
    """As a repeated tf.data.Dataset: its length cannot be told."""

    def __len__(self) -> int:
        raise TypeError("The dataset is infinite.")

    def __iter__(self) -> Iterator[tuple[Foreign, Foreign]]:
        while True:
            for i in range(0, 30, 10):
                yield Foreign(X[i : i + 10]), Foreign(Y[i : i + 10])


def test_an_endless_stream_of_foreign_tensors_is_cut_into_epochs() -> None:
    model = ours()
    history = model.fit(Endless(), epochs=2, steps_per_epoch=3, verbose=0, validation_data=Endless(), validation_steps=3).history
    assert history == ours().fit(X, Y, 10, 2, shuffle=False, verbose=0, validation_data=(X, Y), validation_batch_size=10).history
    assert len(model.predict(Endless(), steps=4)) == 40


def test_data_by_input_name() -> None:
    a, b = ox.Input((4,), name="a"), ox.Input((4,), name="b")
    model = ox.Model([a, b], nn.Dense(1)(a - b))
    model.compile("sgd", "mse")
    y = X.sum(1)
    by_name = model.evaluate({"b": 2 * X, "a": X}, y, verbose=0)
    assert by_name == model.evaluate([X, 2 * X], y, verbose=0)
    assert by_name != model.evaluate([2 * X, X], y, verbose=0)
    assert model.evaluate([({"b": 2 * X, "a": X}, y)], verbose=0) == by_name
