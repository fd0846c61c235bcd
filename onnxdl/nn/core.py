"""Dense and EinsumDense, Embedding and ReversibleEmbedding, Masking, Activation, Identity, Lambda and InputLayer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op
from onnxdl.graph.dtypes import DTypeLike
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import activations
from onnxdl.nn.layer import Layer
from onnxdl.nn.symbolic import Input


class Dense(Layer):
    """activation(x @ kernel + bias) over the last axis: (..., n) -> (..., units)."""

    weight_options = ("kernel", "bias")
    supports_masking = True

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units, self.activation, self.use_bias = units, activations.get(activation), use_bias
        self.kernel_initializer, self.bias_initializer = kernel_initializer, bias_initializer

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if input_shape[-1] is None:
            raise ShapeError(f"Dense needs a last axis of known size, but its input has the shape {input_shape}")
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], self.units), initializer=self.kernel_initializer)
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer=self.bias_initializer) if self.use_bias else None

    def call(self, x: Tensor) -> Tensor:
        if x.ndim == 2 and self.bias is not None:
            return self.activation(op.Gemm(x, self.kernel, self.bias))
        y = x @ self.kernel
        return self.activation(y + self.bias if self.bias is not None else y)


class EinsumDense(Layer):
    """activation(einsum(equation, x, kernel) + bias); ``"abc,cd->abd"`` is a Dense over the last of three axes.

    Args:
        equation: einsum's, with one letter an axis; ``...`` may stand first or last for any others.
        output_shape: the output's shape without the batch axis (without the ``...`` axes if they stand first), None where
            the size is the input's; one number for one axis.
        bias_axes: the output's letters that the bias has, such as ``"d"``; none by default.
    """

    weight_options = ("kernel", "bias")

    def __init__(
        self, equation: str, output_shape: int | Sequence[int | None], activation: Any = None, bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.equation, self.bias_axes, self.activation = equation.replace(" ", ""), bias_axes, activations.get(activation)
        self.output_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.kernel_initializer, self.bias_initializer = kernel_initializer, bias_initializer

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        given, kernel, made = self._terms()
        sizes = _axis_sizes(given, input_shape) | {c: d for c, d in _axis_sizes(made, (None, *self.output_shape)).items() if d is not None}
        shape = [sizes.get(c) for c in kernel]
        if None in shape:
            raise ShapeError(f"EinsumDense({self.equation!r}) needs known sizes for {kernel!r}; its input has the shape {input_shape}")
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer)  # type: ignore[arg-type]
        self.bias = None
        if self.bias_axes:
            first = min(made.replace("...", "").index(c) for c in self.bias_axes)
            shape = [sizes[c] if c in self.bias_axes else 1 for c in made.replace("...", "")[first:]]
            shape += [1] * (len(input_shape) - len(given.replace("...", "")) if made.endswith("...") else 0)
            self.bias = self.add_weight(name="bias", shape=shape, initializer=self.bias_initializer)  # type: ignore[arg-type]

    def _terms(self) -> tuple[str, str, str]:
        left, _, made = self.equation.partition("->")
        given, _, kernel = left.partition(",")
        if not (given and kernel and made):
            raise GraphError(f"the equation of EinsumDense reads 'abc,cd->abd', not {self.equation!r}")
        return given, kernel, made

    def call(self, x: Tensor) -> Tensor:
        given, kernel, made = self._terms()
        summed = "".join(c for c in given if c in kernel and c not in made)
        rows, columns = given.removesuffix(summed), kernel.removeprefix(summed)
        if given == rows + summed and kernel == summed + columns and made == rows + columns and summed:
            y = contract_last(x, self.kernel, len(summed))
        else:
            y = op.Einsum(x, self.kernel, equation=self.equation)
        return self.activation(y + self.bias if self.bias is not None else y)


def contract_last(x: Tensor, kernel: Any, n: int) -> Tensor:
    """x (..., *summed) times kernel (*summed, *new), summed over ``n`` axes, as one matrix product."""
    rows = x.ndim - n
    summed, new = kernel.shape[:n], kernel.shape[n:]
    if n > 1:
        x = op.Reshape(x, [0] * rows + [-1])
    if n > 1 or len(new) > 1:
        size = 1
        for d in summed:
            size *= d
        kernel = op.Reshape(kernel, [size, -1])
    y = op.MatMul(x, kernel)
    return op.Reshape(y, [0] * rows + list(new)) if len(new) != 1 else y


def _axis_sizes(term: str, shape: Sequence[int | None]) -> dict[str, int | None]:
    letters = term.replace("...", "")
    sizes = shape[len(shape) - len(letters) :] if term.startswith("...") else shape[: len(letters)]
    return dict(zip(letters, sizes, strict=True))


class Embedding(Layer):
    """Rows of a table by number: int (...) -> (..., output_dim).

    Args:
        input_dim: how many rows.
        output_dim: how long each is.
        mask_zero: whether the number 0 pads: the layers that follow pass over those steps.
        sparse: whether a training step touches only the rows that its batch looks up, as PyTorch's ``sparse=True`` with
            SGD or SparseAdam: the optimizer's slots of all other rows stay as they are. The table must not be used otherwise.
        weights: the table to begin with, as an array or in a list.
        input_length: Keras's; sequences have the length of the data.
    """

    weight_options = ("embeddings",)
    supports_masking = True

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        mask_zero: bool = False,
        sparse: bool = False,
        weights: Any = None,
        input_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.first_weights = weights
        self.input_dim, self.output_dim, self.mask_zero, self.sparse = input_dim, output_dim, mask_zero, sparse
        self.embeddings_initializer = embeddings_initializer

    def build(self, input_shape: Any) -> None:
        self.embeddings = self.add_weight(
            name="embeddings", shape=(self.input_dim, self.output_dim), initializer=self.embeddings_initializer
        )
        if self.first_weights is not None:
            self.embeddings.value = self.first_weights[0] if isinstance(self.first_weights, list | tuple) else self.first_weights

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments without the first weights, which a file holds as weights."""
        return {name: value for name, value in super().get_config().items() if name not in ("weights", "input_length")}

    def call(self, x: Tensor) -> Tensor:
        ids = x if x.dtype.kind == "i" else op.Cast(x, to="int64")
        return self.embeddings.lookup(ids) if self.sparse else op.Gather(self.embeddings, ids)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return inputs != 0 if self.mask_zero else None


