"""Operators that move, repeat, join and cut elements without changing them."""

import numpy as np

from tests.autodiff.cases import Case, rand


def _ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


_FAR = 2**31 - 1

CASES = [
    Case("Reshape", [rand(2, 3), _ints(3, 2)]),
    Case("Reshape", [rand(2, 3, 2), _ints(0, -1)]),
    *[Case("Flatten", [rand(2, 3, 2)], {"axis": axis}) for axis in (0, 1, -1)],
    Case("Squeeze", [rand(1, 3, 1), _ints(0)]),
    Case("Squeeze", [rand(1, 3, 1), _ints(-1, 0)]),
    Case("Squeeze", [rand(1, 3, 1)], static=(0,)),
    Case("Unsqueeze", [rand(2, 3), _ints(0)]),
    Case("Unsqueeze", [rand(2, 3), _ints(1, -1)]),
    Case("Transpose", [rand(2, 3, 2)]),
    Case("Transpose", [rand(2, 3, 4)], {"perm": [1, 2, 0]}),
    Case("Expand", [rand(3, 1), _ints(2, 1, 4)]),
    Case("Expand", [rand(3, 2), _ints(1, 1)], reason="smaller than the input"),
    Case("Tile", [rand(2, 3), _ints(2, 1)]),
    Case("Tile", [rand(2, 1, 3), _ints(1, 3, 2)]),
    Case("Concat", [rand(2, 3)], {"axis": 0}),
    Case("Concat", [rand(2, 3), rand(2, 1), rand(2, 2)], {"axis": -1}),
    Case("Concat", [rand(1, 3), rand(2, 3)], {"axis": 0}),
    Case("Split", [rand(2, 6)], {"axis": -1, "num_outputs": 3}, outputs=3),
    Case("Split", [rand(5, 2)], {"num_outputs": 2}, outputs=2, reason="smaller last part"),
    Case("Split", [rand(6, 2), _ints(1, 3, 2)], outputs=3),
    Case("Slice", [rand(5, 4), _ints(1, 0), _ints(4, 3)]),
    Case("Slice", [rand(5, 4), _ints(-3), _ints(-1), _ints(0)]),
    Case("Slice", [rand(5, 4), _ints(0), _ints(-1), _ints(-1)], reason="all but the last"),
    Case("Slice", [rand(5, 4), _ints(1), _ints(_FAR), _ints(1), _ints(2)], reason="step 2"),
    Case("Slice", [rand(5, 4), _ints(-1), _ints(-_FAR), _ints(0), _ints(-1)], reason="reversed"),
    Case("Slice", [rand(5, 4), _ints(4, 0), _ints(0, 4), _ints(0, 1), _ints(-2, 3)], reason="mixed steps"),
    Case("Slice", [rand(5, 4), _ints(3), _ints(1), _ints(0)], reason="empty"),
    Case("Pad", [rand(2, 3), _ints(1, 0, 0, 2)]),
    Case("Pad", [rand(2, 3), _ints(1, 0, 0, 2), rand(seed=1)], reason="value"),
    Case("Pad", [rand(4, 3), _ints(-1, 1, 0, -1), rand(seed=1)], reason="negative pads"),
    Case("Pad", [rand(2, 3), _ints(1, 2), None, _ints(1)], reason="axes"),
    Case("Pad", [rand(3, 4), _ints(2, 1, 1, 3)], {"mode": "reflect"}),
    Case("Pad", [rand(3, 4), _ints(2, 1, 1, 3)], {"mode": "edge"}),
    Case("Pad", [rand(3, 4), _ints(2, 1, 1, 3)], {"mode": "wrap"}),
    Case("Pad", [rand(3, 4), _ints(2, 1), None, _ints(-1)], {"mode": "reflect"}, reason="axes"),
    Case("DepthToSpace", [rand(1, 8, 1, 2)], {"blocksize": 2}),
    Case("DepthToSpace", [rand(1, 8, 1, 2)], {"blocksize": 2, "mode": "CRD"}),
    Case("SpaceToDepth", [rand(1, 2, 2, 4)], {"blocksize": 2}),
    Case("Trilu", [rand(3, 4)]),
    Case("Trilu", [rand(2, 3, 3), np.array(-1, np.int64)], {"upper": 0}),
    Case("ReverseSequence", [rand(4, 3, 2), _ints(1, 4, 2)]),
    Case("ReverseSequence", [rand(3, 4), _ints(1, 4, 2)], {"batch_axis": 0, "time_axis": 1}),
]
