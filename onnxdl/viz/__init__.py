"""Pictures and tables: graphs as SVG, layers with their cost, training curves. Each name is loaded when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnxdl.viz.cost import Cost, node_cost
    from onnxdl.viz.curves import save_curves
    from onnxdl.viz.images import save_images
    from onnxdl.viz.picture import draw
    from onnxdl.viz.table import Row, layers_table, print_layers
    from onnxdl.viz.values import node_values

_HOMES = {
    "Cost": "cost",
    "Row": "table",
    "draw": "picture",
    "layers_table": "table",
    "node_cost": "cost",
    "node_values": "values",
    "print_layers": "table",
    "save_curves": "curves",
    "save_images": "images",
}

__all__ = ["Cost", "Row", "draw", "layers_table", "node_cost", "node_values", "print_layers", "save_curves", "save_images"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
