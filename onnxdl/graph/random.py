"""Random numbers as plain arithmetic: a counter-based generator of operators that every provider runs and wraps alike.

Each element's counter is hashed with a key made of the seed, the step and the place in the program, so a run resumed
from its State draws the very numbers that it would have drawn (Salmon et al., Parallel Random Numbers: As Easy as 1, 2,
3, 2011). The round function is x(2x+1) mod 2^32, RC6's, which is a bijection of 32-bit words, and a rotation by 16. Seed and
step count with their lowest 32 bits: a run draws the same numbers again after 2^32 steps.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, TensorLike, as_tensor, tensor
from onnxdl.graph.trace import current_trace, scope_path

_ROUNDS = 3
_default_seed = 0
_dynamic_steps = itertools.count()


def set_seed(seed: int) -> None:
    """Sets the seed that new models start from and dynamic random numbers use: a whole number of 32 bits.

    Raises:
        GraphError: it is negative or larger.
    """
    global _default_seed, _dynamic_steps
    if not 0 <= seed < 2**32:
        raise GraphError(f"a seed is a whole number from 0 to {2**32 - 1}, not {seed}")
    _default_seed = int(seed)
    _dynamic_steps = itertools.count()


def default_seed() -> int:
    """The seed that ``set_seed`` set last, 0 at first."""
    return _default_seed


def uniform(shape: Sequence[int] | Tensor | np.ndarray, low: float = 0.0, high: float = 1.0, *, key: Tensor | None = None) -> Tensor:
    """Numbers of the uniform distribution on [low, high), float32.

    Args:
        shape: the shape: numbers, or an int64 vector computed at run time.
        key: a uint32 scalar that decides the numbers; by default one of this place in the program, the seed and the step.
    """
    bits = _bits(shape, place_key() if key is None else key)
    unit = op.Cast(op.Div(bits, np.uint32(256)), to="float32") * 2.0**-24
    return unit if (low, high) == (0.0, 1.0) else unit * (high - low) + low


def normal(shape: Sequence[int] | Tensor | np.ndarray, mean: float = 0.0, stddev: float = 1.0, *, key: Tensor | None = None) -> Tensor:
    """Numbers of the normal distribution, float32, by Box and Muller's transform."""
    key = place_key() if key is None else key
    radius = op.Sqrt(-2.0 * op.Log(1.0 - uniform(shape, key=fold(key, 1))))
    return radius * op.Cos(uniform(shape, key=fold(key, 2)) * (2 * math.pi)) * stddev + mean


def truncated_normal(shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, *, key: Tensor | None = None) -> Tensor:
    """Numbers of the normal distribution cut off at two standard deviations, float32, by its inverse."""
    bound = math.erf(math.sqrt(2.0))
    return _erfinv(uniform(shape, -bound, bound, key=key)) * (math.sqrt(2.0) * stddev) + mean


def bernoulli(shape: Sequence[int] | Tensor | np.ndarray, probability: float, *, key: Tensor | None = None) -> Tensor:
    """True with the given probability, else False."""
    return op.Less(_bits(shape, place_key() if key is None else key), np.uint32(min(round(probability * 2**32), 2**32 - 1)))


def fold(key: Tensor, *parts: TensorLike) -> Tensor:
    """A new key from a key and whole numbers."""
    for part in parts:
        word = np.uint32(part & 0xFFFFFFFF) if isinstance(part, int) else op.Cast(part, to="uint32")
        key = _hash(key + word, np.uint32(0x9E3779B9))
    return key


def make_key(seed: TensorLike, *parts: TensorLike) -> Tensor:
    """The key of a seed and further whole numbers, such as a step and a place."""
    return fold(as_tensor(np.uint32(0x243F6A88)), as_tensor(seed), *parts)


def place(name: str) -> int:
    """A 32-bit number for a place in the program."""
    return zlib.crc32(name.encode())


def place_key() -> Tensor:
    """The key of this place in the program, the seed and the step; of a new step at each call in dynamic mode."""
    trace = current_trace()
    if trace is None:
        return make_key(tensor(np.int64(_default_seed)), next(_dynamic_steps))
    site = place(trace.unique(f"{scope_path()}/random"))
    if trace.root.random_key is None:
        return make_key(_default_seed, site)
    seed, step = trace.root.random_key()
    return make_key(seed, step, site)


def _bits(shape: Any, key: Tensor) -> Tensor:
    if isinstance(shape, Tensor):
        count: TensorLike = op.Cast(op.ReduceProd(shape, keepdims=0), to="int32")
    else:
        shape = np.asarray(shape, np.int64).reshape(-1)
        count = np.int32(math.prod(int(d) for d in shape))
    counters = op.Cast(op.Range(np.int32(0), count, np.int32(1)), to="uint32")
    return op.Reshape(_hash(counters + key, key), shape)


def _hash(x: Tensor, key: TensorLike) -> Tensor:
    for _ in range(_ROUNDS):
        x = x * (x + x + np.uint32(1))
        x = op.Div(x, np.uint32(65536)) + x * np.uint32(65536) + key
    return x


def _erfinv(x: Tensor) -> Tensor:
    """The inverse error function for |x| < 0.99 (Giles, Approximating the erfinv function, 2010, central branch)."""
    w = -op.Log((1.0 - x) * (1.0 + x)) - 2.5
    result: TensorLike = 2.81022636e-08
    for c in (3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727, 1.50140941):
        result = w * result + c
    return as_tensor(result) * x
