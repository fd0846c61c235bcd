"""Preprocessing of images (batch, channels, height, width): Resizing, CenterCrop, and random changes while training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op, random
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.convolution import channels_back, channels_first
from onnxdl.nn.data_format import format_of
from onnxdl.nn.layer import Layer
from onnxdl.nn.regularization import key_of

Factor = float | Sequence[float]


class ImageLayer(Layer):
    """What the layers of images share: they see float images, channels first, whatever ``data_format``."""

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = format_of(data_format)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        x = channels_first(x if x.dtype.kind == "f" else op.Cast(x, to="float32"), self.data_format)
        return channels_back(self.changed(x, training), self.data_format)

    def changed(self, x: Tensor, training: bool) -> Tensor:
        """The images changed."""
        raise GraphError(f"{type(self).__name__} does not define changed(self, x, training)")


def size_of(x: Tensor) -> tuple[int, int]:
    """Height and width, which must be known."""
    height, width = x.shape[2:]
    if not isinstance(height, int) or not isinstance(width, int):
        raise ShapeError(f"the height and width of images must be known here, not {x.shape}")
    return height, width


class Resizing(ImageLayer):
    """Images of any size brought to one size.

    Args:
        height, width: the new size.
        interpolation: ``bilinear``, ``nearest`` or ``bicubic``.
        crop_to_aspect_ratio: whether to cut, in place of stretching; pad_to_aspect_ratio: whether to pad with fill_value.
        antialias: whether to smooth before shrinking.
    """

    def __init__(
        self, height: int, width: int, interpolation: str = "bilinear", crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False, fill_value: float = 0.0, antialias: bool = False, fill_mode: str = "constant", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        if fill_mode != "constant":
            raise GraphError(f"fill_mode is 'constant', not {fill_mode!r}")
        if interpolation not in ("bilinear", "nearest", "bicubic"):
            raise GraphError(f"interpolation is 'bilinear', 'nearest' or 'bicubic', not {interpolation!r}")
        self.height, self.width, self.interpolation, self.antialias = height, width, interpolation, antialias
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio, self.fill_value = crop_to_aspect_ratio, pad_to_aspect_ratio, fill_value

    def changed(self, x: Tensor, training: bool) -> Tensor:
        if self.crop_to_aspect_ratio:
            x = cropped_to_aspect(x, self.height, self.width)
        elif self.pad_to_aspect_ratio:
            h, w = size_of(x)
            tall, wide = max(h, w * self.height // self.width), max(w, h * self.width // self.height)
            top, left = (tall - h) // 2, (wide - w) // 2
            x = op.Pad(x, [0, 0, top, left, 0, 0, tall - h - top, wide - w - left], self.fill_value)
        return resized(x, self.height, self.width, self.interpolation, self.antialias)


def resized(x: Tensor, height: int, width: int, interpolation: str = "bilinear", antialias: bool = False) -> Tensor:
    """Images stretched to a size."""
    scales, sizes = None, None
    if all(isinstance(n, int) for n in x.shape[2:]):
        scales = np.array([1, 1, *(_scale(n, m) for n, m in zip(size_of(x), (height, width), strict=True))], np.float32)
    else:
        sizes = op.Concat(op.Shape(x, start=0, end=2), np.array([height, width], np.int64), axis=0)
    if interpolation == "nearest":
        return op.Resize(x, None, scales, sizes, mode="nearest", nearest_mode="round_prefer_ceil")
    if interpolation == "bilinear":
        return op.Resize(x, None, scales, sizes, mode="linear", antialias=int(antialias), exclude_outside=int(antialias))
    return op.Resize(x, None, scales, sizes, mode="cubic", antialias=int(antialias), cubic_coeff_a=-0.5, exclude_outside=1)


def _scale(n: int, m: int) -> np.float32:
    """The scale that makes ``n`` into ``m``, which is found as floor(n * scale), in float32 or in more."""
    scale = np.float32(m / n)
    return scale if n * float(scale) >= m else np.nextafter(scale, np.float32(np.inf))


def cropped_to_aspect(x: Tensor, height: int, width: int) -> Tensor:
    """The largest part in the middle whose sides are as ``height`` to ``width``."""
    h, w = size_of(x)
    tall, wide = max(min(h, w * height // width), 1), max(min(w, h * width // height), 1)
    top, left = (h - tall) // 2, (w - wide) // 2
    return x[:, :, top : top + tall, left : left + wide]


class CenterCrop(ImageLayer):
    """The middle of images; those that are too small are cut to the aspect and enlarged."""

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height, self.width = height, width

    def changed(self, x: Tensor, training: bool) -> Tensor:
        h, w = size_of(x)
        if h < self.height or w < self.width:
            return resized(cropped_to_aspect(x, self.height, self.width), self.height, self.width)
        top, left = (h - self.height) // 2, (w - self.width) // 2
        return x[:, :, top : top + self.height, left : left + self.width]


class RandomCrop(ImageLayer):
    """While training a part of the given size at a place drawn for the batch; else the images cut to the aspect and resized."""

    def __init__(self, height: int, width: int, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height, self.width, self.seed = height, width, seed

    def changed(self, x: Tensor, training: bool) -> Tensor:
        h, w = size_of(x)
        if not training or h < self.height or w < self.width:
            return resized(cropped_to_aspect(x, self.height, self.width), self.height, self.width)
        for axis, (size, kept) in enumerate(((h, self.height), (w, self.width)), 2):
            place = random.uniform([1], 0.0, float(size - kept + 1), key=key_of(self.seed))
            x = op.Gather(x, op.Cast(op.Floor(place), to="int64") + np.arange(kept), axis=axis)
        return x


class RandomFlip(ImageLayer):
    """While training each image is mirrored with probability one half.

    Args:
        mode: ``horizontal``, ``vertical`` or ``horizontal_and_vertical``.
    """

    def __init__(self, mode: str = "horizontal_and_vertical", seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if mode not in ("horizontal", "vertical", "horizontal_and_vertical"):
            raise GraphError(f"mode is 'horizontal', 'vertical' or 'horizontal_and_vertical', not {mode!r}")
        self.mode, self.seed = mode, seed

    def changed(self, x: Tensor, training: bool) -> Tensor:
        if not training:
            return x
        if "horizontal" in self.mode:
            x = op.Where(drawn(x, 0.0, 1.0, self.seed) < 0.5, x[:, :, :, ::-1], x)
        if "vertical" in self.mode:
            x = op.Where(drawn(x, 0.0, 1.0, self.seed) < 0.5, x[:, :, ::-1], x)
        return x


def drawn(x: Tensor, low: float, high: float, seed: int | None) -> Tensor:
    """A uniform number for each image, (batch, 1, 1, 1)."""
    ones = [1, 1, 1]
    batch = x.shape[0]
    shape: Any = [batch, *ones] if isinstance(batch, int) else op.Concat(op.Shape(x, start=0, end=1), ones, axis=0)
    return random.uniform(shape, low, high, key=key_of(seed)).astype(x.dtype)


class RandomAffine(ImageLayer):
    """What the random movements share: output places are mapped to places of the image, which are interpolated.

    Args:
        fill_mode: what lies outside the image: its mirror image (``reflect``), ``constant`` fill_value, or the ``nearest``.
        interpolation: ``bilinear`` or ``nearest``.
    """

    def __init__(
        self, fill_mode: str = "reflect", interpolation: str = "bilinear", seed: int | None = None, fill_value: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if fill_mode not in ("reflect", "constant", "nearest") or interpolation not in ("bilinear", "nearest"):
            raise GraphError(
                f"fill_mode is 'reflect', 'constant' or 'nearest' and interpolation 'bilinear' or 'nearest', "
                f"not {fill_mode!r} and {interpolation!r}"
            )
        self.fill_mode, self.interpolation, self.seed, self.fill_value = fill_mode, interpolation, seed, fill_value

    def places(self, draw: Callable[[float, float], Tensor], x: Any, y: Any, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Where (x, y) of the output, counted from -1 to 1 between the outer edges, lies in the image, counted alike."""
        raise GraphError(f"{type(self).__name__} does not define places(self, draw, x, y, height, width)")

    def changed(self, x: Tensor, training: bool) -> Tensor:
        if not training:
            return x
        height, width = size_of(x)
        across = ((2 * np.arange(width) + 1) / width - 1).astype(x.dtype)
        down = ((2 * np.arange(height) + 1) / height - 1).astype(x.dtype)[:, None]
        px, py = self.places(lambda low, high: op.Squeeze(drawn(x, low, high, self.seed), [3]), across, down, height, width)
        whole = np.zeros((height, width), x.dtype)
        grid = op.Concat(op.Unsqueeze(px + whole, [3]), op.Unsqueeze(py + whole, [3]), axis=3)
        padding = {"reflect": "reflection", "constant": "zeros", "nearest": "border"}[self.fill_mode]
        mode = "linear" if self.interpolation == "bilinear" else "nearest"
        return op.GridSample(x - self.fill_value, grid, mode=mode, padding_mode=padding, align_corners=0) + self.fill_value


