"""Initializers: how a parameter gets its first value, written as graph, so that an init model can be exported.

Each is a class with Keras's name and arguments; an object is a function ``(shape, dtype, key) -> Tensor``. A ``seed`` of
its own makes an initializer draw the same numbers always.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onnxdl.config import Configurable
from onnxdl.errors import GraphError
from onnxdl.graph import op, random
from onnxdl.graph.dtypes import DTypeLike, to_numpy
from onnxdl.graph.tensor import Tensor, as_tensor
from onnxdl.names import resolve

Shape = tuple[int, ...]


class Initializer(Configurable):
    """A function ``(shape, dtype, key) -> Tensor``; write your own by ``__call__``, or give any such function."""

    def __call__(self, shape: Shape, dtype: DTypeLike, key: Tensor) -> Tensor:
        raise GraphError(f"{type(self).__name__} does not define __call__(self, shape, dtype, key)")


class Seeded(Initializer):
    """An initializer that draws random numbers; with a ``seed`` of its own, the same ones always."""

    seed: int | None = None

    def __call__(self, shape: Shape, dtype: DTypeLike, key: Tensor) -> Tensor:
        return self.draw(shape, key if self.seed is None else random.make_key(self.seed)).astype(dtype)

    def draw(self, shape: Shape, key: Tensor) -> Tensor:
        """The numbers, float32."""
        raise GraphError(f"{type(self).__name__} does not define draw(self, shape, key)")


class Constant(Initializer):
    """Every element is ``value``."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: DTypeLike, key: Tensor) -> Tensor:
        return op.Expand(as_tensor(np.asarray(self.value, to_numpy(dtype))), np.array(shape, np.int64))


class Zeros(Constant):
    """Every element is 0."""

    def __init__(self) -> None:
        super().__init__(0.0)


class Ones(Constant):
    """Every element is 1."""

    def __init__(self) -> None:
        super().__init__(1.0)


class Identity(Initializer):
    """``gain`` on the diagonal of a matrix, 0 elsewhere."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: DTypeLike, key: Tensor) -> Tensor:
        if len(shape) != 2:
            raise GraphError(f"the Identity initializer makes matrices, not shape {shape}")
        rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
        return op.Cast(op.Equal(rows, columns), to=dtype) * self.gain


class RandomUniform(Seeded):
    """Uniform on [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def draw(self, shape: Shape, key: Tensor) -> Tensor:
        return random.uniform(shape, self.minval, self.maxval, key=key)


class RandomNormal(Seeded):
    """Normal with a mean and a standard deviation."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def draw(self, shape: Shape, key: Tensor) -> Tensor:
        return random.normal(shape, self.mean, self.stddev, key=key)


class TruncatedNormal(RandomNormal):
    """Normal, cut off at two standard deviations."""

    def draw(self, shape: Shape, key: Tensor) -> Tensor:
        return random.truncated_normal(shape, self.mean, self.stddev, key=key)


class VarianceScaling(Seeded):
    """Variance ``scale / n``, where n is the fan-in, the fan-out or their mean.

    Args:
        scale: a positive factor.
        mode: ``fan_in``, ``fan_out`` or ``fan_avg``.
        distribution: ``truncated_normal``, ``untruncated_normal`` or ``uniform``.

    Source: Glorot and Bengio 2010; He et al. 2015.
    """

    def __init__(self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal", seed: int | None = None) -> None:
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise GraphError(f"mode is 'fan_in', 'fan_out' or 'fan_avg', not {mode!r}")
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise GraphError(f"distribution is 'truncated_normal', 'untruncated_normal' or 'uniform', not {distribution!r}")
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution, seed

    def draw(self, shape: Shape, key: Tensor) -> Tensor:
        fan_in, fan_out = fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return random.uniform(shape, -limit, limit, key=key)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, stddev=math.sqrt(variance), key=key)
        # dividing by the standard deviation of a unit normal cut off at two keeps the variance as asked
        return random.truncated_normal(shape, stddev=math.sqrt(variance) / 0.87962566103423978, key=key)


def fans(shape: Shape) -> tuple[float, float]:
    """Fan-in and fan-out of a weight of Keras's layout (..., in, out)."""
    if len(shape) < 1:
        return 1.0, 1.0
    if len(shape) == 1:
        return float(shape[0]), float(shape[0])
    receptive = math.prod(shape[:-2])
    return float(shape[-2] * receptive), float(shape[-1] * receptive)


class GlorotUniform(VarianceScaling):
    """Uniform with variance 2 / (fan_in + fan_out)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


class GlorotNormal(VarianceScaling):
    """Truncated normal with variance 2 / (fan_in + fan_out)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


class HeUniform(VarianceScaling):
    """Uniform with variance 2 / fan_in."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


class HeNormal(VarianceScaling):
    """Truncated normal with variance 2 / fan_in."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


class LecunUniform(VarianceScaling):
    """Uniform with variance 1 / fan_in."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "uniform", seed)


class LecunNormal(VarianceScaling):
    """Truncated normal with variance 1 / fan_in."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", seed)


