"""Parity: does a converted model compute what the source computes, layer by layer?

The source's side is ``Converter.activations``, run in the framework itself, or arrays that were stored earlier. Ours is the
inference graph with more outputs. Both sides speak of values by these names, whichever framework it is:

- ``encoder.attention.query``: what that layer gives, by the names that the State has too;
- ``encoder.attention.query@1``: what it gives when it is called for the second time, ``@2`` for the third;
- ``lstm:1``: the second array of a layer that gives several, in the order of the structure that it gives;
- ``/layer1/0/conv1/Conv_output_0``: where no layer is called so, the value of that name in the graph of an ``Imported`` layer;
- ``output.probabilities``: an output of the model, by its name in ``model.output_names``.

Names that one side alone has are left out: a framework says what it can.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxdl.converters.contract import Converter
from onnxdl.errors import ConversionError
from onnxdl.graph.dtypes import to_numpy
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import Trace
from onnxdl.nn.layer import Layer, watching
from onnxdl.nn.structure import tensors_in
from onnxdl.runtime import create_session, run
from onnxdl.train import step as steps
from onnxdl.train.model import Model

TOLERANCE = 1e-4
"""How far an output may be off, as a share of its scale, its largest absolute value."""
OUTPUT = "output."
_BATCH, _LENGTH, _SIDE = 2, 8, 64
_KEEPS_NUMBERS = {"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Concat", "Expand", "Flatten", "Split"}


@dataclass(frozen=True)
class Row:
    """One value compared.

    Attributes:
        name: its name, as at the head of this module.
        kind: the class of the layer that gives it; ``Output``, or ``Value`` for one of a graph.
        shape: the source's shape.
        ours: our shape, where it is another one.
        difference: the largest absolute difference; infinite where shapes differ, or one side alone is not finite.
        scale: the source's largest absolute value.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    ours: tuple[int, ...]
    difference: float
    scale: float

    @property
    def relative(self) -> float:
        """The difference as a share of the scale."""
        return self.difference / self.scale if self.scale else self.difference


@dataclass(frozen=True)
class Parity:
    """All values compared, in the order in which our model computes them, and against what."""

    rows: tuple[Row, ...]
    against: str

    @property
    def worst(self) -> Row:
        """The output that is off by most."""
        return max((row for row in self.rows if row.kind == "Output"), key=lambda row: row.relative)

    @property
    def equal(self) -> bool:
        """Whether every output is within the tolerance."""
        return self.worst.relative <= TOLERANCE

    def lines(self) -> list[str]:
        """The report in plain text, one line for each value, the verdict last."""
        width = max(len(row.name) for row in self.rows)
        kind = max(len(row.kind) for row in self.rows)
        head = f"{'value':<{width}}  {'kind':<{kind}}  {'difference':>10}  {'of scale':>9}  shape"
        return [head, *(_line(row, width, kind) for row in self.rows), self.verdict()]

    def verdict(self) -> str:
        """One line: equal or not, and where it begins to differ."""
        worst = self.worst
        told = f"largest difference of an output: {worst.difference:.3g}, {worst.relative:.2g} of its scale, against {self.against}"
        if self.equal:
            return told
        first = next(row for row in self.rows if row.relative > TOLERANCE)
        return f"{told}; the first value that is off by more than {TOLERANCE:g} is {first.name!r} ({first.kind})"


def _line(row: Row, width: int, kind: int) -> str:
    shape = "×".join(map(str, row.shape)) or "scalar"
    if row.ours != row.shape:
        shape += f", but ours is {'×'.join(map(str, row.ours)) or 'scalar'}"
    return f"{row.name:<{width}}  {row.kind:<{kind}}  {row.difference:>10.3g}  {row.relative:>9.2g}  {shape}"


