"""Pictures and tables: graphs as SVG, layers with their cost, training curves. Each name is loaded when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnxdl.viz.cost import Cost, cost
    from onnxdl.viz.curves import save_curves
    from onnxdl.viz.picture import draw
    from onnxdl.viz.table import Row, layers_table, print_layers

_HOMES = {
    "Cost": "cost",
    "cost": "cost",
    "draw": "picture",
    "Row": "table",
    "layers_table": "table",
    "print_layers": "table",
    "save_curves": "curves",
}

__all__ = ["Cost", "Row", "cost", "draw", "layers_table", "print_layers", "save_curves"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found  # importing the module `cost` has put the module where the function belongs
    return found
