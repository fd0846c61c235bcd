"""Nested lists, tuples and dicts of tensors, as layers take and give them, the masks they carry, and regions between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnxdl.graph.remat import close_region, last_node
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import current_trace


def tensors_in(tree: Any) -> list[Tensor]:
    """All tensors of a nested structure, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, dict):
        return [t for v in tree.values() for t in tensors_in(v)]
    if isinstance(tree, list | tuple):
        return [t for v in tree for t in tensors_in(v)]
    return []


def map_tensors(function: Callable[[Tensor], Any], tree: Any) -> Any:
    """The same structure with ``function`` applied to every tensor."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, dict):
        return {k: map_tensors(function, v) for k, v in tree.items()}
    if isinstance(tree, list):
        return [map_tensors(function, v) for v in tree]
    if isinstance(tree, tuple):
        return tuple(map_tensors(function, v) for v in tree)
    return tree


def masks_of(tree: Any, given: Any = None) -> Any:
    """The masks of a structure's tensors, in the same structure; None where no tensor has one. ``given`` comes first."""
    if given is not None:
        return given
    return map_tensors(lambda t: t.mask, tree) if any(t.mask is not None for t in tensors_in(tree)) else None


def set_masks(outputs: Any, masks: Any) -> None:
    """Gives each tensor of ``outputs`` its mask, unless it has one."""
    if masks is None:
        return
    flat = list(masks) if isinstance(masks, list | tuple) else [masks]
    for t, mask in zip(tensors_in(outputs), flat, strict=False):
        if t.mask is None:
            t.mask = mask


def in_region(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """``f`` of these arguments, as a region that the reverse pass computes again; without a trace it is only called."""
    trace = next((t.trace for t in tensors_in((args, kwargs)) if t.trace is not None), current_trace())
    if trace is None:
        return f(*args, **kwargs)
    begin = last_node(trace)
    results = f(*args, **kwargs)
    ends = iter(close_region(trace, begin, tensors_in(results)))
    return map_tensors(lambda _: next(ends), results)
