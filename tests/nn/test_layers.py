"""The contract of every layer: Keras's numbers and gradients on Keras's weights, one train step, export, and stable names."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from onnxdl import nn
from onnxdl.autodiff.gradient import gradient
from onnxdl.graph import op
from onnxdl.graph.evaluate import evaluate
from onnxdl.graph.tensor import Tensor, tensor
from onnxdl.nn.conv import Conv
from onnxdl.nn.conv_lstm import ConvLSTM
from onnxdl.nn.conv_transpose import ConvTranspose
from onnxdl.nn.separable import Depthwise
from onnxdl.nn.structure import tensors_in
from onnxdl.nn.symbolic import Input
from onnxdl.optim import SGD
from onnxdl.train import step as steps
from onnxdl.train.model import Model
from tests.keras_backend import keras
from tests.nn.cases import CASES, Case, Ints

NAMES = [f"{i}-{case}" for i, case in enumerate(CASES)]
SETTINGS = {"rtol": 1e-5, "atol": 1e-5}
each_case = pytest.mark.parametrize("case", CASES, ids=NAMES)


def arrays_for(inputs: Any, rng: np.random.Generator) -> Any:
    if isinstance(inputs, list):
        return [arrays_for(x, rng) for x in inputs]
    if isinstance(inputs, np.ndarray):
        return inputs
    if isinstance(inputs, Ints):
        return rng.integers(inputs.low, inputs.high, inputs.shape).astype(np.int32)
    return rng.uniform(-1.5, 1.5, inputs).astype(np.float32)


def mapped(function: Any, tree: Any) -> Any:
    if isinstance(tree, list):
        return [mapped(function, x) for x in tree]
    return function(tree) if isinstance(tree, np.ndarray) else tree


def arrays_in(tree: Any) -> list[np.ndarray]:
    return [a for x in tree for a in arrays_in(x)] if isinstance(tree, list) else [tree]


def call(layer: nn.Layer, inputs: Any, case: Case, training: bool) -> Any:
    return layer(*inputs, training=training, **{k: mapped(tensor, v) for k, v in case.keywords.items()})


@cache
def built(index: int) -> tuple[Case, nn.Layer, list[Any]]:
    """The layer of a case with weights drawn at random, and its inputs."""
    case = CASES[index]
    rng = np.random.default_rng(index)
    inputs = arrays_for(list(case.inputs), rng)
    layer = case.make(nn)
    call(layer, mapped(tensor, inputs), case, training=False)
    for parameter in layer.weights:
        drawn = rng.normal(0.0, 0.5, parameter.shape)
        parameter.value = abs(drawn) + 0.5 if "variance" in (parameter.name or "") else drawn
    return case, layer, inputs


def result(case: Case, layer: nn.Layer, inputs: list[Any]) -> tuple[list[Tensor], list[Tensor]]:
    """The float outputs, and the leaves that stand for the inputs."""
    leaves = mapped(tensor, inputs)
    return tensors_in(call(layer, leaves, case, case.training)), tensors_in(leaves)


def in_keras_layout(layer: nn.Layer) -> list[np.ndarray]:
    """The weights as Keras's layer holds them."""
    ranked = {
        id(p): (owner, p)
        for owner in layer.layers_below()
        for p in owner._parameters.values()
        if isinstance(owner, Conv | ConvTranspose | ConvLSTM | Depthwise)
    }
    arrays = []
    for p in layer.weights:
        value = p.value
        owner = ranked[id(p)][0] if id(p) in ranked else None
        if owner is not None and value.ndim > 1:
            rank = owner.rank
            if isinstance(owner, Depthwise) and p.name != "pointwise_kernel":
                value = value.reshape(-1, owner.depth_multiplier, *value.shape[2:]).transpose(*range(2, rank + 2), 0, 1)
            else:
                value = value.transpose(*range(2, rank + 2), 1, 0)
        arrays.append(value)
    return arrays


