"""The generator's numbers: distributions by scipy-free statistics, and the promises that resuming rests on."""

from __future__ import annotations

import math

import numpy as np
import pytest

import onnxdl as ox
from onnxdl.graph import random

N = 200_000


def kolmogorov_smirnov(samples: np.ndarray, cdf: np.ndarray) -> float:
    """sqrt(n) times the largest distance between the empirical and the true distribution; above 1.95 has probability 0.1%."""
    n = len(samples)
    steps = np.arange(1, n + 1) / n
    return float(np.maximum(np.abs(steps - cdf), np.abs(steps - 1 / n - cdf)).max() * math.sqrt(n))


def normal_cdf(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


@pytest.mark.parametrize("seed", range(4))
def test_uniform_numbers_are_uniform(seed: int) -> None:
    samples = np.sort(random.uniform([N], key=random.make_key(seed)).numpy().astype(np.float64))
    assert samples[0] >= 0 and samples[-1] < 1
    assert kolmogorov_smirnov(samples, samples) < 1.95


def test_normal_numbers_are_normal() -> None:
    samples = np.sort(random.normal([N], key=random.make_key(1)).numpy().astype(np.float64))
    assert kolmogorov_smirnov(samples, normal_cdf(samples)) < 1.95


def test_truncated_normal_numbers_are_so() -> None:
    samples = np.sort(random.truncated_normal([N], key=random.make_key(2)).numpy().astype(np.float64))
    assert np.abs(samples).max() <= 2.0 + 1e-5
    low, high = normal_cdf(np.array([-2.0, 2.0]))
    assert kolmogorov_smirnov(samples, (normal_cdf(samples) - low) / (high - low)) < 1.95


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_bernoulli_has_its_probability(p: float) -> None:
    share = random.bernoulli([N], p, key=random.make_key(3)).numpy().mean()
    assert abs(share - p) < 4 * math.sqrt(p * (1 - p) / N)


def test_neighbouring_numbers_and_keys_are_independent() -> None:
    a = random.uniform([N], key=random.make_key(5, 0)).numpy() - 0.5
    b = random.uniform([N], key=random.make_key(5, 1)).numpy() - 0.5
    bound = 4 / 12 / math.sqrt(N)
    for lag in (1, 2, 3, 64, 1024):
        assert abs(np.mean(a[:-lag] * a[lag:])) < bound
    assert abs(np.mean(a * b)) < bound


def test_one_bit_of_a_key_changes_half_of_the_bits() -> None:
    a = random._bits([4096], random.make_key(8)).numpy()
    b = random._bits([4096], random.make_key(9)).numpy()
    flipped = np.unpackbits((a ^ b).view(np.uint8)).mean()
    assert abs(flipped - 0.5) < 0.01


def test_keys_decide_the_numbers() -> None:
    same = [random.uniform([100], key=random.make_key(7, 3)).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert (random.uniform([100], key=random.make_key(7, 4)).numpy() != same[0]).mean() > 0.9


def test_dynamic_numbers_differ_from_call_to_call_and_repeat_after_set_seed() -> None:
    ox.set_seed(11)
    first, second = random.uniform([8]).numpy(), random.uniform([8]).numpy()
    assert (first != second).all()
    ox.set_seed(11)
    np.testing.assert_array_equal(random.uniform([8]).numpy(), first)
    ox.set_seed(0)
