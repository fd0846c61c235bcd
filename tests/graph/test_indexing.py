"""Indexing: NumPy is the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl.errors import ShapeError

DATA = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)

INDICES: list[Any] = [
    0,
    -1,
    (1, -2),
    np.int64(1),
    slice(1, None),
    slice(None, None, -1),
    (slice(None), slice(2, 0, -1), slice(None, None, 2)),
    (..., -1),
    (0, ..., 1),
    None,
    (slice(None), None, 1, ..., None),
    [0, 1, 1],
    (slice(None), [2, 0]),
    (slice(None), [0, 2], [1, 1]),
    ([0, 1], slice(None), [1, 1]),
    ([0, 1], slice(None), 1, [1, 1]),
    (0, [0, 2]),
    (0, slice(None), [1, 3]),
    (slice(None), 0, [1, 3]),
    ([0, 1], 1, ..., 2),
    (slice(None), np.array([[0, 1], [2, 0]])),
    (slice(None), slice(None), np.array([[1], [2]]), np.array([3, 0])),
    DATA > 50,
    np.array([True, False]),
    (slice(None), np.array([True, False, True])),
    (slice(None), slice(None), np.arange(20).reshape(4, 5) % 3 == 0),
    (slice(0, 0),),
]


@pytest.mark.parametrize("index", INDICES, ids=lambda i: str(i)[:40].replace("\n", " "))
def test_indexing_follows_numpy(index: Any) -> None:
    expected = DATA[index]
    result = ox.tensor(DATA)[index].numpy()
    assert result.shape == expected.shape
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("index", [2, (0, 3), (0, 0, 0, 0, 0), (slice(None), -4)], ids=str)
def test_an_index_outside_is_refused(index: Any) -> None:
    with pytest.raises(ShapeError, match=r"(outside axis|too many indices).*test_indexing.py"):
        ox.tensor(DATA)[index]


def test_a_tensor_indexes_a_tensor() -> None:
    order = ox.tensor(np.array([2, 0]))
    np.testing.assert_array_equal(ox.tensor(DATA)[:, order].numpy(), DATA[:, [2, 0]])