class RandomRotation(RandomAffine):
    """While training each image is turned counter-clockwise by 2 pi times a number drawn between ``factor`` (or -factor and factor)."""

    def __init__(self, factor: Factor, fill_mode: str = "reflect", interpolation: str = "bilinear", **kwargs: Any) -> None:
        super().__init__(fill_mode, interpolation, **kwargs)
        self.factor = between(factor)

    def places(self, draw: Callable[[float, float], Tensor], x: Any, y: Any, height: int, width: int) -> tuple[Tensor, Tensor]:
        angle = draw(*self.factor) * (2 * math.pi)
        cos, sin = op.Cos(angle), op.Sin(angle)
        return cos * x - sin * (y * height / width), sin * (x * width / height) + cos * y


class RandomTranslation(RandomAffine):
    """While training each image is moved, down and to the right by drawn fractions of its height and width."""

    def __init__(
        self, height_factor: Factor, width_factor: Factor, fill_mode: str = "reflect", interpolation: str = "bilinear", **kwargs: Any
    ) -> None:
        super().__init__(fill_mode, interpolation, **kwargs)
        self.height_factor, self.width_factor = between(height_factor), between(width_factor)

    def places(self, draw: Callable[[float, float], Tensor], x: Any, y: Any, height: int, width: int) -> tuple[Tensor, Tensor]:
        return x - draw(*self.width_factor) * 2.0, y - draw(*self.height_factor) * 2.0


