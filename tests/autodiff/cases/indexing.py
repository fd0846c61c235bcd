"""Operators that pick elements by index and put them at indices."""

import numpy as np

from onnxdl.graph import op
from tests.autodiff.cases import Case, apart, rand


def _ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


_ELEMENTS = np.array([[0, 2], [2, -1], [1, 2]], np.int64)  # repeats 2 (and -1) in the second row
_DISTINCT = np.array([[0, 2], [2, 1], [1, 0]], np.int64)
_ROWS = np.array([[1], [0], [1]], np.int64)
_CELLS = np.array([[[0, 1], [1, -1]], [[0, 1], [2, 2]]], np.int64)

CASES = [
    Case("Gather", [rand(4, 3), _ints(1, 3, 1)]),
    Case("Gather", [rand(4, 3), np.array([[1, -1], [0, 1]], np.int64)], reason="embedding"),
    Case("Gather", [rand(2, 4, 2), np.array([[1, -1], [0, 1]], np.int32)], {"axis": 1}),
    Case("Gather", [rand(4, 3), np.array(-1, np.int64)], {"axis": 1}, reason="scalar index"),
    Case("Gather", [rand(4, 3), _ints(2)], reason="one index"),
    Case("GatherElements", [rand(3, 3), _ELEMENTS], {"axis": 1}),
    Case("GatherElements", [rand(3, 2), _ELEMENTS]),
    Case("GatherND", [rand(3, 3), _CELLS]),
    Case("GatherND", [rand(2, 3, 2), _ROWS]),
    Case("GatherND", [rand(3, 2, 2), np.array([[1], [0], [-1]], np.int64)], {"batch_dims": 1}),
    Case("GatherND", [rand(2, 3, 2), np.array([[[[1, 0]], [[1, 1]]], [[[0, 0]], [[0, 0]]]], np.int64)[:, :, 0]], {"batch_dims": 1}),
    Case("ScatterElements", [rand(3, 3), _DISTINCT, rand(3, 2)], {"axis": 1}),
    Case("ScatterElements", [rand(3, 3), _ELEMENTS, rand(3, 2)], {"axis": 1, "reduction": "add"}),
    Case("ScatterElements", [rand(3, 3), _ELEMENTS, rand(3, 2)], {"axis": 1, "reduction": "mul"}),
    Case("ScatterElements", [apart(3, 3), _ELEMENTS, apart(3, 2) + 0.03], {"axis": 1, "reduction": "max"}),
    Case("ScatterElements", [apart(3, 3), _ELEMENTS, apart(3, 2) + 0.03], {"axis": 1, "reduction": "min"}),
    Case(
        "ScatterElements",
        [np.array([1.0, 0.0, 2.0]), _ints(0, 0, 1, 2, 2), np.array([0.0, 3.0, 2.0, 0.0, 0.0])],
        {"reduction": "mul"},
        reason="zeros",
    ),
    Case("ScatterND", [np.array([0.0, 2.0, 0.0]), np.array([[0], [0], [1], [2]]), np.array([3.0, 0.0, 0.0, 2.0])], {"reduction": "mul"}),
    Case("ScatterND", [rand(3, 3), np.array([[0, 1], [2, -1]], np.int64), rand(2)]),
    Case("ScatterND", [rand(3, 2), np.array([[0], [2]], np.int64), rand(2, 2)]),
    Case("ScatterND", [rand(3, 2), _ROWS, rand(3, 2, seed=1)], {"reduction": "add"}),
    Case("ScatterND", [rand(3, 2), _ROWS, rand(3, 2, seed=1)], {"reduction": "mul"}),
    Case("ScatterND", [apart(3, 2), _ROWS, apart(3, 2, seed=1) + 0.03], {"reduction": "max"}),
    Case("ScatterND", [apart(3, 2), _ROWS, apart(3, 2, seed=1) + 0.03], {"reduction": "min"}),
    Case("TopK", [apart(3, 4), _ints(2)]),
    Case("TopK", [apart(3, 4), _ints(2)], {"axis": 0, "largest": 0}),
    Case("Compress", [rand(3, 2), np.array([True, False, True])], {"axis": 0}),
    Case("Compress", [rand(3, 2), np.array([True, False, True, True])], reason="flattened"),
    Case("OneHot", [_ints(1, 0, 3, -1), np.array(4, np.int64), rand(2)]),
    Case("OneHot", [np.array([[1, 0], [3, 7]], np.int64), np.array(4, np.int64), rand(2)], {"axis": 1}),
    Case("Unique", [apart(5)]),
    Case("Unique", [apart(3, 2)], {"axis": 0, "sorted": 0}),
    Case("TensorScatter", [rand(2, 4, 3), rand(2, 2, 3), _ints(1, 2)]),
    Case("TensorScatter", [rand(2, 4, 3), rand(2, 2, 3), _ints(1, 3)], {"mode": "circular"}),
    Case("TensorScatter", [rand(2, 2, 4, 3), rand(2, 2, 2, 3)]),
    Case("Dropout", [rand(2, 3)]),
    Case("Dropout", [rand(2, 3), np.array(0.4, np.float32), np.array(False)]),
    Case("Dropout", [rand(2, 3)], call=lambda x: op.Dropout(x, 0.0, True), reason="training, nothing dropped"),
    Case("Dropout", [rand(2, 3)], call=lambda x: op.Dropout(x, 0.0, True, outputs=2), reason="mask asked for"),
]
