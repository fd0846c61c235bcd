"""``remat``: layers and functions whose values the gradient computes again instead of keeping them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from onnxdl.nn.layer import Layer
from onnxdl.nn.structure import in_region

F = TypeVar("F", bound=Callable[..., Any])


def remat(f: F) -> F:
    """Has the gradient compute what happens inside ``f`` again, so that a training step keeps only what goes in and comes out.

    It costs one more forward pass through ``f`` and changes no result; dropout draws the same numbers. Mark each of several
    blocks of a deep network, each of several layers (Chen et al. 2016: about as many blocks as layers in a block).

    Args:
        f: a layer, which is marked and returned, or a function of tensors, which is wrapped.
    """
    if isinstance(f, Layer):
        f.remat = True
        return f

    @wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return in_region(f, *args, **kwargs)

    return wrapped  # type: ignore[return-value]
