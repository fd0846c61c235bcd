"""Keras on JAX, to compare with; the tests that need it skip themselves where it is missing."""

from __future__ import annotations

import os
import warnings
from typing import Any

import pytest


def jax() -> Any:
    """The module ``jax``."""
    keras()
    return pytest.importorskip("jax")


def keras() -> Any:
    """The module ``keras`` with its JAX backend."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")  # compiles faster
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("jax")
        module = pytest.importorskip("keras")
    if module.backend.backend() != "jax":
        pytest.skip("Keras runs on another backend than JAX here")
    return module
