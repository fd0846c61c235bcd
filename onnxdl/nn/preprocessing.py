"""Preprocessing of numbers and categories: Rescaling, Normalization, Discretization, CategoryEncoding, IntegerLookup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.layer import Layer

_OUTPUT_MODES = ("int", "one_hot", "multi_hot", "count")


class Rescaling(Layer):
    """x * scale + offset."""

    supports_masking = True

    def __init__(self, scale: float | Sequence[float], offset: float | Sequence[float] = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset

    def call(self, x: Tensor) -> Tensor:
        x = x if x.dtype.kind == "f" else op.Cast(x, to="float32")
        return x * np.asarray(self.scale, x.dtype) + np.asarray(self.offset, x.dtype)


class Normalization(Layer):
    """(x - mean) / sqrt(variance), which are given, or found in data by ``adapt``; ``invert`` leads back.

    Args:
        axis: the axis, or axes, that keep a mean and a variance for each index; None for one of all.
        mean, variance: the numbers, of the kept axes' shape.
        invert: whether to compute x * sqrt(variance) + mean instead.
    """

    supports_masking = True

    def __init__(
        self, axis: int | Sequence[int] | None = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise GraphError("Normalization takes mean and variance together, or neither")
        self.axis, self.invert = [] if axis is None else [axis] if isinstance(axis, int) else list(axis), invert
        self.given = None if mean is None else (np.asarray(mean), np.asarray(variance))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        kept = sorted(a % len(input_shape) for a in self.axis)
        shape = [input_shape[a] for a in kept]
        if None in shape:
            raise ShapeError(f"Normalization needs known sizes on axes {kept} of {input_shape}")
        mean, variance = self.given or (0.0, 1.0)
        for name, value in (("mean", mean), ("variance", variance)):
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer="zeros", trainable=False))  # type: ignore[arg-type]
            self._parameters[name].value = np.broadcast_to(value, shape)  # type: ignore[arg-type]
        self._broadcast = [d if i in kept else 1 for i, d in enumerate(input_shape)]

    def adapt(self, data: Any) -> None:
        """Takes mean and variance from an array, or from an iterable of batches."""
        batches = [data] if isinstance(data, np.ndarray) else [np.asarray(b) for b in data]
        if not self.built:
            self.build((None, *batches[0].shape[1:]))
            self.built = True
        reduced = tuple(i for i, d in enumerate(self._broadcast) if d == 1 and i not in [a % batches[0].ndim for a in self.axis])
        counts = np.array([np.prod([b.shape[i] for i in reduced]) for b in batches], np.float64)
        means = np.stack([b.mean(axis=reduced, dtype=np.float64) for b in batches])
        squares = np.stack([np.square(b, dtype=np.float64).mean(axis=reduced) for b in batches])
        mean = np.tensordot(counts / counts.sum(), means, axes=1)
        self._parameters["mean"].value = mean
        self._parameters["variance"].value = np.tensordot(counts / counts.sum(), squares, axes=1) - mean**2

    def call(self, x: Tensor) -> Tensor:
        x = x if x.dtype.kind == "f" else op.Cast(x, to="float32")
        mean = op.Reshape(self._parameters["mean"], self._broadcast)
        deviation = op.Max(op.Sqrt(op.Reshape(self._parameters["variance"], self._broadcast)), 1e-7)
        return x * deviation + mean if self.invert else (x - mean) / deviation


class Discretization(Layer):
    """The number of the bin that each element falls into: how many of the boundaries are not above it.

    Args:
        bin_boundaries: the boundaries, rising; or None, and ``num_bins`` for ``adapt`` to find them.
        num_bins: into how many bins of equal count ``adapt`` splits its data.
        output_mode: ``int``, ``one_hot``, ``multi_hot`` or ``count``, as CategoryEncoding's.
    """

    def __init__(
        self, bin_boundaries: Sequence[float] | None = None, num_bins: int | None = None, output_mode: str = "int", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if (bin_boundaries is None) == (num_bins is None) or output_mode not in _OUTPUT_MODES:
            raise GraphError(f"Discretization takes either bin_boundaries or num_bins, and an output_mode of {_OUTPUT_MODES}")
        self.bin_boundaries = None if bin_boundaries is None else [float(b) for b in bin_boundaries]
        self.num_bins, self.output_mode = num_bins, output_mode

    def adapt(self, data: Any) -> None:
        """Sets the boundaries to the quantiles of an array, or of an iterable of batches."""
        if self.num_bins is None:
            raise GraphError("this Discretization was given its boundaries; give it num_bins to adapt")
        values = np.asarray(data) if isinstance(data, np.ndarray) else np.concatenate([np.ravel(b) for b in data])
        self.bin_boundaries = np.quantile(values, np.arange(1, self.num_bins) / self.num_bins).tolist()

    def call(self, x: Tensor) -> Tensor:
        if self.bin_boundaries is None:
            raise GraphError("Discretization has no boundaries yet; call adapt(data) first")
        above = op.GreaterOrEqual(op.Unsqueeze(x, [-1]), np.array(self.bin_boundaries, x.dtype))
        bins = op.ReduceSum(op.Cast(above, to="int64"), [-1], keepdims=0)
        return encoded(bins, len(self.bin_boundaries) + 1, self.output_mode)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **({} if self.num_bins is not None else {"bin_boundaries": self.bin_boundaries})}


class CategoryEncoding(Layer):
    """Numbers of categories as vectors of ``num_tokens`` elements, float32.

    Args:
        num_tokens: how many categories there are.
        output_mode: ``one_hot`` (a vector each), ``multi_hot`` (1 for each category of a sample) or ``count`` (how often).
    """

    def __init__(self, num_tokens: int, output_mode: str = "multi_hot", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if output_mode not in _OUTPUT_MODES[1:]:
            raise GraphError(f"output_mode is one of {_OUTPUT_MODES[1:]}, not {output_mode!r}")
        self.num_tokens, self.output_mode = num_tokens, output_mode

    def call(self, x: Tensor, count_weights: Tensor | None = None) -> Tensor:
        return encoded(x, self.num_tokens, self.output_mode, count_weights)


def encoded(x: Tensor, depth: int, output_mode: str, count_weights: Tensor | None = None) -> Tensor:
    """Whole numbers below ``depth`` as they are, or as vectors, after CategoryEncoding's modes."""
    if output_mode == "int":
        return x
    x = x if x.dtype.kind == "i" else op.Cast(x, to="int64")
    if output_mode == "one_hot" and x.ndim > 1 and x.shape[-1] == 1:
        x = op.Squeeze(x, [-1])
    hot = op.Cast(op.Equal(op.Unsqueeze(x, [-1]), np.arange(depth, dtype=x.dtype)), to="float32")
    if output_mode == "one_hot":
        return hot
    axis = 1 if x.ndim > 1 else 0
    if output_mode == "multi_hot":
        return op.ReduceMax(hot, [axis], keepdims=0)
    return op.ReduceSum(hot if count_weights is None else hot * op.Unsqueeze(count_weights, [-1]), [axis], keepdims=0)