def check(
    converter: Converter,
    source: Any,
    model: Model,
    *,
    inputs: Mapping[str, np.ndarray] | None = None,
    reference: Mapping[str, np.ndarray] | None = None,
    **options: Any,
) -> Parity:
    """Compares a model with the source that it was read from.

    Args:
        converter: the converter that read it.
        source: the path or object that it was read from.
        model: what came of it.
        inputs: arrays by input name; by default random ones of the right kind, the same at every call.
        reference: arrays by name, inputs and values, computed earlier where the framework was installed: then nothing else
            is run. A name that stands for no value at all is an error.
        options: what the converter's ``activations`` takes, as ``read`` does.

    Raises:
        ConversionError: the framework is not installed, or it names no value that we have too.
    """
    model.ensure_built()
    if reference is not None:
        names = {s.name for s in model.input_specs}
        inputs = {name: array for name, array in reference.items() if name in names}
        if missing := names - set(inputs):
            raise ConversionError(f"the reference lacks the input {min(missing)!r}: store the model's inputs beside the values, by name")
        expected = {name: array for name, array in reference.items() if name not in names}
        against = "stored values"
    else:
        inputs = inputs or random_inputs(model)
        expected, against = dict(_run_framework(converter, source, inputs, options)), converter.name
    found, kinds = activations(model, inputs, expected)
    unknown = [name for name in expected if name not in found]
    if reference is not None and unknown:
        raise ConversionError(
            f"the reference holds {unknown[0]!r}, but the model has no such value; name a layer, or {OUTPUT}<output's name>"
        )
    rows = tuple(_compared(name, kinds[name], expected[name], array) for name, array in found.items())
    if not any(row.kind == "Output" for row in rows):
        raise ConversionError(f"nothing to compare: {against} name no output, such as {OUTPUT}{model.output_names[0]}")
    return Parity(rows, against)


