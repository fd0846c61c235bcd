"""TorchGraph: an exported program as a Layer, written through ``op`` at each trace under the module's own names."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from onnxdl.autodiff.custom import stop_gradient
from onnxdl.converters.torch import views
from onnxdl.converters.torch.aten import UNREAD, Lacking, Operator, entry_names, in_place_of, table
from onnxdl.converters.torch.program import Body, Node, Program, Ref
from onnxdl.errors import ConversionError, OnnxdlError, ShapeError
from onnxdl.graph import op
from onnxdl.graph.infer import describe
from onnxdl.graph.tensor import Tensor, as_tensor
from onnxdl.graph.trace import current_trace, scope, scope_path
from onnxdl.nn.imported import Pretrained
from onnxdl.nn.layer import Layer
from onnxdl.nn.parameter import Parameter
from onnxdl.nn.structure import tensors_in

_NO_GRADIENT = "higher_order.wrap_with_set_grad_enabled"
_AUTOCAST = "higher_order.wrap_with_autocast"
_CONDITION = "higher_order.cond"
HIGHER_ORDER = frozenset({_NO_GRADIENT, _AUTOCAST, _CONDITION})
"""The operators that hold graphs of their own, which are written by hand below."""


class TorchGraph(Layer):
    """A PyTorch program: dropout and batch normalization behave as the trace says, training or not.

    Its parameters and buffers are Parameters under torch's names; tied ones are one Parameter. While training, buffers
    that the program writes to (running statistics) move, unless the layer is frozen. Takes the program's inputs one by
    one, as a list, or as a dict by name; returns its output, or a list of several.

    Args:
        program: the program, with its arrays, exported for training where there is a choice.
        origin: the file or class that it came from, for error messages.
        inference: the program outside of training; by default the same one.
    """

    scoped = False
    full_precision = True

    def __init__(self, program: Program, origin: str, name: str | None = None, inference: Program | None = None, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.program, self.origin, self.inference = program, origin, inference
        check(program, origin)
        if inference is not None:
            check(inference, origin)
        held: dict[str, Parameter] = {}
        kept = set(program.mutations) | _written_to(program)
        for state_name, array in program.arrays.items():
            known = state_name in program.parameters.values() or state_name in program.buffers.values()
            if not known and state_name in program.constants.values():
                continue
            if state_name in program.aliases or (state_name in program.unsaved and state_name not in kept):
                continue
            parameter = self.add_weight(
                array.shape, Pretrained(state_name, array), array.dtype, state_name in program.trainable, name=state_name
            )
            parameter.value = array
            held[state_name] = parameter
        held.update((alias, held[target]) for alias, target in program.aliases.items() if target in held)
        self._held = held
        for state_name in held:
            for p in (program, inference):
                if p is not None:
                    p.arrays.pop(state_name, None)  # the Parameters have them now

    @property
    def state_names(self) -> dict[str, Parameter]:
        """What torch's ``state_dict`` holds, by its names: aliases too, and no buffer that is not persistent."""
        by_name = dict(self._parameters)
        by_name.update((alias, by_name[target]) for alias, target in self.program.aliases.items() if target in by_name)
        order = [*self.program.parameters.values(), *self.program.buffers.values()]
        ordered = {n: by_name[n] for n in order if n in by_name}
        return {n: p for n, p in {**ordered, **by_name}.items() if n not in self.program.unsaved}

    @property
    def input_specs(self) -> list[tuple[str, Any, tuple[int | str, ...]]]:
        """Name, element type and shape of each input."""
        return [(name, dtype, tuple(dims)) for name, (dtype, dims) in self.program.inputs.items()]

    def call(self, *inputs: Any, training: bool = False) -> Any:
        program = self.program if training or self.inference is None else self.inference
        values: dict[str, Any] = {**program.fixed, **dict(zip(program.inputs, self._given(inputs), strict=True))}
        for name, state_name in {**program.parameters, **program.buffers, **program.constants}.items():
            parameter = self._held.get(state_name)
            values[name] = as_tensor(parameter) if parameter is not None else self._constant(state_name, program.arrays[state_name])
        only = not training and self.inference is None
        run = Run(values, training, self.origin, moving=training and self.trainable, in_training_only=only)
        run.body(program.body)
        if training and self.trainable:
            self._move(run, program)
        outputs = [_as_output(run.value(a)) for a in program.outputs]
        kept = [o for o in outputs if o is not None]
        return kept[0] if len(kept) == 1 else kept

    def _move(self, run: Run, program: Program) -> None:
        """Buffers that the program has written to get their next values."""
        for name, state_name in program.buffers.items():
            parameter = self._held.get(state_name)
            if parameter is None:
                continue
            told = program.mutations.get(state_name)
            following = run.value(told) if told is not None else run.values[name]
            if run.value(Ref(name)) is not following or name in run.written:
                parameter.assign(following)

    def _constant(self, state_name: str, array: np.ndarray) -> Tensor:
        """A tensor that is no state: in a trace one too, written once however often the layer is called."""
        trace = current_trace()
        if trace is None:
            return as_tensor(array)
        held, key = trace.root.variables, (id(self), state_name)
        if key not in held:
            small = array.size <= 64
            held[key] = trace.root.constant(array) if small else trace.root.initializer(f"constants.{state_name}", array)
        return held[key]

    def _given(self, inputs: tuple[Any, ...]) -> list[Tensor]:
        wanted = self.program.inputs
        if len(inputs) == 1 and isinstance(inputs[0], dict):
            if set(inputs[0]) != set(wanted):
                raise ShapeError(f"the program takes the inputs {', '.join(wanted)}, not {', '.join(map(str, inputs[0]))}")
            values = [inputs[0][n] for n in wanted]
        else:
            values = tensors_in(list(inputs))
        if len(values) != len(wanted):
            raise ShapeError(f"the program takes {len(wanted)} inputs ({', '.join(wanted)}), not {len(values)}")
        for (name, (dtype, _)), tensor in zip(wanted.items(), values, strict=True):
            if tensor.dtype != np.dtype(dtype):
                raise ShapeError(f"the input {name!r} is {np.dtype(dtype)}, not {describe(tensor.value)}; convert it with .astype")
        return values


