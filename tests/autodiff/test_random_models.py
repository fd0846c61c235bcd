"""Random graphs of many operators, of random opsets, with symbolic sizes: their gradients against central differences in float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from onnxdl import runtime
from onnxdl.autodiff.graph_model import gradient_model

Shape = tuple[int, ...]
_SMOOTH = ("Neg", "Sin", "Cos", "Tanh", "Sigmoid", "Softplus", "Softsign", "Identity", "Atan")
_REDUCTIONS = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2", "ReduceLogSumExp", "ReduceSumSquare")


class RandomModel:
    """A graph that grows by one random node at a time; every value knows its shape."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.opset = int(self.rng.integers(13, 22))
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.inputs = {f"x{i}": tuple(int(n) for n in self.rng.integers(1, 5, self.rng.integers(1, 5))) for i in range(2)}
        self.shapes: dict[str, Shape] = dict(self.inputs)
        for _ in range(int(self.rng.integers(5, 12))):
            self._grow()

    def proto(self) -> onnx.ModelProto:
        """The model; the values that nothing uses are its outputs."""
        used = {name for node in self.nodes for name in node.input}
        kind = onnx.TensorProto.DOUBLE
        inputs = [
            helper.make_tensor_value_info(n, kind, [f"{n}_{i}" if i % 2 else d for i, d in enumerate(s)]) for n, s in self.inputs.items()
        ]
        outputs = [
            helper.make_tensor_value_info(n, kind, [None] * len(s)) for n, s in self.shapes.items() if n not in used | set(self.inputs)
        ]
        graph = helper.make_graph(self.nodes, "random", inputs, outputs, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)

    def _constant(self, array: object) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(array), f"c{len(self.weights)}"))
        return self.weights[-1].name

    def _add(self, op_type: str, inputs: Sequence[str], shape: Sequence[int], **attributes: object) -> None:
        if np.prod(shape) <= 200:
            name = f"v{len(self.nodes)}"
            self.nodes.append(helper.make_node(op_type, inputs, [name], **attributes))
            self.shapes[name] = tuple(int(d) for d in shape)

    def _grow(self) -> None:
        rng, names = self.rng, list(self.shapes)
        x, other = names[-1 - min(len(names) - 1, int(rng.geometric(0.4)) - 1)], str(rng.choice(names))
        shape, n = self.shapes[x], len(self.shapes[x])
        axis = int(rng.integers(-n, n)) if n else 0
        match int(rng.integers(14)):
            case 0:
                self._add(str(rng.choice(_SMOOTH)), [x], shape)
            case 1 if _broadcast(shape, self.shapes[other]) is not None:
                self._add(str(rng.choice(["Add", "Sub", "Mul", "Max", "Min"])), [x, other], _broadcast(shape, self.shapes[other]) or ())
            case 2 if n:
                keep = int(rng.integers(2))
                reduced = [1 if i == axis % n else d for i, d in enumerate(shape) if keep or i != axis % n]
                op_type = str(rng.choice(_REDUCTIONS))
                if op_type == "ReduceSum" or self.opset >= 18:
                    self._add(op_type, [x, self._constant(np.array([axis]))], reduced, keepdims=keep)
                else:
                    self._add(op_type, [x], reduced, keepdims=keep, axes=[axis])
            case 3:
                self._add(
                    "Reshape", [x, self._constant(np.array([-1, shape[-1] if n else 1]))], [int(np.prod(shape[:-1])), shape[-1] if n else 1]
                )
            case 4 if n:
                order = [int(i) for i in rng.permutation(n)]
                self._add("Transpose", [x], [shape[i] for i in order], perm=order)
            case 5 if n and shape[axis] > 1:
                step = int(rng.choice([1, 2, -1]))
                start, end = (0, shape[axis] - 1) if step > 0 else (-1, -shape[axis] - 1)
                cut = list(shape)
                cut[axis] = len(range(shape[axis])[start : end if step > 0 else None : step])
                self._add("Slice", [x, *(self._constant(np.array([v])) for v in (start, end, axis, step))], cut)
            case 6 if n:
                joined = list(shape)
                joined[axis] *= 2
                self._add("Concat", [x, x], joined, axis=axis)
            case 7 if n:
                pads = rng.integers(0, 3, 2 * n)
                self._add(
                    "Pad", [x, self._constant(pads)], np.array(shape) + pads[:n] + pads[n:], mode=str(rng.choice(["constant", "edge"]))
                )
            case 8 if n:
                indices = rng.integers(-shape[axis], shape[axis], (2, 2))
                self._add("Gather", [x, self._constant(indices)], [*shape[: axis % n], 2, 2, *shape[axis % n + 1 :]], axis=axis)
            case 9:
                repeats = rng.integers(1, 3, n)
                self._add("Tile", [x, self._constant(repeats.astype(np.int64))], np.array(shape, int) * repeats)
            case 10 if n:
                self._add("MatMul", [x, self._constant(rng.normal(size=(shape[-1], 3)))], [*shape[:-1], 3])
            case 11 if n:
                self._add(str(rng.choice(["Softmax", "LogSoftmax"])), [x], shape, axis=axis)
            case 12 if n:
                flags = {k: int(rng.integers(2)) for k in ("exclusive", "reverse")}
                self._add("CumSum", [x, self._constant(np.array(axis))], shape, **flags)
            case 13 if 0 < n < 4:
                letters = "abc"[:n]
                kept = "".join(rng.permutation(list(letters))[: rng.integers(n + 1)])
                self._add("Einsum", [x, x], [shape[letters.index(c)] for c in kept], equation=f"{letters},{letters}->{kept}")


def _broadcast(a: Shape, b: Shape) -> Shape | None:
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        return None


@pytest.mark.parametrize("seed", range(16))
def test_gradient_of_a_random_model(seed: int) -> None:
    model = RandomModel(seed)
    proto = model.proto()
    forward = runtime.create_session(proto.SerializeToString(), threads=1)
    rng = np.random.default_rng([seed, 1])
    point = {n: rng.normal(size=s) for n, s in model.inputs.items()}
    outputs = [v.name for v in proto.graph.output]
    seeds = {n: rng.normal(size=y.shape) for n, y in zip(outputs, runtime.run(forward, outputs, point), strict=True)}
    gradients = gradient_model(proto, wrt=list(model.inputs))
    given = {v.name for v in gradients.graph.input}
    session = runtime.create_session(gradients.SerializeToString(), threads=1)
    feeds = {**point, **{f"seed/{n}": s for n, s in seeds.items() if f"seed/{n}" in given}}
    found = runtime.run(session, [f"grad/{n}" for n in model.inputs], {n: x for n, x in feeds.items() if n in given})

    def scalar(at: dict[str, np.ndarray]) -> float:
        weights = [s if f"seed/{n}" in given else 1.0 for n, s in seeds.items()]
        return sum(float(np.sum(w * y)) for w, y in zip(weights, runtime.run(forward, outputs, at), strict=True))

    direction = {n: rng.normal(size=s) for n, s in model.inputs.items()}
    ours = sum(float(np.vdot(g, d)) for g, d in zip(found, direction.values(), strict=True))
    ahead, behind = ({n: x + h * direction[n] for n, x in point.items()} for h in (1e-6, -1e-6))
    assert ours == pytest.approx((scalar(ahead) - scalar(behind)) / 2e-6, rel=1e-4, abs=1e-4)
