"""The table that ``model.summary()`` prints: each layer, its output shape, its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from onnxdl.errors import TrainingError
from onnxdl.nn.layer import Layer, watching
from onnxdl.nn.structure import tensors_in
from onnxdl.nn.symbolic import scratch_trace
from onnxdl.train import step as steps
from onnxdl.train.composition import Composition

if TYPE_CHECKING:
    from onnxdl.train.model import Model


def print_summary(
    model: Model,
    line_length: int | None = None,
    print_fn: Callable[[str], Any] | None = None,
    *,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Prints the layers below a model with their output shapes and numbers of parameters, and the totals; see ``Model.summary``."""
    table = Table(title=f"{type(model).__name__} {model.name or ''}".strip(), box=box.SIMPLE_HEAD, title_justify="left")
    for column in ("layer", "type", "output shape"):
        table.add_column(column)
    table.add_column("parameters", justify="right")
    if show_trainable:
        table.add_column("trained")
    trained = {id(p) for p in model.trainable_weights}
    for depth, layer, shapes in _in_range(_layers_with_shapes(model, expand_nested), layer_range):
        row = ["  " * depth + (layer.name or ""), type(layer).__name__, "\n".join(shapes), f"{layer.count_params():,}"]
        table.add_row(*row, *(["yes" if any(id(p) in trained for p in layer.weights) else "no"] if show_trainable else []))
    console = Console(width=line_length) if print_fn is None else Console(width=line_length, file=StringIO())
    console.print(table)
    trainable = sum(p.size for p in model.trainable_weights)
    total = model.count_params()
    console.print(f"parameters: {total:,}, of which {trainable:,} are trained ({_bytes(model)} as stored)", highlight=False)
    if print_fn is not None and isinstance(console.file, StringIO):
        print_fn(console.file.getvalue())


Row = tuple[int, Layer, list[str]]


def _layers_with_shapes(model: Model, nested: bool) -> list[Row]:
    """The layers in the order in which they are done: how deep they lie, and the shapes of what they give."""
    seen: dict[int, tuple[Layer, list[str]]] = {}

    def remember(layer: Layer, result: Any) -> None:
        if id(layer) not in seen:
            seen[id(layer)] = layer, [_written(t.shape) for t in tensors_in(result)]

    def rows(parent: Layer, depth: int) -> Iterator[Row]:
        inside = {id(child) for _, child in parent.children()}
        for layer, shapes in [found for i, found in seen.items() if i in inside]:
            yield depth, layer, shapes
            if nested and isinstance(layer, Composition):
                yield from rows(layer, depth + 1)

    with scratch_trace() as trace, watching(remember):
        steps.call_model(model, [trace.input(s.name, s.dtype, s.shape) for s in model.input_specs])
    return list(rows(model, 0))


def _in_range(rows: list[Row], names: Sequence[str] | None) -> list[Row]:
    if names is None:
        return rows
    found = [i for i, (_, layer, _) in enumerate(rows) if layer.name in names]
    if not found:
        raise TrainingError(f"layer_range names no layer of the model: {', '.join(names)}")
    return rows[found[0] : found[-1] + 1]


def _written(shape: Sequence[Any]) -> str:
    return f"({', '.join(str(d) for d in shape)})"


def _bytes(model: Model) -> str:
    size = float(sum(p.size * p.dtype.itemsize for p in model.weights))
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"