class Orthogonal(Seeded):
    """A random matrix of orthonormal rows or columns, whichever are fewer, times ``gain``; axes before the last are one.

    The rows of a normal matrix by Gram and Schmidt's process, each made orthogonal twice, since once is not enough in
    float32 (Giraud et al. 2005). Source: Saxe et al. 2014.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain, self.seed = gain, seed

    def draw(self, shape: Shape, key: Tensor) -> Tensor:
        if len(shape) < 2:
            raise GraphError(f"the Orthogonal initializer needs two axes at least, not shape {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        n, m = min(rows, columns), max(rows, columns)

        def orthogonal_row(found: Tensor, row: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
            for _ in range(2):
                row = row - (found @ row) @ found
            row = row / op.Sqrt(op.ReduceSum(row * row))
            return found + op.Unsqueeze(place, [1]) * row, row

        start = op.Expand(np.float32(0), [n, m])
        places = op.Cast(op.Equal(np.arange(n)[:, None], np.arange(n)), to="float32")
        _, matrix = op.Scan(start, random.normal((n, m), key=key), places, body=orthogonal_row, num_scan_inputs=2)
        return op.Reshape(matrix if rows <= columns else matrix.T, shape) * self.gain


class STFT(Initializer):
    """The kernel (window, 1, frequencies) of a short-time Fourier transform as a convolution over time, in Keras's layout.

    Args:
        side: ``real`` or ``imag``.
        window: ``hann``, ``hamming``, ``blackman``, the numbers themselves, or None for none.
        scaling: by what the window is divided: ``density`` its norm, ``spectrum`` its sum, None nothing.
        periodic: whether the window is one period, or symmetric.
    """

    def __init__(self, side: str = "real", window: Any = "hann", scaling: str | None = "density", periodic: bool = False) -> None:
        if side not in ("real", "imag") or scaling not in ("density", "spectrum", None):
            raise GraphError(f"side is 'real' or 'imag' and scaling 'density', 'spectrum' or None, not {side!r} and {scaling!r}")
        if isinstance(window, str) and window not in _WINDOWS:
            raise GraphError(f"window is one of {', '.join(_WINDOWS)}, not {window!r}")
        self.side, self.window, self.scaling, self.periodic = side, window, scaling, periodic

    def __call__(self, shape: Shape, dtype: DTypeLike, key: Tensor) -> Tensor:
        length, _, frequencies = shape
        angle = -np.pi * np.arange(length)[:, None, None] * np.arange(frequencies) / (frequencies - 1)
        kernel = np.cos(angle) if self.side == "real" else np.sin(angle)
        if self.window is not None:
            window = self.window
            if isinstance(window, str):
                window = _WINDOWS[window](length + self.periodic)[:length]
            window = np.asarray(window, np.float64).reshape(length, 1, 1)
            scale = {"density": np.sqrt(np.square(window).sum()), "spectrum": np.abs(window).sum(), None: 1.0}[self.scaling]
            kernel = kernel * window / scale
        return as_tensor(kernel.astype(to_numpy(dtype)))


_WINDOWS: dict[str, Any] = {"hann": np.hanning, "hamming": np.hamming, "blackman": np.blackman}


def get(initializer: Any) -> Any:
    """An initializer by Keras's name, or the object given."""
    return resolve("initializer", initializer, _NAMES)


OrthogonalInitializer, IdentityInitializer, STFTInitializer = Orthogonal, Identity, STFT

_NAMES: dict[str, Any] = {
    "constant": Constant,
    "zeros": Zeros,
    "ones": Ones,
    "identity": Identity,
    "random_uniform": RandomUniform,
    "uniform": RandomUniform,
    "random_normal": RandomNormal,
    "normal": RandomNormal,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "orthogonal": Orthogonal,
    "orthogonal_initializer": Orthogonal,
    "identity_initializer": Identity,
    "stft": STFT,
    "STFT": STFT,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
}
