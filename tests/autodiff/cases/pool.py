"""Pools: every padding, ceil_mode, dilations, count_include_pad, the global ones, and their inverses."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.autodiff.cases import Case, apart, rand
from tests.autodiff.references import global_lp_pool, lp_pool, max_unpool


def _average(*shape: int, **attributes: Any) -> Case:
    return Case("AveragePool", [rand(*shape)], attributes)


def _max(*shape: int, outputs: int | None = None, **attributes: Any) -> Case:
    return Case("MaxPool", [apart(*shape)], attributes, outputs=outputs)


def _lp(*shape: int, **attributes: Any) -> Case:
    forward = None if "auto_pad" in attributes else lp_pool
    return Case("LpPool", [rand(*shape) + np.sign(rand(*shape)) * 0.1], attributes, forward=forward)


CASES = [
    _average(2, 2, 4, 6, kernel_shape=[2, 3], strides=[2, 3]),
    _average(2, 2, 5, 5, kernel_shape=[3, 2]),
    _average(2, 2, 5, 6, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 2]),
    _average(2, 2, 5, 6, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 2], count_include_pad=1),
    _average(2, 2, 6, 6, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    _average(1, 2, 6, 7, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 1, 1, 0], ceil_mode=1),
    _average(1, 2, 7, 7, kernel_shape=[2, 3], dilations=[2, 2], strides=[1, 2]),
    _average(1, 2, 5, 6, kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER"),
    _average(1, 2, 5, 6, kernel_shape=[2, 4], strides=[2, 1], auto_pad="SAME_LOWER"),
    _average(1, 2, 5, 6, kernel_shape=[2, 4], strides=[2, 1], auto_pad="VALID"),
    _average(2, 3, 7, kernel_shape=[3], strides=[2], pads=[1, 1]),
    _average(1, 2, 4, 3, 5, kernel_shape=[2, 2, 2], strides=[1, 1, 2]),
    _max(2, 2, 4, 6, kernel_shape=[2, 3], strides=[2, 3]),
    _max(2, 2, 5, 5, kernel_shape=[3, 2]),
    _max(2, 2, 5, 6, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 2]),
    _max(2, 2, 6, 6, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    _max(1, 2, 7, 7, kernel_shape=[2, 3], dilations=[2, 2], strides=[1, 2]),
    _max(1, 2, 5, 6, kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER"),
    _max(1, 2, 5, 6, kernel_shape=[2, 4], strides=[2, 1], auto_pad="SAME_LOWER"),
    _max(1, 2, 5, 6, kernel_shape=[2, 2], outputs=2),
    _max(1, 2, 5, 6, kernel_shape=[2, 2], outputs=2, storage_order=1),
    _max(2, 3, 7, kernel_shape=[3], strides=[2], pads=[1, 1]),
    _max(1, 2, 4, 3, 5, kernel_shape=[2, 2, 2], strides=[1, 1, 2]),
    _max(2, 2, 5, 7, kernel_shape=[2, 2], strides=[2, 2]),
    _max(2, 2, 7, kernel_shape=[3], strides=[3]),
    _max(1, 2, 2, 4, 5, kernel_shape=[1, 2, 2], strides=[1, 2, 2]),
    _max(1, 2, 5, 7, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    _lp(2, 2, 4, 6, kernel_shape=[2, 3], strides=[2, 3]),
    _lp(2, 2, 5, 6, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 2], p=3),
    _lp(1, 2, 6, 6, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, p=4),
    _lp(1, 2, 7, 7, kernel_shape=[2, 3], dilations=[2, 2], p=1),
    _lp(1, 2, 5, 6, kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER"),
    Case("GlobalAveragePool", [rand(2, 3, 4, 5)]),
    Case("GlobalAveragePool", [rand(2, 3, 4)]),
    Case("GlobalMaxPool", [apart(2, 3, 4, 5)]),
    Case("GlobalLpPool", [apart(2, 3, 2, 3)], forward=global_lp_pool),
    Case("GlobalLpPool", [apart(2, 3, 4)], {"p": 3}, forward=global_lp_pool),
    Case("GlobalLpPool", [apart(2, 3, 4)], {"p": 1}, forward=global_lp_pool),
    Case("MaxUnpool", [rand(1, 1, 2, 2), np.array([[[[5, 7], [8, 10]]]])], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    Case(
        "MaxUnpool",
        [rand(1, 2, 2, 2), np.array([[[[5, 7], [8, 10]], [[30, 34], [41, 43]]]]), np.array([1, 2, 5, 5])],
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        static=(2,),
        forward=max_unpool,
        reason="indices into the given shape, as ONNX Runtime has it",
    ),
]
