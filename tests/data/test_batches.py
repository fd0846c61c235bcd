"""Arrays, streams and sequences as batches: their order, and what a run that is cut sees again."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn
from onnxdl.data import ArrayBatches, IterableBatches, LazyArray, Rows, SequenceBatches, hold_out, walk
from onnxdl.data.lazy import on_disk
from onnxdl.errors import DataError

X = np.arange(10, dtype=np.float32)


def seen(batches: Any, number: int = 0, start: int = 0) -> list[list[float]]:
    return [b["x"].tolist() for b in walk(batches, number, start)]


def flat(batches: Any, number: int = 0, start: int = 0) -> list[float]:
    return [v for part in seen(batches, number, start) for v in part]


def test_unshuffled_batches_are_the_samples_in_order() -> None:
    assert seen(ArrayBatches({"x": X}, 4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("cut", [None, 2, 5])
def test_an_epoch_depends_on_seed_and_number_alone(cut: int | None) -> None:
    batches = ArrayBatches({"x": X}, 3, shuffle=True, seed=1, steps=cut)
    epochs = [seen(batches, n) for n in range(4)]
    assert epochs == [seen(ArrayBatches({"x": X}, 3, shuffle=True, seed=1, steps=cut), n) for n in range(4)]
    assert [seen(batches, 2, k) for k in range(3)] == [epochs[2][k:] for k in range(3)]
    assert seen(ArrayBatches({"x": X}, 3, shuffle=True, seed=2, steps=cut)) != epochs[0]
    assert [len(e) for e in epochs] == [cut or 4] * 4


def test_epochs_that_are_cut_go_on_where_the_one_before_ended() -> None:
    batches = ArrayBatches({"x": X}, 5, shuffle=True, steps=1)
    for first in (0, 2):
        assert sorted(flat(batches, first) + flat(batches, first + 1)) == X.tolist()


def test_every_epoch_has_all_samples_once_and_pairs_stay_together() -> None:
    batches = ArrayBatches({"x": X, "y": X * 2}, 3, shuffle=True, dtypes={"y": np.int64})
    parts = list(walk(batches, 5))
    assert sorted(np.concatenate([p["x"] for p in parts])) == X.tolist()
    for p in parts:
        np.testing.assert_array_equal(p["y"], 2 * p["x"])
        assert p["y"].dtype == np.int64


def test_nan_is_refused_with_its_place() -> None:
    bad = X.copy()
    bad[7] = np.inf
    with pytest.raises(DataError, match=r"'x' holds inf at \[3\] of batch 1, epoch 3"):
        seen(ArrayBatches({"x": bad}, 4), 2)


# ---- streams --------------------------------------------------------------------------------------------------------


def counted(n: int) -> Iterator[int]:
    yield from range(n)


def as_arrays(i: int) -> dict[str, np.ndarray]:
    return {"x": np.array([i], np.float32)}


def test_an_iterable_is_walked_anew_in_each_epoch() -> None:
    batches = IterableBatches([0, 1, 2], as_arrays)
    assert batches.steps == 3
    assert batches.peek() == 0
    assert [flat(batches, n) for n in range(2)] == [[0, 1, 2]] * 2
    assert flat(batches, 1, 2) == [2]


def test_peeking_loses_nothing() -> None:
    batches = IterableBatches(counted(3), as_arrays)
    assert batches.peek() == 0
    assert flat(batches) == [0, 1, 2]
    with pytest.raises(DataError, match="used up"):
        flat(batches, 1)


def test_a_function_makes_each_epoch_and_may_take_its_number() -> None:
    assert flat(IterableBatches(lambda: counted(2), as_arrays), 3) == [0, 1]
    by_epoch = IterableBatches(lambda epoch: iter([10 * epoch, 10 * epoch + 1]), as_arrays)
    by_epoch.peek()
    assert [flat(by_epoch, n) for n in (1, 0, 2)] == [[10, 11], [0, 1], [20, 21]]


@pytest.mark.parametrize("source", [lambda: counted(7), list(range(7))], ids=["function", "list"])
def test_steps_cut_a_stream_that_goes_on(source: Any) -> None:
    whole = IterableBatches(source, as_arrays, steps=3, continued=True)
    whole.peek()
    expected = [[0, 1, 2], [3, 4, 5], [6, 0, 1], [2, 3, 4]]
    assert [flat(whole, n) for n in range(4)] == expected
    resumed = IterableBatches(source, as_arrays, steps=3, continued=True)
    resumed.peek()
    assert flat(resumed, 2, 1) == expected[2][1:]
    assert flat(resumed, 3) == expected[3]


def test_steps_cut_an_iterator_into_epochs_until_it_ends() -> None:
    batches = IterableBatches(counted(5), as_arrays, steps=2, continued=True)
    batches.peek()
    assert [flat(batches, n) for n in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(DataError, match="ran out after 1 of the 2 batches of epoch 3"):
        flat(batches, 2)


def test_a_validation_sees_the_same_batches_each_time() -> None:
    batches = IterableBatches(list(range(9)), as_arrays, steps=2)
    assert [flat(batches) for _ in range(2)] == [[0, 1]] * 2


class Sequence:
    """As Keras's PyDataset."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __len__(self) -> int:
        return 5

    def __getitem__(self, i: int) -> int:
        return 10 * i

    def on_epoch_end(self) -> None:
        self.told.append("end")


