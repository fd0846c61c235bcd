"""Convolution and transposed convolution: 1-D to 3-D, groups, dilations, strides, every padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.autodiff.cases import Case, rand
from tests.autodiff.references import conv_transpose


def _conv(
    x: tuple[int, ...], w: tuple[int, ...], *, bias: bool = False, reason: str = "", second_order: bool = True, **attributes: Any
) -> Case:
    inputs = [rand(*x, seed=1), rand(*w, seed=2), *([rand(w[0], seed=3)] if bias else [])]
    return Case("Conv", inputs, attributes, reason=reason, static=(1,), second_order=second_order)


def _transposed(
    x: tuple[int, ...],
    w: tuple[int, ...],
    *,
    bias: bool = False,
    reason: str = "",
    second_order: bool = True,
    forward: Callable[..., np.ndarray] | None = None,
    **attributes: Any,
) -> Case:
    channels = w[1] * attributes.get("group", 1)
    inputs = [rand(*x, seed=1), rand(*w, seed=2), *([rand(channels, seed=3)] if bias else [])]
    return Case("ConvTranspose", inputs, attributes, reason=reason, static=(1,), second_order=second_order, forward=forward)


CASES = [
    _conv((2, 3, 5, 4), (2, 3, 3, 2), bias=True),
    _conv((2, 2, 5, 5), (3, 2, 3, 3), pads=[1, 1, 1, 1], strides=[2, 2], bias=True),
    _conv((2, 2, 6, 7), (3, 2, 3, 3), strides=[2, 3], reason="rows that no window reads"),
    _conv((2, 2, 6, 7), (2, 2, 2, 3), pads=[1, 0, 2, 1], dilations=[2, 1], reason="asymmetric"),
    _conv((1, 2, 7, 7), (2, 2, 3, 3), pads=[2, 1, 0, 2], strides=[2, 2], dilations=[2, 1]),
    _conv((2, 3, 4, 4), (4, 3, 1, 1), bias=True, reason="pointwise"),
    _conv((2, 3, 5, 4), (4, 3, 1, 1), strides=[2, 2]),
    _conv((2, 9, 4, 5), (2, 9, 3, 3), pads=[1, 1, 1, 1], reason="gather", second_order=False),
    _conv((2, 5, 6, 5), (3, 5, 3, 2), strides=[2, 1], dilations=[1, 2], reason="gather"),
    _conv((2, 5, 5, 6), (2, 5, 3, 2), pads=[1, 1, 1, 0], reason="separable-shifts"),
    _conv((2, 2, 9, 9), (2, 2, 7, 7), pads=[3, 3, 3, 3], reason="large-kernel"),
    _conv((2, 4, 5, 5), (6, 2, 3, 3), group=2, pads=[1, 1, 1, 1], bias=True),
    _conv((2, 4, 6, 6), (4, 2, 2, 3), group=2, strides=[2, 2], dilations=[2, 1], pads=[0, 1, 1, 0]),
    _conv((2, 3, 5, 5), (3, 1, 3, 3), group=3, pads=[1, 1, 1, 1], bias=True, reason="depthwise"),
    _conv((2, 3, 6, 6), (3, 1, 3, 2), group=3, strides=[2, 1], dilations=[1, 2], pads=[1, 0, 0, 1], reason="depthwise"),
    _conv((2, 2, 5, 5), (4, 1, 3, 3), group=2, pads=[1, 1, 1, 1], reason="depth-multiplier"),
    _conv((2, 2, 5, 6), (3, 2, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
    _conv((2, 2, 6, 5), (3, 2, 2, 4), auto_pad="SAME_LOWER"),
    _conv((2, 2, 6, 7), (3, 2, 3, 2), auto_pad="SAME_LOWER", strides=[2, 3]),
    _conv((2, 2, 6, 5), (3, 2, 2, 4), auto_pad="VALID", strides=[2, 1]),
    _conv((2, 3, 8), (2, 3, 3), pads=[1, 2], strides=[2], bias=True),
    _conv((2, 6, 7), (4, 3, 2), group=2, dilations=[3]),
    _conv((1, 2, 4, 5, 4), (3, 2, 2, 3, 2), pads=[1, 0, 1, 0, 1, 0], strides=[1, 2, 2], bias=True),
    _conv((1, 5, 4, 4, 4), (2, 5, 2, 2, 3), dilations=[1, 2, 1], second_order=False),
    _conv((1, 4, 4, 4, 3), (4, 2, 2, 3, 2), group=2, pads=[0, 1, 1, 0, 1, 0], second_order=False),
    _transposed((2, 3, 4, 3), (3, 2, 3, 2), bias=True),
    _transposed((2, 2, 3, 3), (2, 3, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1], bias=True),
    _transposed((2, 2, 3, 4), (2, 3, 2, 3), strides=[2, 3], dilations=[2, 1], pads=[0, 1, 1, 0]),
    _transposed((2, 2, 3, 3), (2, 2, 3, 3), strides=[3, 2], output_shape=[10, 8]),
    _transposed((2, 2, 3, 3), (2, 2, 3, 3), strides=[3, 2], output_shape=[8, 6], auto_pad="SAME_UPPER"),
    _transposed((2, 2, 3, 4), (2, 2, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER"),
    _transposed((2, 2, 3, 4), (2, 2, 4, 3), strides=[2, 2], auto_pad="SAME_LOWER"),
    _transposed((2, 2, 3, 4), (2, 2, 2, 3), strides=[1, 2], auto_pad="VALID"),
    _transposed((2, 4, 3, 3), (4, 2, 3, 3), group=2, strides=[2, 2], pads=[1, 0, 0, 1], bias=True, forward=conv_transpose),
    _transposed((2, 3, 3, 3), (3, 1, 3, 3), group=3, strides=[2, 2], reason="depthwise"),
    _transposed((2, 3, 5), (3, 2, 3), strides=[2], pads=[1, 0]),
    _transposed((1, 2, 3, 2, 3), (2, 2, 2, 3, 2), strides=[2, 1, 1], pads=[1, 0, 0, 0, 1, 0], second_order=False),
]