def keras_numbers(case: Case, layer: nn.Layer, inputs: list[Any]) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Keras's outputs, and its gradients by weights and by float inputs, of the sum of all outputs times fixed numbers."""
    theirs = case.make(keras().layers)
    import jax
    from keras import KerasTensor, ops

    keywords = {k: mapped(ops.convert_to_tensor, v) for k, v in case.keywords.items()}
    if "training" in theirs._call_signature.parameters:
        keywords["training"] = case.training
    theirs(*mapped(lambda a: KerasTensor(a.shape, str(a.dtype)), inputs), **keywords)  # builds it without computing
    variables = [*theirs.trainable_weights, *theirs.non_trainable_weights]
    for variable, value in zip(variables, by_training(layer, in_keras_layout(layer)), strict=True):
        variable.assign(value)
    floats = [i for i, a in enumerate(arrays_in(inputs)) if a.dtype == np.float32]

    def total(trainable: Any, float_inputs: Any) -> Any:
        flat = arrays_in(inputs)
        for i, a in zip(floats, float_inputs, strict=True):
            flat[i] = a
        remaining = iter(flat)
        given = mapped(lambda _: next(remaining), inputs)
        fixed = [v.value for v in theirs.non_trainable_variables]
        outputs, _ = theirs.stateless_call(trainable, fixed, *given, **keywords)
        outputs = jax.tree.leaves(outputs)
        return sum((o * cotangent(o.shape)).sum() for o in outputs), outputs

    trainable = [v.value for v in theirs.trainable_variables]
    differentiate = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))
    (_, outputs), (by_weights, by_inputs) = differentiate(trainable, [arrays_in(inputs)[i] for i in floats])
    return [np.asarray(o) for o in outputs], [np.asarray(g) for g in by_weights], [np.asarray(g) for g in by_inputs]


def by_training(layer: nn.Layer, values: list[np.ndarray]) -> list[np.ndarray]:
    """Those of the trainable weights first."""
    order = sorted(range(len(values)), key=lambda i: not layer.weights[i].trainable)
    return [values[i] for i in order]


def cotangent(shape: tuple[int, ...]) -> np.ndarray:
    return np.cos(np.arange(np.prod(shape, dtype=int), dtype=np.float32) * 1.7 + 0.3).reshape(shape)


def total_of(outputs: list[Tensor]) -> Tensor:
    parts = [op.ReduceSum(o * cotangent(o.shape), keepdims=0) for o in outputs]  # type: ignore[arg-type]
    return parts[0] if len(parts) == 1 else op.Sum(*parts)


def numbers(case: Case, layer: nn.Layer, inputs: list[Any]) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Our outputs and gradients, alike; the weights' gradients in Keras's layout."""
    outputs, leaves = result(case, layer, inputs)
    floats = [t for t in leaves if t.dtype == np.float32]
    weights = [p for p in layer.weights if p.trainable]
    wanted = [*outputs, *(gradient(total_of(outputs), [*weights, *floats]) if case.differentiable else [])]
    values = evaluate(wanted)
    n, m = len(outputs), len(outputs) + len(weights)
    return values[:n], values[n:m], values[m:]


@pytest.mark.parametrize("index", range(len(CASES)), ids=NAMES)
def test_numbers_and_gradients_are_those_of_keras(index: int) -> None:
    case, layer, inputs = built(index)
    if not case.oracle:
        pytest.skip("Keras draws other random numbers, or has no such use of this layer")
    theirs = keras_numbers(case, layer, inputs)  # first: a step of training may change the weights
    ours = numbers(case, layer, inputs)
    for a, b in zip(ours[0], theirs[0], strict=True):
        np.testing.assert_allclose(a, b, **SETTINGS)
    if not case.differentiable:
        return
    by_weights = weights_like(layer, ours[1])
    for a, b in zip([*by_weights, *ours[2]], [*theirs[1], *theirs[2]], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def weights_like(layer: nn.Layer, values: list[np.ndarray]) -> list[np.ndarray]:
    """Gradients by our weights in Keras's layout."""
    before = layer.get_weights()
    rest = iter(values)
    layer.set_weights([next(rest) if p.trainable else p.value for p in layer.weights])
    found = [a for a, p in zip(in_keras_layout(layer), layer.weights, strict=True) if p.trainable]
    layer.set_weights(before)
    return found


class Whole(Model):
    """A layer and a factor, so that there is always something to train."""

    def __init__(self, case: Case, inputs: list[Any]) -> None:
        super().__init__()
        self.layer, self.case, self.given = case.make(nn), case, inputs
        self.factor = self.add_weight(name="factor", initializer="ones")

    def call(self, x: Any, training: bool = False) -> list[Tensor]:
        remaining = iter(x if isinstance(x, list) else [x])
        arguments = mapped(lambda _: next(remaining), self.given)
        keywords = {k: mapped(op.Identity, v) for k, v in self.case.keywords.items()}
        return [y * self.factor for y in tensors_in(self.layer(*arguments, training=training, **keywords))]


