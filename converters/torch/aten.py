"""The table of ATen operators: each is one function that takes torch's arguments by name and writes ONNX.

``@aten("add.Tensor", "add_.Tensor")`` enters a function under torch's names; a name without an overload means ``default``.
A function that takes ``run`` is given the run of the graph: whether it is training, and how arguments are written in place.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

import numpy as np

from onnxdl.graph import op
from onnxdl.graph.dtypes import is_float
from onnxdl.graph.tensor import Tensor, as_tensor

F = TypeVar("F", bound=Callable[..., Any])

Size = int | Tensor
"""A whole number: known, or an int64 scalar of the graph."""

FAMILIES = (
    "elementwise",
    "activations",
    "comparisons",
    "reductions",
    "shape",
    "padding",
    "indexing",
    "scattering",
    "creation",
    "linear_algebra",
    "convolution",
    "pooling",
    "resizing",
    "normalization",
    "attention",
    "recurrent",
    "losses",
    "randomness",
    "symbolic",
)
"""The modules of ``operators``, one a family."""

UNREAD = frozenset({"layout", "device", "pin_memory", "memory_format", "non_blocking", "implicit", "requires_grad", "generator"})
"""Arguments about where numbers lie and which generator made them, which say nothing of what they are."""


class Operator(NamedTuple):
    """One entry of the table."""

    name: str
    family: str
    write: Callable[..., Any]
    accepted: frozenset[str]
    takes_run: bool


class Lacking(NamedTuple):
    """A result that has no equal here: an error where something reads it."""

    what: str


_table: dict[str, Operator] = {}


def aten(*names: str) -> Callable[[F], F]:
    """Enters a function into the table under torch's names."""

    def enter(function: F) -> F:
        accepted = frozenset(inspect.signature(function).parameters)
        family = function.__module__.rpartition(".")[2]
        for name in names:
            full = full_name(name)
            if full in _table:
                raise AssertionError(f"{full} is in the table twice")
            _table[full] = Operator(full, family, function, accepted - {"run"}, "run" in accepted)
        return function

    return enter


def full_name(name: str) -> str:
    """``add.Tensor`` as ``aten.add.Tensor``, ``relu`` as ``aten.relu.default``; other names as they are."""
    if name.startswith(("_operator.", "math.", "sym.")):
        return name
    return f"aten.{name}" if "." in name else f"aten.{name}.default"


@cache
def table() -> dict[str, Operator]:
    """All operators by their full names: ``aten.add.Tensor``."""
    for family in FAMILIES:
        importlib.import_module(f"onnxdl.converters.torch.operators.{family}")
    return dict(sorted(_table.items()))


def in_place_of(name: str) -> str | None:
    """The operator that ``aten.add_.Tensor`` is the in-place form of, if it is one."""
    namespace, base, overload = name.split(".", 2) if name.count(".") >= 2 else ("", "", "")
    return f"{namespace}.{base[:-1]}.{overload}" if base.endswith("_") and not base.startswith("__") else None


# ---- what the functions share ----------------------------------------------------------------------------------------


def _category(dtype: np.dtype[Any]) -> int:
    return {"b": 0, "i": 1, "u": 1}.get(dtype.kind, 2)


def _joined(dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any] | None:
    if not dtypes:
        return None
    highest = max(_category(d) for d in dtypes)
    kept = [d for d in dtypes if _category(d) == highest]
    return kept[0] if len(set(kept)) == 1 else np.dtype(np.float32) if any(d.name == "bfloat16" for d in kept) else np.result_type(*kept)


def common_dtype(values: Sequence[Any]) -> np.dtype[Any]:
    """Torch's promoted element type: tensors with axes first, then those without, then Python numbers, each a step up at most."""
    tensors = [v for v in values if isinstance(v, Tensor)]
    found = _joined([t.dtype for t in tensors if t.ndim])
    scalars = _joined([t.dtype for t in tensors if not t.ndim])
    if found is None or (scalars is not None and _category(scalars) > _category(found)):
        found = scalars
    for number in (v for v in values if not isinstance(v, Tensor)):
        own = np.dtype(bool if isinstance(number, bool | np.bool_) else np.int64 if isinstance(number, int | np.integer) else np.float32)
        if found is None or _category(own) > _category(found):
            found = own
    assert found is not None  # an operator has operands
    return found