def _as_output(value: Any) -> Tensor | None:
    if value is None or isinstance(value, Tensor):
        return value
    return as_tensor(np.asarray(value, np.float32 if isinstance(value, float) else None))


def _written_to(program: Program) -> set[str]:
    """The buffers that some node writes to in place."""
    names: set[str] = set()
    for node in _all_nodes(program.body):
        if in_place_of(node.op) is not None or node.op.startswith(("aten.batch_norm", "aten.instance_norm", "aten._native_batch_norm")):
            names.update(a.name for a in node.arguments.values() if isinstance(a, Ref))
    return {state for name, state in program.buffers.items() if name in names}


def _all_nodes(body: Body) -> list[Node]:
    nodes = list(body.nodes)
    for node in body.nodes:
        for argument in node.arguments.values():
            if isinstance(argument, Body):
                nodes += _all_nodes(argument)
    return nodes


def entry(name: str) -> Operator | None:
    """The table's entry of an operator, or of the one that it is the in-place form of."""
    known = table()
    return known.get(name) or known.get(in_place_of(name) or "")


def missing(program: Program) -> list[str]:
    """The operators of a program that the table lacks, each with how often it is used."""
    lacking: dict[str, int] = {}
    for node in _all_nodes(program.body):
        if entry(node.op) is None and node.op not in HIGHER_ORDER:
            lacking[node.op] = lacking.get(node.op, 0) + 1
    return [f"{name} ({n}x)" for name, n in sorted(lacking.items())]


