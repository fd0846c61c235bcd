"""Resize, sampling and regions of interest."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from tests.autodiff.cases import Case, apart, rand
from tests.autodiff.references import max_roi_pool, windows


def _scaled(shape: tuple[int, ...], *scales: float, **attributes: Any) -> Case:
    factors = np.array(scales, np.float32)
    return Case("Resize", [rand(*shape)], call=lambda x: op.Resize(x, None, factors, **attributes), reason=_spelled(scales, attributes))


def _sized(shape: tuple[int, ...], *sizes: int, **attributes: Any) -> Case:
    wanted = np.array(sizes)
    call = lambda x: op.Resize(x, None, None, wanted, **attributes)  # noqa: E731
    return Case("Resize", [rand(*shape)], call=call, reason=_spelled(sizes, attributes))


def _spelled(numbers: tuple[float, ...], attributes: dict[str, Any]) -> str:
    return ",".join([*map(str, numbers), *(f"{k}={v}" for k, v in attributes.items())])


def _cropped(x: Tensor, sizes: Tensor) -> Tensor:
    roi = op.Cast(np.array([0, 0, 0.2, 0.1, 1, 1, 0.9, 1.2], np.float32), to=x.dtype)
    return op.Resize(x, roi, None, sizes, mode="linear", coordinate_transformation_mode="tf_crop_and_resize")


def _deformed(batch: int, channels: int, **attributes: Any) -> Case:
    groups, offsets = attributes.get("group", 1), attributes.get("offset_group", 1)
    x, w = rand(batch, channels, 5, 5, seed=1), rand(4, channels // groups, 3, 2, seed=2)
    outs = windows(x, (3, 2), *(attributes.get(k, d) for k, d in (("strides", [1, 1]), ("dilations", [1, 1]), ("pads", [0] * 4)))).shape[
        2:4
    ]
    offset, mask = rand(batch, offsets * 12, *outs, low=0.1, high=0.9, seed=3), rand(batch, offsets * 6, *outs, seed=4)
    return Case("DeformConv", [x, w, offset, rand(4, seed=5), mask], attributes, static=(1,))


def _aligned(**attributes: Any) -> Case:
    rois = np.array([[0.3, 0.4, 3.1, 4.2], [1.2, 0.1, 5.7, 2.9], [2.1, 2.2, 2.6, 2.9]])
    inputs = [rand(2, 2, 6, 7), np.array([0, 1, 1])]
    return Case(
        "RoiAlign",
        inputs,
        call=lambda x, batch: op.RoiAlign(x, op.Cast(rois, to=x.dtype), batch, output_height=2, output_width=3, **attributes),
        reason=_spelled((), attributes),
    )


_ROIS = np.array([[0, 0, 0, 3, 4], [1, 1.2, 2, 6, 4], [0, 3, 1, 3, 2], [1, 2, 2, 4, 5]])


def _roi_pooled(x: Tensor) -> Tensor:
    return op.MaxRoiPool(x, op.Cast(_ROIS, to=x.dtype), pooled_shape=[2, 2])


CASES = [
    _scaled((1, 2, 3, 4), 1, 1, 2, 3),
    _scaled((1, 2, 3, 4), 1, 1, 2, 2, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    _scaled((1, 2, 4, 5), 1, 1, 0.6, 1.7, nearest_mode="ceil"),
    _scaled((1, 2, 3, 4), 1, 1, 2, 1.5, mode="linear"),
    _scaled((1, 2, 6, 5), 1, 1, 0.5, 0.7, mode="linear", antialias=1),
    _scaled((1, 1, 4, 4), 1, 1, 1.5, 0.8, mode="cubic"),
    _scaled((1, 1, 4, 4), 1, 1, 0.6, 2, mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5),
    _scaled((1, 2, 3), 1, 1, 2, mode="linear", coordinate_transformation_mode="align_corners"),
    _sized((1, 2, 3, 4), 1, 2, 5, 7, mode="linear", coordinate_transformation_mode="pytorch_half_pixel"),
    _sized((1, 1, 4, 4), 1, 1, 3, 9, mode="cubic", coordinate_transformation_mode="align_corners"),
    _sized((1, 2, 4, 3), 6, 5, axes=[2, 3], mode="linear"),
    _sized((1, 2, 4, 3), 8, 5, axes=[2, 3], keep_aspect_ratio_policy="not_larger"),
    _sized((1, 2, 4, 3), 8, 5, axes=[2, 3], keep_aspect_ratio_policy="not_smaller", mode="linear"),
    Case("Resize", [rand(1, 1, 4, 4), np.array([1, 1, 3, 5])], call=_cropped, reason="tf_crop_and_resize"),
    Case("Col2Im", [rand(1, 8, 6), np.array([3, 4]), np.array([2, 2])]),
    Case("Col2Im", [rand(2, 6, 12), np.array([5, 5]), np.array([1, 3])], {"strides": [2, 1], "pads": [0, 1, 1, 0]}),
    Case("CenterCropPad", [rand(5, 4, 3), np.array([3, 7, 3])]),
    Case("CenterCropPad", [rand(5, 4, 3), np.array([4, 6])], {"axes": [2, 0]}),
    *(
        Case("GridSample", [rand(2, 2, 4, 5), 1.4 * rand(2, 3, 2, 2)], {"mode": mode, "padding_mode": padding, "align_corners": corners})
        for mode in ("linear", "nearest", "cubic")
        for padding in ("zeros", "border", "reflection")
        for corners in (0, 1)
    ),
    Case("GridSample", [rand(1, 2, 3, 4, 3), 1.2 * rand(1, 2, 3, 2, 3)]),
    Case("GridSample", [rand(1, 1, 3, 4, 3), 1.2 * rand(1, 2, 3, 2, 3)], {"padding_mode": "reflection", "align_corners": 1}),
    Case("AffineGrid", [rand(2, 2, 3), np.array([2, 3, 4, 5])], static=(0,)),
    Case("AffineGrid", [rand(1, 3, 4), np.array([1, 2, 2, 3, 4])], {"align_corners": 1}, static=(0,)),
    _deformed(2, 2),
    _deformed(2, 4, group=2, offset_group=2, pads=[1, 0, 1, 1], strides=[2, 1], dilations=[1, 2]),
    _aligned(mode="avg", sampling_ratio=2),
    _aligned(mode="avg", coordinate_transformation_mode="output_half_pixel", spatial_scale=0.5),
    _aligned(mode="max", sampling_ratio=2),
    _aligned(mode="max"),
    Case("MaxRoiPool", [apart(2, 2, 6, 7)], call=_roi_pooled, forward=lambda x: max_roi_pool(x, _ROIS, (2, 2))),
]