def run(program: ir.Model, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(ir.to_proto(program).SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, {i.name: feeds[i.name] for i in session.get_inputs()}), strict=True))


@pytest.mark.parametrize("index", range(len(CASES)), ids=NAMES)
def test_export_and_one_step(index: int) -> None:
    case, layer, inputs = built(index)
    outputs = evaluate(tensors_in(call(layer, mapped(tensor, inputs), case, training=False)))
    model, data, targets = Whole(case, inputs), arrays_in(inputs), [np.ones_like(y) for y in outputs]
    model.ensure_built(data)  # with a free batch size
    model.layer.set_weights(layer.get_weights())
    exported = steps.inference(model, model.input_specs, model.output_names, weights_inside=True)
    for found, expected in zip(run(exported, model.batch(data)).values(), outputs, strict=True):
        np.testing.assert_allclose(found, expected, **SETTINGS)
    state = {name: p.value for name, p in model.named_parameters()}
    assert set(exported.graph.initializers) <= set(state)
    if not case.differentiable:
        return
    model.compile(SGD(0.1), "mse", device="cpu")
    model.ensure_targets(targets)
    program = steps.train_step(model.recipe)
    following = {o.name.removeprefix("next/") for o in program.graph.outputs if o.name.startswith("next/")}
    assert set(state) <= following
    after = run(program, {**model.batch(data, targets), **steps.extra_state(model.recipe), **state})
    assert all(np.isfinite(a).all() for a in after.values())
    assert {n for n in state if not np.array_equal(after[f"next/{n}"], state[n])}


@each_case
def test_configuration_makes_the_same_layer(case: Case) -> None:
    layer = case.make(nn)
    if isinstance(layer, nn.Lambda):
        return
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize(("make", "shape", "expected"), [
    (lambda: nn.Dense(4), (None, 3), (None, 4)),
    (lambda: nn.Conv2D(8, 3, strides=2, padding="same"), (None, 3, 9, 8), (None, 8, 5, 4)),
    (lambda: nn.Embedding(10, 6), (None, 7), (None, 7, 6)),
    (lambda: nn.LSTM(5, return_sequences=True), (2, None, 3), (2, None, 5)),
    (lambda: nn.Concatenate(), [(None, 3), (None, 4)], (None, 7)),
])  # fmt: skip
def test_the_output_shape_follows_from_the_input_shape(make: Callable[[], nn.Layer], shape: Any, expected: tuple[int | None, ...]) -> None:
    layer = make()
    assert layer.compute_output_shape(shape) == expected
    assert layer.built


def test_every_layer_has_a_case() -> None:
    public = {getattr(nn, name) for name in nn.__all__}
    layers = {c for c in public if isinstance(c, type) and issubclass(c, nn.Layer)} - {nn.Layer}
    assert layers == {type(case.make(nn)) for case in CASES}


def test_every_layer_of_keras_is_here() -> None:
    """But those that wrap another framework's code, and what is no layer."""
    layers = keras().layers
    foreign = {"FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper", "InputSpec"}
    theirs = {n for n in dir(layers) if isinstance(c := getattr(layers, n), type) and ".preprocessing." not in c.__module__}
    assert theirs - foreign == theirs & set(nn.__all__)


@pytest.mark.parametrize("form", ["channels_first", "channels_last"])
def test_zeros_around_negative_numbers_win_a_maximum(form: str) -> None:
    shape = (1, 4, 4) if form == "channels_first" else (4, 4, 1)
    layers = [nn.BatchNormalization(axis=1 if form == "channels_first" else -1), nn.ZeroPadding2D(1, data_format=form)]
    x = symbolic = Input(shape)
    for layer in [*layers, nn.MaxPooling2D(3, strides=2, data_format=form)]:
        x = layer(x)
    found = Model(symbolic, x).predict(-np.ones((1, *shape), np.float32), verbose=0)
    np.testing.assert_allclose(np.ravel(found), [0, 0, 0, -1], atol=1e-3)