def check(program: Program, origin: str) -> None:
    """Refuses what cannot be written, all at once.

    Raises:
        ConversionError: it uses operators, or arguments of theirs, that have no equal here.
    """
    lacking = missing(program)
    if lacking:
        raise ConversionError(
            f"{origin} uses {len(lacking)} operators that have no equal here: {', '.join(lacking)}; "
            f"rewrite them with others, or load the module itself with exporter='onnx'"
        )
    refused = sorted({f"{n.op}({a}=)" for n in _all_nodes(program.body) for a in unknown_arguments(n)})
    if refused:
        raise ConversionError(f"{origin} uses arguments that have no equal here: {', '.join(refused)}; call the operators without them")


def unknown_arguments(node: Node) -> list[str]:
    """The arguments of a node that its function does not take."""
    found = entry(node.op)
    if found is None:
        return []
    given = {_python_name(a, found) for a, v in node.arguments.items() if v is not None and a not in UNREAD}
    return sorted(given - found.accepted)


def _python_name(argument: str, found: Operator) -> str:
    """The name that a function has for an argument; forms that write in place say ``self`` where others say ``input``."""
    if argument == "self":
        return "x" if "x" in found.accepted else "input"
    return "low" if argument == "from" else argument


class Run:
    """One pass through a program: what each name stands for, while its nodes are written.

    Args:
        values: the graph inputs by name.
        training: whether dropout drops.
        origin: the file or class, for error messages.
        moving: whether batch statistics are used and running ones move.
        in_training_only: whether a program exported for training is run outside of it.
    """

    def __init__(
        self, values: dict[str, Any], training: bool, origin: str, *, moving: bool = False, in_training_only: bool = False
    ) -> None:
        self.values, self.training, self.origin = values, training, origin
        self.moving, self.in_training_only = moving, in_training_only
        self.written: set[str] = set()
        self.node: Node | None = None
        self._views = views.Views()

    def body(self, body: Body) -> None:
        """Writes all nodes of a graph."""
        for node in body.nodes:
            self._node(node)

    def value(self, argument: Any) -> Any:
        """What an argument stands for: names looked up, all else as it is."""
        if isinstance(argument, Ref):
            self._refresh(argument.name)
            if argument.name not in self.values:
                raise ConversionError(f"{self.origin}: the value {argument.name!r} is used before it is computed; the file is damaged")
            found = self.values[argument.name]
            if isinstance(found, Lacking):
                raise ConversionError(f"{self.origin}: {found.what} ({argument.name!r}) have no equal here")
            return found
        if isinstance(argument, list):
            return [self.value(a) for a in argument]
        return argument

    def write(self, argument: str, new: Tensor) -> None:
        """Sets the value of an argument of the present node, as an operator does that writes in place."""
        assert self.node is not None
        target = self.node.arguments.get(argument)
        if isinstance(target, Ref):
            self._overwrite(target.name, new)

    def _node(self, node: Node) -> None:
        if node.op in HIGHER_ORDER:
            self._higher_order(node)
            return
        found = entry(node.op)
        assert found is not None  # check() has seen to it
        outer = self.node
        self.node = node
        path = scope_path()
        with scope(node.scope) if node.scope and not path.endswith(node.scope) else nullcontext():
            results = self._called(found, node)
        self.node = outer
        if node.op not in table() and in_place_of(node.op) in table():
            target = node.arguments.get("self") or next(iter(node.arguments.values()))
            if isinstance(target, Ref):
                old = self.value(target)
                results = results.astype(old.dtype)
                self._overwrite(target.name, results)
                self._views.note(node, in_place=True)
        else:
            self._views.note(node)
        self._bind(node, results)

    def _called(self, found: Operator, node: Node) -> Any:
        given = {_python_name(a, found): self.value(v) for a, v in node.arguments.items() if a not in UNREAD}
        given = {a: v for a, v in given.items() if a in found.accepted}
        if found.takes_run:
            given["run"] = self
        try:
            return found.write(**given)
        except ConversionError as error:
            raise ConversionError(f"{self.origin}: {node.op}{_place(node)}: {error}") from None
        except OnnxdlError as error:
            raise type(error)(f"{self.origin}: {node.op}{_place(node)}: {error}") from error
        except TypeError as error:
            raise ConversionError(f"{self.origin}: {node.op}{_place(node)} has arguments that do not fit it: {error}") from error

    def _bind(self, node: Node, results: Any) -> None:
        names = node.outputs
        if not entry_names(names):
            return
        if len(names) == 1 and isinstance(names[0], list):
            names = names[0]
        elif len(names) == 1 and not isinstance(results, list | tuple):
            results = [results]
        if isinstance(results, Tensor) or len(results) < len(names):
            raise ConversionError(f"{self.origin}: {node.op} gives fewer results than the {len(names)} that the program takes from it")
        for name, result in zip(names, results, strict=False):
            if name is not None:
                self.values[name] = result

    # ---- operators that hold graphs -------------------------------------------------------------------------------

    def _higher_order(self, node: Node) -> None:
        given = list(node.arguments.values())
        at = next(i for i, a in enumerate(given) if isinstance(a, Body))
        if node.op == _CONDITION:
            self._bind(node, self._condition(given))
            return
        if node.op == _AUTOCAST and given[2] is True:
            raise ConversionError(
                f"{self.origin} computes under autocast{_place(node)}; export it without, and compile with mixed_precision=True"
            )
        inner = given[at]
        self._bind(node, self._inlined(inner, given[at + 1 :], gradient=node.op != _NO_GRADIENT or bool(given[0])))

    def _inlined(self, inner: Body, operands: Sequence[Any], *, gradient: bool) -> list[Any]:
        run = self._inside(dict(zip(inner.inputs, [self.value(a) for a in operands], strict=True)))
        run.body(inner)
        for name, operand in zip(inner.inputs, operands, strict=True):
            if name in run.written and isinstance(operand, Ref):
                self._overwrite(operand.name, run.values[name])
        results = [run.value(a) for a in inner.outputs]
        return results if gradient else [stop_gradient(r) if isinstance(r, Tensor) else r for r in results]

    def _inside(self, values: dict[str, Any]) -> Run:
        return Run(values, self.training, self.origin, moving=self.moving, in_training_only=self.in_training_only)

    def _condition(self, given: Sequence[Any]) -> list[Any]:
        predicate, yes, no, operands = given[0], given[1], given[2], given[3]
        values = [self.value(a) for a in operands]

        def branch(inner: Body) -> Any:
            def written() -> list[Tensor]:
                run = self._inside(dict(zip(inner.inputs, values, strict=True)))
                run.body(inner)
                return [op.Identity(t) for a in inner.outputs if (t := _as_output(run.value(a))) is not None]

            return written

        condition = self.value(predicate)
        if isinstance(condition, bool):
            return self._inlined(yes if condition else no, operands, gradient=True)
        results = op.If(op.Reshape(condition, []), then_branch=branch(yes), else_branch=branch(no))
        return [results] if isinstance(results, Tensor) else list(results)

    # ---- writing in place -----------------------------------------------------------------------------------------

    def _overwrite(self, name: str, new: Tensor) -> None:
        for changed, value in self._views.overwritten(name, new, self.values, self.origin):
            self.values[changed] = value
            self.written.add(changed)

    def _refresh(self, name: str) -> None:
        node = self._views.stale(name)
        if node is not None:
            found = entry(node.op)
            assert found is not None  # it has been written before
            self._bind(node, self._called(found, node))


def _place(node: Node) -> str:
    return f" in module {node.scope.replace('/', '.')!r}" if node.scope else ""


def graph_of(layer: Layer) -> TorchGraph | None:
    """The program of a model that came from torch; None where it did not."""
    return next((below for below in layer.layers_below() if isinstance(below, TorchGraph)), None)
