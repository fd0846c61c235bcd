"""Where the time of a step goes: by layer, forward and backward, and by operator."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from onnxdl.graph.dtypes import to_numpy
from onnxdl.runtime import NodeTime

if TYPE_CHECKING:
    from onnxdl.train.model import Model

PROFILED = 10
"""How many steps a time is the median of."""

PARTS = ("forward", "backward", "update", "other")
_FUSED = re.compile(r"^fused ")

ADVICE = {
    ("Conv", "FusedConv", "ConvTranspose", "MatMul", "FusedMatMul", "Gemm", "FusedGemm"): (
        "arithmetic: fewer or narrower channels, a smaller input; on CUDA, mixed_precision=True. On a CPU, 3x3 to 5x5 kernels of"
        " stride 1 and channels that are multiples of 16 have the quickest forms"
    ),
    (
        "Scan",
        "Loop",
        "LSTM",
        "GRU",
        "RNN",
    ): "one step of time after another: shorter sequences, or a larger batch, which costs these little",
    (
        "ScatterElements",
        "ScatterND",
    ): "gradients scattered into a whole tensor: for an Embedding, sparse=True touches the rows of the batch only",
    ("Transpose", "Slice", "Concat", "Pad", "Gather", "ReorderInput", "ReorderOutput", "Expand", "Tile"): (
        "data moved, nothing computed: keep to one data_format, and to kernels whose stride is 1 or their size"
    ),
    ("Cast",): "types converted: give the data in the model's own type",
    ("Softmax", "LogSoftmax", "Exp", "Erf", "Tanh", "Sigmoid", "Pow"): "a function of every element: a cheaper activation such as relu",
}


class Profile(NamedTuple):
    """The seconds of a step: all nodes from the costliest on, and how many samples it took."""

    nodes: list[NodeTime]
    samples: int

    @property
    def total(self) -> float:
        """The sum over the nodes."""
        return sum(node.seconds for node in self.nodes)

    def by_layer(self) -> dict[str, dict[str, float]]:
        """For each layer the seconds of its parts, the costliest first."""
        layers: dict[str, dict[str, float]] = {}
        for node in self.nodes:
            layer, part = place_of(node.name)
            parts = layers.setdefault(layer, {})
            parts[part] = parts.get(part, 0.0) + node.seconds
        return dict(sorted(layers.items(), key=lambda item: -sum(item[1].values())))

    def by_operator(self) -> list[tuple[str, int, float]]:
        """Each operator with the number of its nodes and its seconds, the costliest first."""
        kinds = Counter(node.op_type for node in self.nodes)
        found = [(name, n, sum(node.seconds for node in self.nodes if node.op_type == name)) for name, n in kinds.items()]
        return sorted(found, key=lambda item: -item[2])

    def lines(self, most: int = 20) -> list[str]:
        """The profile for a reader, ending with its five costliest nodes and what to do."""
        whole = self.total or 1.0
        moved = sum(node.bytes for node in self.nodes) / 1e6
        head = f"{1e3 * self.total:.2f} ms for {self.samples} samples, {len(self.nodes)} nodes that read and write {moved:,.1f} MB"
        found = [head, "", f"{'layer':<28}" + "".join(f"{part:>10}" for part in PARTS) + f"{'share':>8}"]
        layers = list(self.by_layer().items())
        for name, parts in layers[:most]:
            times = "".join(f"{1e3 * parts.get(part, 0):>10.3f}" for part in PARTS)
            found.append(f"{name[:27]:<28}{times}{sum(parts.values()) / whole:>8.1%}")
        if len(layers) > most:
            found.append(f"... {len(layers) - most} more layers, {sum(sum(p.values()) for _, p in layers[most:]) / whole:.1%}")
        found += ["", f"{'operator':<28}{'nodes':>10}{'ms':>10}{'share':>8}"]
        found += [f"{name[:27]:<28}{n:>10}{1e3 * s:>10.3f}{s / whole:>8.1%}" for name, n, s in self.by_operator()[:most]]
        found += ["", "the five costliest, and what to do:"]
        for node in self.nodes[:5]:
            found.append(f"{1e3 * node.seconds:8.3f} ms  {node.op_type} {node.name}: {advice_for(node)}")
        return found


def advice_for(node: NodeTime) -> str:
    """What may make a node cheaper."""
    if place_of(node.name)[1] == "update":
        return "the optimizer's pass over every weight: a larger batch has fewer of them; SGD reads and writes least"
    return next(
        (words for kinds, words in ADVICE.items() if node.op_type in kinds), "one pass over its data: fewer or smaller layers of its kind"
    )


def place_of(name: str) -> tuple[str, str]:
    """The layer and the part of the step that a node's name tells: ``grad/conv/Relu/Mul`` is of ``conv``, backward."""
    path = [p for p in _FUSED.sub("", name).split("/") if p]
    if path[0] == "grad" and len(path) > 2:
        return path[1], "backward"
    if path[0] == "optimizer":
        return (path[1] if len(path) > 2 else "optimizer"), "update"
    return (path[0], "forward") if len(path) > 1 else ("(no layer)", "other")


def profile_step(model: Model, x: Any, y: Any, runs: int = PROFILED) -> Profile:
    """The profile of a training step of a compiled model on a batch; its State stays as it is."""
    model.ensure_built(x)
    model.ensure_targets(y)
    batch = model.batch(x, y)
    return Profile(model.train_step().session.profile(batch, runs), len(next(iter(batch.values()))))


def profile_prediction(model: Model, x: Any, runs: int = PROFILED) -> Profile:
    """The profile of a model's inference on a batch."""
    model.ensure_built(x)
    batch = model.batch(x)
    return Profile(model.prediction().session.profile(batch, runs), len(next(iter(batch.values()))))


def random_inputs(model: Model, samples: int, length: int = 64) -> list[np.ndarray]:
    """Inputs of a model whose data is not at hand: random numbers, 0 and 1 where whole numbers are wanted."""
    rng = np.random.default_rng(0)
    found = []
    for spec in model.input_specs:
        shape = (samples, *(d if isinstance(d, int) else length for d in spec.shape[1:]))
        dtype = to_numpy(spec.dtype)
        found.append(rng.integers(0, 2, shape).astype(dtype) if dtype.kind in "iub" else rng.normal(size=shape).astype(dtype))
    return found


def random_targets(model: Model, samples: int, length: int = 64) -> list[np.ndarray]:
    """Targets that fit a compiled model's outputs and losses."""
    rng = np.random.default_rng(1)
    shapes = [(samples, *(d if isinstance(d, int) else length for d in shape[1:])) for shape in model.output_shapes]
    losses = model.recipe.losses
    return [
        rng.integers(0, shape[-1], shape[:-1]) if loss is not None and loss.labels else rng.random(shape).astype(np.float32)
        for shape, loss in zip(shapes, losses, strict=True)
    ]


def first_samples(data: Any, samples: int) -> Any:
    """The first samples of arrays, or of a list or dict of them."""
    if isinstance(data, dict):
        return {name: first_samples(part, samples) for name, part in data.items()}
    if isinstance(data, list | tuple) and data and hasattr(data[0], "__array__"):
        return [first_samples(part, samples) for part in data]
    return np.asarray(data[:samples])


def printed(profile: Profile, echo: Any, most: int = 20) -> None:
    """Writes a profile line by line."""
    lines: Sequence[str] = profile.lines(most)
    for line in lines:
        echo(line)