def promoted(*values: Any, floating: bool = False) -> list[Tensor]:
    """The operands as tensors of their common element type, a float one where the operator has no other."""
    dtype = common_dtype(values)
    if floating and _category(dtype) < 2:
        dtype = np.dtype(np.float32)
    return [cast(v, dtype) for v in values]


def cast(value: Any, dtype: Any) -> Tensor:
    """A tensor or a number in an element type."""
    return value.astype(dtype) if isinstance(value, Tensor) else as_tensor(np.asarray(value).astype(dtype))


def floating(x: Tensor) -> Tensor:
    """``x`` itself where it is float, else as float32: what torch computes functions of whole numbers in."""
    return x if is_float(x.value.dtype) else x.astype(np.float32)


def axis_of(dim: int, x: Tensor) -> int:
    """An axis as a number from 0 on."""
    return dim % max(x.ndim, 1)


def axes_of(dim: Any, x: Tensor) -> list[int]:
    """The axes that a reduction names: one, several, or all where it names none."""
    if dim is None or (isinstance(dim, list | tuple) and not dim):
        return list(range(x.ndim))
    return sorted(axis_of(d, x) for d in (dim if isinstance(dim, list | tuple) else [dim]))


def size_of(x: Tensor, axis: int) -> Size:
    """The length of an axis: a number where it is known."""
    known = x.shape[axis]
    return known if isinstance(known, int) else op.Squeeze(op.Shape(x, start=axis % x.ndim, end=axis % x.ndim + 1), [0])


def sizes_of(x: Tensor) -> list[Size]:
    """The lengths of all axes."""
    return [size_of(x, i) for i in range(x.ndim)]


def vector(sizes: Sequence[Size]) -> Any:
    """Sizes as an int64 vector: data where all are known."""
    if all(isinstance(s, int | np.integer) for s in sizes):
        return np.array([int(s) for s in sizes], np.int64)
    return op.Concat(*[op.Unsqueeze(s, [0]) if isinstance(s, Tensor) else np.array([s], np.int64) for s in sizes], axis=0)


def reshaped(x: Tensor, sizes: Sequence[Size]) -> Tensor:
    """``x`` in another shape; sizes known at run time only become 0 (as it is) or -1 where that says the same."""
    known = [s for s in sizes if isinstance(s, int)]
    if 0 in known:
        return op.Reshape(x, vector(sizes), allowzero=1)
    target = [0 if isinstance(s, Tensor) and i < x.ndim and _symbol(s) == x.shape[i] else s for i, s in enumerate(sizes)]
    rest = [i for i, s in enumerate(target) if isinstance(s, Tensor)]
    if len(rest) == 1 and -1 not in known:
        y = op.Reshape(x, [-1 if isinstance(s, Tensor) else s for s in target])
        meant = _symbol(sizes[rest[0]])
        if meant is None or y.shape[rest[0]] == meant:
            return y
    return op.Reshape(x, vector(target))


def _symbol(size: Size) -> Any:
    held = size.value.meta.get("content") if isinstance(size, Tensor) else None
    return held[0] if held else None


def expanded(x: Tensor, sizes: Sequence[Size]) -> Tensor:
    """``x`` broadcast to a shape; nothing is written where it has it already."""
    if len(sizes) == x.ndim and all(
        (isinstance(s, int) and s in (-1, d)) or (isinstance(s, Tensor) and isinstance(d, str) and _symbol(s) == d)
        for s, d in zip(sizes, x.shape, strict=True)
    ):
        return x
    return op.Expand(x, vector([1 if isinstance(s, int) and s == -1 else s for s in sizes]))


def moved(x: Tensor, source: int, target: int) -> Tensor:
    """``x`` with one axis moved to another place."""
    source, target = axis_of(source, x), axis_of(target, x)
    if source == target:
        return x
    order = [i for i in range(x.ndim) if i != source]
    order.insert(target, source)
    return op.Transpose(x, perm=order)


def per_axis(value: Any, rank: int) -> list[int]:
    """One number for each axis, from one or from as many."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    return values * rank if len(values) == 1 else values


def entry_names(outputs: Sequence[Any]) -> list[str]:
    """The names among a node's outputs, lists opened up."""
    return [n for o in outputs for n in (o if isinstance(o, list) else [o]) if n is not None]
