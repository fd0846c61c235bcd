"""Dropout and random numbers, of the seed, the step and the place in the program."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import Size, aten, cast, floating, size_of, sizes_of, vector
from onnxdl.graph import op, random
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.regularization import shape_of_noise


def dropped(x: Tensor, p: float, shape: Any = None) -> Tensor:
    """``x`` with a fraction ``p`` of its elements 0, the rest scaled by 1 / (1 - p)."""
    if p == 0:
        return x
    if p >= 1:
        return x * 0.0
    keep = random.bernoulli(shape_of_noise(x, None) if shape is None else shape, 1 - p)
    return x * (op.Cast(keep, to=x.dtype) * (1 / (1 - p)))


@aten("dropout")
def dropout(input: Tensor, p: float, train: bool, *, run: Any) -> Tensor:
    return dropped(input, p) if train and run.training else input


@aten("native_dropout")
def native_dropout(input: Tensor, p: float, train: bool | None, *, run: Any) -> tuple[Tensor, Tensor]:
    if train is False or not run.training or p == 0:
        return input, op.Expand(True, vector(sizes_of(input)))
    keep = random.bernoulli(shape_of_noise(input, None), 1 - p)
    return (input * (op.Cast(keep, to=input.dtype) * (1 / (1 - p))) if p < 1 else input * 0.0), keep


def _channels(x: Tensor) -> Any:
    return vector([size_of(x, 0), size_of(x, 1), *[1] * (x.ndim - 2)])


@aten("feature_dropout")
def feature_dropout(input: Tensor, p: float, train: bool, *, run: Any) -> Tensor:
    return dropped(input, p, _channels(input)) if train and run.training else input


@aten("alpha_dropout")
def alpha_dropout(input: Tensor, p: float, train: bool, *, run: Any) -> Tensor:
    return _alpha_dropped(input, p, shape_of_noise(input, None)) if train and run.training and p else input


@aten("feature_alpha_dropout")
def feature_alpha_dropout(input: Tensor, p: float, train: bool, *, run: Any) -> Tensor:
    return _alpha_dropped(input, p, _channels(input)) if train and run.training and p else input


def _alpha_dropped(x: Tensor, p: float, shape: Any) -> Tensor:
    low = -1.6732632423543772 * 1.0507009873554805  # what SELU tends to at minus infinity
    a = 1 / math.sqrt((1 - p) * (1 + p * low**2))
    return op.Where(random.bernoulli(shape, 1 - p), x, cast(low, x.dtype)) * a - a * low * p


@aten("bernoulli", "bernoulli.p", "bernoulli.Tensor", "bernoulli.float")
def bernoulli(x: Tensor, p: Any = None, *, run: Any) -> Tensor:
    if (p is None and run.node.op != "aten.bernoulli_.float") or isinstance(p, Tensor):
        probability: Tensor = x if p is None else p
        drawn = random.uniform(shape_of_noise(x, None)).astype(probability.dtype)
        return op.Cast(drawn < probability, to=x.dtype)
    p = 0.5 if p is None and run.node.op == "aten.bernoulli_.float" else p
    if run.in_training_only:
        return x * 0 + float(p)  # the mean: a program of training alone says x * bernoulli(p) / p, which is x outside of it
    return random.bernoulli(shape_of_noise(x, None), p).astype(x.dtype)


@aten("rand")
def rand(size: Sequence[Size], dtype: Any = None) -> Tensor:
    return random.uniform(vector(size)).astype(dtype or np.float32)


@aten("rand_like")
def rand_like(x: Tensor, dtype: Any = None) -> Tensor:
    return random.uniform(shape_of_noise(x, None)).astype(dtype or x.dtype)


@aten("randn")
def randn(size: Sequence[Size], dtype: Any = None) -> Tensor:
    return random.normal(vector(size)).astype(dtype or np.float32)


@aten("randn_like")
def randn_like(x: Tensor, dtype: Any = None) -> Tensor:
    return random.normal(shape_of_noise(x, None)).astype(dtype or x.dtype)


@aten("uniform")
def uniform(x: Tensor, low: float = 0, to: float = 1) -> Tensor:
    return random.uniform(shape_of_noise(x, None), low, to).astype(x.dtype)


@aten("normal", "normal_functional")
def normal(x: Tensor, mean: float = 0, std: float = 1) -> Tensor:
    return random.normal(shape_of_noise(x, None), mean, std).astype(x.dtype)


@aten("randint", "randint.low")
def randint(high: int, size: Sequence[Size], low: int = 0, dtype: Any = None) -> Tensor:
    return op.Floor(random.uniform(vector(size), low, high)).astype(dtype or np.int64)


@aten("randint_like", "randint_like.low_dtype")
def randint_like(x: Tensor, high: int, low: int = 0, dtype: Any = None) -> Tensor:
    return op.Floor(random.uniform(shape_of_noise(floating(x), None), low, high)).astype(dtype or x.dtype)
