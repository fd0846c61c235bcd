"""What a module itself computes at inference, for the parity report: its outputs, and what its innermost modules give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from onnxdl.converters.torch.live import arguments
from onnxdl.converters.torch.reading import read
from onnxdl.errors import ConversionError
from onnxdl.train import step as steps
from onnxdl.train.model import Model


def activations(source: Any, inputs: Mapping[str, np.ndarray], *, example_inputs: Any = None, **options: Any) -> dict[str, np.ndarray]:
    """Outputs under ``output.<name>``; of modules without modules inside, what they give under the last value's name of their scope."""
    import torch

    if not isinstance(source, torch.nn.Module):
        raise ConversionError("only an nn.Module can be run here to compare with; give stored values instead")
    model = read(source, example_inputs=example_inputs, **options)
    _, kwargs = arguments(example_inputs)
    given = [torch.from_numpy(np.array(inputs[s.name])) for s in model.input_specs]
    last = _last_values(model)
    found: dict[str, np.ndarray] = {}
    calls: Counter[str] = Counter()
    hooks = []

    def watched(path: str) -> Any:
        def keep(module: Any, _: Any, result: Any) -> None:
            calls[path] += 1
            if isinstance(result, torch.Tensor):
                found[last[path]] = result.detach().numpy().copy()

        return keep

    modes = {m: m.training for m in source.modules()}
    try:
        for path, module in source.named_modules():
            if path in last and not any(True for _ in module.children()):
                hooks.append(module.register_forward_hook(watched(path)))
        with torch.no_grad():
            result = source.eval()(**dict(zip(kwargs, given, strict=True))) if kwargs else source.eval()(*given)
    finally:
        for hook in hooks:
            hook.remove()
        for m, mode in modes.items():
            m.training = mode
    values = {name: a for name, a in found.items() if all(calls[p] == 1 for p, n in last.items() if n == name)}
    outputs = [t for t in torch.utils._pytree.tree_leaves(result) if isinstance(t, torch.Tensor)]
    return {**values, **{f"output.{n}": t.detach().numpy() for n, t in zip(model.output_names, outputs, strict=True)}}


def _last_values(model: Model) -> dict[str, str]:
    """The name of the last value in the scope of each module: ``layer1.0.conv1`` to ``layer1/0/conv1/Conv``."""
    program = steps.inference(model, model.input_specs, model.output_names, weights_inside=False)
    last: dict[str, str] = {}
    for node in program.graph:
        scope = (node.name or "").rpartition("/")[0]
        if scope and node.outputs[0].name and not node.outputs[0].is_graph_output() and node.op_type != "Constant":
            last[scope.replace("/", ".")] = node.outputs[0].name
    return last
