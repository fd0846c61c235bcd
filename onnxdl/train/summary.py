"""The table that ``model.summary()`` prints: each layer, its output shape, its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from onnxdl.nn.layer import Layer, watching
from onnxdl.nn.structure import tensors_in
from onnxdl.nn.symbolic import scratch_trace
from onnxdl.train import step as steps

if TYPE_CHECKING:
    from onnxdl.train.model import Model


def print_summary(model: Model, console: Console | None = None) -> None:
    """Prints the layers below a model with their output shapes and numbers of parameters, and the totals."""
    table = Table(title=f"{type(model).__name__} {model.name or ''}".strip(), box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("layer")
    table.add_column("type")
    table.add_column("output shape")
    table.add_column("parameters", justify="right")
    for layer, shapes in _layers_with_shapes(model):
        table.add_row(layer.name or "", type(layer).__name__, "\n".join(shapes), f"{layer.count_params():,}")
    console = console or Console()
    console.print(table)
    trainable = sum(p.size for p in model.trainable_weights)
    total = model.count_params()
    console.print(f"parameters: {total:,}, of which {trainable:,} are trained ({_bytes(model)} as stored)", highlight=False)


def _layers_with_shapes(model: Model) -> list[tuple[Layer, list[str]]]:
    direct = {id(child) for _, child in model.children()}
    seen: dict[int, tuple[Layer, list[str]]] = {}

    def remember(layer: Layer, result: Any) -> None:
        if id(layer) in direct and id(layer) not in seen:
            seen[id(layer)] = layer, [_written(t.shape) for t in tensors_in(result)]

    with scratch_trace() as trace, watching(remember):
        steps.call_model(model, [trace.input(s.name, s.dtype, s.shape) for s in model.input_specs])
    return list(seen.values())


def _written(shape: Sequence[Any]) -> str:
    return f"({', '.join(str(d) for d in shape)})"


def _bytes(model: Model) -> str:
    size = float(sum(p.size * p.dtype.itemsize for p in model.weights))
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"