def test_a_sequence_is_asked_by_number_in_an_order_of_the_epoch() -> None:
    source = Sequence()
    batches = SequenceBatches(source, as_arrays, shuffle=True, seed=3)
    epochs = [flat(batches, n) for n in range(3)]
    assert [sorted(e) for e in epochs] == [[0, 10, 20, 30, 40]] * 3
    assert epochs[0] != epochs[1]
    assert source.told == ["end"] * 3
    assert flat(batches, 1, 2) == epochs[1][2:]
    assert flat(SequenceBatches(source, as_arrays), 1) == [0, 10, 20, 30, 40]


# ---- arrays on disk -------------------------------------------------------------------------------------------------

SAMPLES, WIDTH = 4000, 1024


def on_file(path: Path, dtype: type = np.float32) -> np.ndarray:
    """16 MB: each row holds its own number."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(SAMPLES, WIDTH))
    array[:] = (np.arange(SAMPLES) % 200)[:, None]
    array.flush()
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_data_larger_than_memory_is_streamed(shuffle: bool, dtype: type, tmp_path: Path) -> None:
    x = on_file(tmp_path / "x.npy", dtype)
    y = np.arange(SAMPLES, dtype=np.float32)
    ox.set_seed(0)
    model = ox.Sequential([ox.Input((WIDTH,)), nn.Dense(1)])
    model.compile("adam", "mse")
    model.evaluate(x[:8], y[:8], verbose=0)
    batches = ArrayBatches({"x": x, "y": y}, 50, shuffle=shuffle, dtypes={"x": np.float32})
    assert batches.slow
    tracemalloc.start()
    try:
        for part in walk(batches):
            np.testing.assert_array_equal(part["x"][:, 7], part["y"] % 200)
        model.evaluate(x, y, 50, verbose=0)
        model.fit(x, y, 50, validation_split=0.2, shuffle=shuffle, verbose=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < SAMPLES * WIDTH * 4 / 4


def test_held_out_samples_stay_on_disk(tmp_path: Path) -> None:
    x = on_file(tmp_path / "x.npy")
    (train, y), (test, y_test) = hold_out(x, np.arange(SAMPLES), 0.25, seed=1)
    assert isinstance(train, Rows) and on_disk(train) and train.shape == (3000, WIDTH) and len(test) == 1000
    np.testing.assert_array_equal(train[10:20][:, 0], y[10:20] % 200)
    np.testing.assert_array_equal(np.asarray(test)[:, 3], y_test % 200)
    in_memory = hold_out(np.array(x), np.arange(SAMPLES), 0.25, seed=1)
    np.testing.assert_array_equal(in_memory[0][0], np.asarray(train))


class Squares(LazyArray):
    def __init__(self, n: int) -> None:
        self.shape, self.dtype = (n, 1), np.dtype(np.float32)
        self.most = 0

    def read(self, places: np.ndarray) -> np.ndarray:
        self.most = max(self.most, len(places))
        return (places[:, None] ** 2).astype(np.float32)


def test_a_model_trains_and_predicts_from_a_lazy_array() -> None:
    lazy = Squares(90)
    results = []
    for x in (lazy, np.asarray(Squares(90))):
        ox.set_seed(1)
        model = ox.Sequential([ox.Input((1,)), nn.Dense(1)])
        model.compile("adam", "mse")
        history = model.fit(x, np.arange(90.0), 10, 2, validation_split=0.5, verbose=0).history
        results.append((history, model.predict(x, 9).tolist(), model.evaluate(x, np.arange(90.0), verbose=0)))
    assert results[0] == results[1]
    assert lazy.most == 32


def test_a_lazy_array_gives_samples_only() -> None:
    with pytest.raises(DataError, match="not for 3"):
        Squares(9)[3]  # type: ignore[index]