class IntegerLookup(Layer):
    """Whole numbers by their place in a vocabulary, which is given, or found by ``adapt``.

    Places are: the mask token's, if there is one; ``num_oov_indices`` for numbers outside, by remainder; the vocabulary's.

    Args:
        max_tokens: the number of places at most, for ``adapt``.
        num_oov_indices: the places for numbers outside the vocabulary; with none those get the place -1.
        mask_token, oov_token: the numbers that stand for masked ones, and for those outside, in ``invert``.
        vocabulary: the numbers, in order.
        invert: whether to turn places into numbers.
        output_mode: ``int``, ``one_hot``, ``multi_hot`` or ``count``, as CategoryEncoding's.
    """

    def __init__(
        self, max_tokens: int | None = None, num_oov_indices: int = 1, mask_token: int | None = None, oov_token: int = -1,
        vocabulary: Sequence[int] | None = None, invert: bool = False, output_mode: str = "int", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        if output_mode not in _OUTPUT_MODES:
            raise GraphError(f"output_mode is one of {_OUTPUT_MODES}, not {output_mode!r}")
        self.max_tokens, self.num_oov_indices, self.mask_token, self.oov_token = max_tokens, num_oov_indices, mask_token, oov_token
        self.vocabulary = None if vocabulary is None else [int(v) for v in vocabulary]
        self.invert, self.output_mode = invert, output_mode

    def adapt(self, data: Any) -> None:
        """Takes the vocabulary from an array, or from an iterable of batches: the most frequent first, of equals the larger."""
        values = np.asarray(data) if isinstance(data, np.ndarray) else np.concatenate([np.ravel(b) for b in data])
        tokens, counts = np.unique(values, return_counts=True)
        known = [int(t) for t in tokens[np.lexsort((-tokens, -counts))] if t not in (self.mask_token, self.oov_token)]
        self.vocabulary = known[: self.max_tokens - self._first_place if self.max_tokens is not None else None]

    @property
    def _first_place(self) -> int:
        return self.num_oov_indices + (self.mask_token is not None)

    def vocabulary_size(self) -> int:
        """The number of places."""
        return self._first_place + len(self.get_vocabulary(include_special_tokens=False))

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[int]:
        """The number at each place."""
        if self.vocabulary is None:
            raise GraphError("IntegerLookup has no vocabulary yet; call adapt(data) first")
        special = [self.mask_token] if self.mask_token is not None else []
        return [*special, *[self.oov_token] * self.num_oov_indices, *self.vocabulary] if include_special_tokens else self.vocabulary

    def call(self, x: Tensor) -> Tensor:
        x = op.Cast(x, to="int64")
        if self.invert:
            return op.Gather(np.array(self.get_vocabulary(), np.int64), x)
        tokens = np.array(self.get_vocabulary(include_special_tokens=False), np.int64)
        places = np.argsort(tokens, kind="stable")
        at = _last_not_above(tokens[places], x)
        place = op.Gather(places + self._first_place, at)
        found = op.Equal(op.Gather(tokens[places], at), x)
        first = int(self.mask_token is not None)
        place = op.Where(found, place, x % self.num_oov_indices + first if self.num_oov_indices else -1)
        if self.mask_token is not None:
            place = op.Where(op.Equal(x, self.mask_token), 0, place)
        return encoded(place, self.vocabulary_size(), self.output_mode)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "vocabulary": self.vocabulary}


def _last_not_above(rising: np.ndarray, x: Tensor) -> Tensor:
    """The place of the last number of a rising array that is not above x, 0 where all are: a binary search."""
    at = x * 0
    for bit in reversed(range(max(len(rising) - 1, 0).bit_length())):
        ahead = op.Min(at + (1 << bit), len(rising) - 1)
        at = op.Where(op.LessOrEqual(op.Gather(rising, ahead), x), ahead, at)
    return at
