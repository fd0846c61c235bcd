"""What every node of a graph computes, to be written on its picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from onnxdl import runtime


def node_values(model: ir.Model, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs and the value of every node's outputs, by name, for given inputs. The model is left as it is."""
    watched = model.clone()
    graph = watched.graph
    shown = {id(v) for v in graph.outputs}
    graph.outputs.extend(v for node in graph for v in node.outputs if id(v) not in shown and v.name)
    feeds = {name: np.asarray(array) for name, array in feeds.items()}
    session = runtime.create_session(ir.to_proto(watched).SerializeToString())
    results = runtime.run(session, None, feeds)
    return {**feeds, **{str(v.name): array for v, array in zip(graph.outputs, results, strict=True)}}