class RandomZoom(RandomAffine):
    """While training each image is made smaller by 1 + a drawn number, larger where that is negative; both ways alike by default."""

    def __init__(
        self, height_factor: Factor, width_factor: Factor | None = None, fill_mode: str = "reflect", interpolation: str = "bilinear",
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(fill_mode, interpolation, **kwargs)
        self.height_factor, self.width_factor = between(height_factor), None if width_factor is None else between(width_factor)

    def places(self, draw: Callable[[float, float], Tensor], x: Any, y: Any, height: int, width: int) -> tuple[Tensor, Tensor]:
        down = draw(*self.height_factor) + 1.0
        across = down if self.width_factor is None else draw(*self.width_factor) + 1.0
        return across * x, down * y


class RandomBrightness(ImageLayer):
    """While training a number drawn between ``factor``, times the range of values, is added to each image."""

    def __init__(self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor, self.value_range, self.seed = between(factor), tuple(value_range), seed

    def changed(self, x: Tensor, training: bool) -> Tensor:
        low, high = self.value_range
        return op.Clip(x + drawn(x, *self.factor, self.seed) * (high - low), low, high) if training else x


class RandomContrast(ImageLayer):
    """While training each image's distance from its channels' means is multiplied by a number of [1 - lower, 1 + upper)."""

    def __init__(self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = (factor, factor) if isinstance(factor, int | float) else tuple(factor)
        self.value_range, self.seed = tuple(value_range), seed

    def changed(self, x: Tensor, training: bool) -> Tensor:
        if not training:
            return x
        mean = op.ReduceMean(x, [2, 3])
        lower, upper = self.factor
        return op.Clip((x - mean) * drawn(x, 1.0 - lower, 1.0 + upper, self.seed) + mean, *self.value_range)


def between(factor: Factor) -> tuple[float, float]:
    """The two ends that a factor stands for: itself and its negative, or a pair."""
    if isinstance(factor, int | float):
        return -abs(factor), abs(factor)
    low, high = sorted(factor)
    return low, high
