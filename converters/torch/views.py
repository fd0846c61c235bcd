"""Writing in place: torch's views share memory with what they are views of, and values of a graph do not.

So a write to a view is also written into its base, and other views of that base are computed again when they are next
read. Views that a write cannot be carried through (an overlapping expand, pieces of a split) are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from onnxdl.converters.torch.aten import axis_of, entry_names, in_place_of, reshaped, sizes_of, table
from onnxdl.converters.torch.program import Body, Node, Ref
from onnxdl.errors import ConversionError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

_SAME_ELEMENTS = frozenset(
    f"aten.{n}"
    for n in (
        "view.default",
        "unflatten.int",
        "squeeze.default",
        "squeeze.dim",
        "squeeze.dims",
        "unsqueeze.default",
        "alias.default",
        "detach.default",
        "view_as.default",
    )
)
_OTHERS = frozenset(
    f"aten.{n}"
    for n in (
        "select.int",
        "slice.Tensor",
        "narrow.default",
        "transpose.int",
        "permute.default",
        "t.default",
        "numpy_T.default",
        "expand.default",
        "expand_as.default",
        "split.Tensor",
        "split_with_sizes.default",
        "chunk.default",
        "unbind.int",
        "unfold.default",
        "diagonal.default",
        "movedim.int",
        "contiguous.default",
        "reshape.default",
        "reshape_as.default",
        "flatten.using_ints",
    )
)
"""Operators whose results share memory with their first argument."""


def followable(body: Body) -> bool:
    """Whether every write in place can be carried through the views that it is made to."""
    bases: dict[str, tuple[str, str]] = {}
    for node in body.nodes:
        source = node.arguments.get("self") or next(iter(node.arguments.values()), None)
        if any(isinstance(a, Body) and not followable(a) for a in node.arguments.values()):
            return False
        if not isinstance(source, Ref):
            continue
        in_place = node.op not in table() and in_place_of(node.op) is not None
        name = source.name
        while in_place and name in bases:
            name, through = bases[name]
            if through not in _SAME_ELEMENTS and through not in _INVERSES:
                return False
        if in_place or node.op in _SAME_ELEMENTS or node.op in _OTHERS:
            bases.update((n, (source.name, "aten.alias.default" if in_place else node.op)) for n in entry_names(node.outputs))
    return True


class Views:
    """Which names are views of which, and which of them are out of date."""

    def __init__(self) -> None:
        self._bases: dict[str, tuple[str, Node]] = {}
        self._stale: set[str] = set()

    def note(self, node: Node, *, in_place: bool = False) -> None:
        """Remembers what a node's results are views of; what an in-place operator returns is its first argument itself."""
        if not in_place and node.op not in _SAME_ELEMENTS and node.op not in _OTHERS:
            return
        source = node.arguments.get("self") or next(iter(node.arguments.values()), None)
        if not isinstance(source, Ref):
            return
        if in_place:
            node = Node("aten.alias.default", {"self": source}, node.outputs, node.scope)
        for name in entry_names(node.outputs):
            self._bases[name] = (source.name, node)

    def stale(self, name: str) -> Node | None:
        """The node to write again before a name is read; None where it is up to date."""
        if name not in self._stale:
            return None
        node = self._bases[name][1]
        self._stale.difference_update(entry_names(node.outputs))
        return node

    def overwritten(self, name: str, new: Tensor, values: Mapping[str, Any], origin: str) -> Iterator[tuple[str, Tensor]]:
        """The names that a write changes, with their new values; other views of the same memory become stale."""
        path = [name]
        yield name, new
        while name in self._bases:
            base, node = self._bases[name]
            self._require_current(base, origin)
            known = {k: values[a.name] if isinstance(a, Ref) else a for k, a in node.arguments.items()}
            new = _into_base(node._replace(arguments=known), values[base], new, origin)
            yield base, new
            name = base
            path.append(base)
        self._stale.difference_update(path)
        self._stale.update(n for n in self._bases if n not in path and self._root(n) == name)

    def _require_current(self, base: str, origin: str) -> None:
        if base in self._stale:
            raise ConversionError(f"{origin}: a view of {base!r} is written to after another view of the same memory was")

    def _root(self, name: str) -> str:
        while name in self._bases:
            name = self._bases[name][0]
        return name


def _into_base(node: Node, base: Tensor, new: Tensor, origin: str) -> Tensor:
    """The base with a view of it overwritten."""
    if node.op in _SAME_ELEMENTS:
        return reshaped(new, sizes_of(base))
    inverse = _INVERSES.get(node.op)
    if inverse is None:
        raise ConversionError(
            f"{origin}: the result of {node.op} is written to in place, which no graph can follow; write to a clone of it instead"
        )
    return inverse(node, base, new)


def _transposed_back(node: Node, base: Tensor, new: Tensor) -> Tensor:
    dims = node.arguments["dims"]
    order = [axis_of(d, base) for d in dims]
    return op.Transpose(new, perm=[order.index(i) for i in range(base.ndim)])


def _by(name: str, *kept: str) -> Callable[[Node, Tensor, Tensor], Tensor]:
    def scattered(node: Node, base: Tensor, new: Tensor) -> Tensor:
        arguments = {k: node.arguments[k] for k in kept if k in node.arguments}
        return table()[name].write(base, new, **arguments)  # type: ignore[no-any-return]

    return scattered


def _swapped_back(node: Node, base: Tensor, new: Tensor) -> Tensor:
    a, b = (axis_of(int(node.arguments[k]), base) for k in ("dim0", "dim1"))
    order = list(range(base.ndim))
    order[a], order[b] = b, a
    return op.Transpose(new, perm=order)


def _narrow_back(node: Node, base: Tensor, new: Tensor) -> Tensor:
    start, length = node.arguments["start"], node.arguments["length"]
    return table()["aten.slice_scatter.default"].write(base, new, dim=node.arguments["dim"], start=start, end=start + length)  # type: ignore[no-any-return]


_INVERSES: Mapping[str, Callable[[Node, Tensor, Tensor], Tensor]] = {
    "aten.select.int": _by("aten.select_scatter.default", "dim", "index"),
    "aten.slice.Tensor": _by("aten.slice_scatter.default", "dim", "start", "end", "step"),
    "aten.narrow.default": _narrow_back,
    "aten.permute.default": _transposed_back,
    "aten.transpose.int": _swapped_back,
    "aten.t.default": lambda node, base, new: op.Transpose(new),
    "aten.numpy_T.default": lambda node, base, new: op.Transpose(new),
}