class ReversibleEmbedding(Embedding):
    """An Embedding that also leads back: with ``reverse=True``, (..., output_dim) -> logits (..., input_dim).

    Args:
        input_dim, output_dim, mask_zero: as Embedding's.
        tie_weights: whether the way back uses the same table, or one of its own.
        logit_soft_cap: logits become cap * tanh(logits / cap).
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        mask_zero: bool = False,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_dim, output_dim, embeddings_initializer, mask_zero, **kwargs)
        self.tie_weights, self.logit_soft_cap = tie_weights, logit_soft_cap

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                name="reverse_embeddings", shape=(self.output_dim, self.input_dim), initializer=self.embeddings_initializer
            )

    def call(self, x: Tensor, reverse: bool = False) -> Tensor:
        if not reverse:
            return super().call(x)
        logits = x @ (op.Transpose(self.embeddings) if self.tie_weights else self.reverse_embeddings)
        return op.Tanh(logits / self.logit_soft_cap) * self.logit_soft_cap if self.logit_soft_cap is not None else logits

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return super().compute_mask(inputs, mask) if inputs.dtype.kind == "i" else mask


class Masking(Layer):
    """Steps whose features all equal ``mask_value`` are set to 0 and passed over by the layers that follow."""

    supports_masking = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value

    def call(self, x: Tensor) -> Tensor:
        return op.Where(op.Unsqueeze(self.compute_mask(x), [-1]), x, 0.0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        differs = op.Cast(inputs != self.mask_value, to="float32")
        return op.Cast(op.ReduceMax(differs, [-1], keepdims=0), to="bool")


class Activation(Layer):
    """An activation function as a layer."""

    supports_masking = True

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, x: Tensor) -> Tensor:
        return self.activation(x)


class Identity(Layer):
    """x as it is."""

    supports_masking = True

    def call(self, x: Tensor) -> Tensor:
        return x


class Lambda(Layer):
    """Any function of tensors as a layer; it has no weights, and its configuration holds the function's name only.

    Args:
        function: ``(x, **arguments) -> tensors``; it may also take ``mask`` and ``training``.
        output_shape: Keras's; not needed here, where shapes are inferred.
        mask: the output's mask, or a function ``(inputs, mask)`` of it.
        arguments: further keywords for the function.
    """

    supports_masking = True

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.function, self.mask, self.arguments = function, mask, dict(arguments or {})

    def call(self, x: Any, mask: Any = None, training: bool = False) -> Any:
        accepted = inspect.signature(self.function).parameters
        context = {k: v for k, v in (("mask", mask), ("training", training)) if k in accepted}
        return self.function(x, **{**self.arguments, **context})

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask


class InputLayer(Layer):
    """Where a model begins: ``output`` is its ``Input``. Called, it checks the shape and passes its input on.

    Args:
        shape, batch_size, dtype, batch_shape: as Input's; ``input_shape`` and ``batch_input_shape`` are other names.
        input_tensor: the ``Input`` that it stands for, if there is one already.
    """

    supports_masking = True

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: DTypeLike | None = None,
        batch_shape: Sequence[int | None] | None = None,
        input_tensor: Tensor | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype=dtype or "float32", **kwargs)
        whole = batch_shape or self.batch_input_shape
        if input_tensor is None and whole is None:
            whole = (batch_size, *(shape or ()))
        self._tensor = input_tensor if input_tensor is not None else Input(dtype=dtype, name=self.name, batch_shape=whole)
        sizes = [d if isinstance(d, int) else None for d in self._tensor.shape]
        self.batch_size, self.shape = sizes[0] if sizes else None, tuple(sizes[1:])
        self.note_call((self._tensor,), self._tensor)

    def get_config(self) -> dict[str, Any]:
        """Shape, element type and name."""
        return {"batch_shape": [self.batch_size, *self.shape], "dtype": str(self._tensor.dtype), "name": self.name}

    def call(self, x: Tensor) -> Tensor:
        wanted = (self.batch_size, *self.shape)
        if x.ndim != len(wanted) or any(isinstance(d, int) and w not in (None, d) for d, w in zip(x.shape, wanted, strict=True)):
            raise ShapeError(f"the InputLayer takes the shape {wanted}, not {x.shape}")
        return x