def _run_framework(converter: Converter, source: Any, inputs: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> Mapping[str, Any]:
    if converter.activations is None:
        raise ConversionError(f"{converter.name} files cannot be run here to compare with; give stored values with --reference")
    try:
        return converter.activations(source, inputs, **options)
    except ModuleNotFoundError as error:
        raise ConversionError(
            f"comparing with {converter.name} needs {error.name}; install it, or give stored values with --reference"
        ) from error


def _compared(name: str, kind: str, theirs: np.ndarray, ours: np.ndarray) -> Row:
    theirs = np.asarray(theirs)
    a, b = theirs.astype(np.float64), ours.astype(np.float64)
    if a.shape != b.shape:
        return Row(name, kind, a.shape, b.shape, float("inf"), 1.0)
    known = np.isfinite(a)
    alike = np.array_equal(known, np.isfinite(b)) and np.array_equal(np.where(known, 0, a), np.where(known, 0, b), equal_nan=True)
    difference = float(np.abs(a[known] - b[known]).max(initial=0)) if alike else float("inf")
    return Row(name, kind, a.shape, b.shape, difference, float(np.abs(a[known]).max(initial=0)))


# ---- our side -------------------------------------------------------------------------------------------------------


def activations(
    model: Model, inputs: Mapping[str, np.ndarray], wanted: Iterable[str] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """What a model computes at inference, by the names of this module's head, and the kind of each.

    Args:
        model: a built model.
        inputs: arrays by input name.
        wanted: the names to give; those that there are not are left out. By default all layers and outputs.
    """
    trace, known, kinds = _traced(model)
    names = [name for name in known if wanted is None or name in set(wanted)]
    if wanted is not None:
        values = {v.name: v for node in trace.graph for v in node.outputs}
        for name in wanted:
            if name not in known and name in values:
                known[name], kinds[name] = Tensor(values[name], trace), "Value"
                names.append(name)
    program = trace.model({f"parity/{i}": known[name] for i, name in enumerate(names)})
    session = create_session(ir.to_proto(program).SerializeToString())
    needed = {v.name for v in program.graph.inputs}
    stored = {p: parameter for p, parameter in model.named_parameters() if p in needed}
    feeds = {**model.batch(inputs), **{p: parameter.value for p, parameter in stored.items()}}
    results = run(session, [f"parity/{i}" for i in range(len(names))], {n: a for n, a in feeds.items() if n in needed})
    return dict(zip(names, results, strict=True)), {name: kinds[name] for name in names}


def _traced(model: Model) -> tuple[Trace, dict[str, Tensor], dict[str, str]]:
    """The inference graph, not finished yet, its values by name in the order of computation, and their kinds."""
    paths = layer_paths(model)
    parameters = {p: name for name, p in model.named_parameters()}
    known: dict[str, Tensor] = {}
    kinds: dict[str, str] = {}
    calls: Counter[str] = Counter()

    def remember(layer: Layer, result: Any) -> None:
        path = paths.get(id(layer))
        if path is None or any(t.trace is not trace for t in tensors_in(result)):
            return  # inside a loop's body there is a value for each turn
        called = f"{path}@{calls[path]}" if calls[path] else path
        calls[path] += 1
        for i, t in enumerate(tensors_in(result)):
            name = f"{called}:{i}" if i else called
            known[name], kinds[name] = t, type(layer).__name__

    with Trace("parity") as trace, watching(remember):
        trace.declare = lambda p: trace.input(parameters[p], p.dtype, p.shape)
        outputs = steps.call_model(model, [trace.input(s.name, s.dtype, s.shape) for s in model.input_specs])
    for name, t in zip(model.output_names, tensors_in(outputs), strict=True):
        known[OUTPUT + name], kinds[OUTPUT + name] = t, "Output"
    return trace, known, kinds


def layer_paths(model: Layer, prefix: str = "") -> dict[int, str]:
    """The State's name of every layer below a model, by the layer's ``id``."""
    found: dict[int, str] = {}
    for name, child in model.children():
        path = f"{prefix}{child.name or name}"
        if id(child) not in found:
            found[id(child)] = path
            found = {**layer_paths(child, f"{path}."), **found}
    return found


# ---- inputs ---------------------------------------------------------------------------------------------------------


def random_inputs(model: Model, seed: int = 0) -> dict[str, np.ndarray]:
    """Random arrays by input name, of the right kind: numbers of rows where a table is looked up, else normally distributed.

    Sizes that the model leaves open are 2 for the batch, 64 for the sides of images and volumes, 8 for the rest, and the same
    wherever they have the same name. Whole numbers that are not looked up are 0 or 1, as masks are.
    """
    model.ensure_built()
    trace, _, _ = _traced(model)
    tables = {v.name: _rows_of_tables(v) for v in trace.graph.inputs}
    rng = np.random.default_rng(seed)
    sizes: dict[str, int] = {}
    arrays = {}
    for spec in model.input_specs:
        dtype = np.dtype(to_numpy(spec.dtype))
        shape = tuple(_size(d, i, len(spec.shape), sizes) for i, d in enumerate(spec.shape))
        rows = tables[spec.name]
        if rows is not None or dtype.kind in "iub":
            arrays[spec.name] = rng.integers(0, rows or 2, shape).astype(dtype)
        else:
            arrays[spec.name] = rng.standard_normal(shape).astype(dtype)
    return arrays


def _size(d: int | str | None, axis: int, rank: int, sizes: dict[str, int]) -> int:
    if isinstance(d, int):
        return d
    usual = _BATCH if axis == 0 else _SIDE if rank >= 4 else _LENGTH
    return usual if d is None else sizes.setdefault(d, usual)


def _rows_of_tables(value: ir.Value) -> int | None:
    """The rows of the smallest table that is looked up by this value; None where none is."""
    found: list[int] = []
    pending, seen = [value], {value}
    while pending:
        v = pending.pop()
        for node, place in v.uses():
            if node.op_type == "Gather" and place == 1:
                shape = node.inputs[0].shape if node.inputs[0] is not None else None
                axis = node.attributes.get_int("axis", 0)
                size = shape[axis] if shape is not None else None
                if isinstance(size, int):
                    found.append(size)
            elif node.op_type in _KEEPS_NUMBERS and (place == 0 or node.op_type == "Concat"):
                fresh = [o for o in node.outputs if o not in seen]
                seen.update(fresh)
                pending.extend(fresh)
    return min(found, default=None)
