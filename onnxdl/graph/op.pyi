"""Every ai.onnx operator of onnx 1.23; written by ``python -m onnxdl.graph.stub``, do not edit."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import onnx_ir as ir

from onnxdl.graph.dtypes import DTypeLike
from onnxdl.graph.tensor import Tensor, TensorLike

def Abs(X: TensorLike, /) -> Tensor:
    """Absolute takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where absolute value, y = abs(x), is ..."""

def Acos(input: TensorLike, /) -> Tensor:
    """Calculates the arccosine (inverse of cosine) of the given input tensor, element-wise."""

def Acosh(input: TensorLike, /) -> Tensor:
    """Calculates the hyperbolic arccosine of the given input tensor element-wise."""

def Add(A: TensorLike, B: TensorLike, /) -> Tensor:
    """Performs element-wise binary addition (with Numpy-style broadcasting support)."""

def AffineGrid(theta: TensorLike, size: TensorLike, /, *, align_corners: int | None = 0) -> Tensor:
    """Generates a 2D or 3D flow field (sampling grid), given a batch of affine matrices theta ..."""

def And(A: TensorLike, B: TensorLike, /) -> Tensor:
    """Returns the tensor resulted from performing the `and` logical operation elementwise on the input tensors `A` and `B` (with ..."""

def ArgMax(data: TensorLike, /, *, axis: int | None = 0, keepdims: int | None = 1, select_last_index: int | None = 0) -> Tensor:
    """Computes the indices of the max elements of the input tensor's element along the provided axis."""

def ArgMin(data: TensorLike, /, *, axis: int | None = 0, keepdims: int | None = 1, select_last_index: int | None = 0) -> Tensor:
    """Computes the indices of the min elements of the input tensor's element along the provided axis."""

def Asin(input: TensorLike, /) -> Tensor:
    """Calculates the arcsine (inverse of sine) of the given input tensor, element-wise."""

def Asinh(input: TensorLike, /) -> Tensor:
    """Calculates the hyperbolic arcsine of the given input tensor element-wise."""

def Atan(input: TensorLike, /) -> Tensor:
    """Calculates the arctangent (inverse of tangent) of the given input tensor, element-wise."""

def Atanh(input: TensorLike, /) -> Tensor:
    """Calculates the hyperbolic arctangent of the given input tensor element-wise."""

@overload
def Attention(
    Q: TensorLike,
    K: TensorLike,
    V: TensorLike,
    attn_mask: TensorLike | None = None,
    past_key: TensorLike | None = None,
    past_value: TensorLike | None = None,
    /,
    *,
    is_causal: int | None = 0,
    kv_num_heads: int | None = None,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int | None = 0,
    scale: float | None = None,
    softcap: float | None = 0.0,
    softmax_precision: DTypeLike | None = None,
    outputs: Literal[1] | None = None,
) -> Tensor:
    """Computes scaled dot product attention on query, key and value tensors, using an optional attention mask if passed."""
@overload
def Attention(
    Q: TensorLike,
    K: TensorLike,
    V: TensorLike,
    attn_mask: TensorLike | None = None,
    past_key: TensorLike | None = None,
    past_value: TensorLike | None = None,
    /,
    *,
    is_causal: int | None = 0,
    kv_num_heads: int | None = None,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int | None = 0,
    scale: float | None = None,
    softcap: float | None = 0.0,
    softmax_precision: DTypeLike | None = None,
    outputs: int,
) -> tuple[Tensor, ...]:
    """Computes scaled dot product attention on query, key and value tensors, using an optional attention mask if passed."""

def AveragePool(
    X: TensorLike,
    /,
    *,
    auto_pad: str | None = "NOTSET",
    ceil_mode: int | None = 0,
    count_include_pad: int | None = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """AveragePool consumes an input tensor X and applies average pooling across the tensor according to kernel sizes, stride sizes, ..."""

@overload
def BatchNormalization(
    X: TensorLike,
    scale: TensorLike,
    B: TensorLike,
    input_mean: TensorLike,
    input_var: TensorLike,
    /,
    *,
    epsilon: float | None = 1e-05,
    momentum: float | None = 0.9,
    training_mode: int | None = 0,
    outputs: Literal[1] | None = None,
) -> Tensor:
    """Carries out batch normalization as described in the paper https://arxiv.org/abs/1502.03167."""
@overload
def BatchNormalization(
    X: TensorLike,
    scale: TensorLike,
    B: TensorLike,
    input_mean: TensorLike,
    input_var: TensorLike,
    /,
    *,
    epsilon: float | None = 1e-05,
    momentum: float | None = 0.9,
    training_mode: int | None = 0,
    outputs: int,
) -> tuple[Tensor, ...]:
    """Carries out batch normalization as described in the paper https://arxiv.org/abs/1502.03167."""

def Bernoulli(input: TensorLike, /, *, dtype: DTypeLike | None = None, seed: float | None = None) -> Tensor:
    """Draws binary random numbers (0 or 1) from a Bernoulli distribution."""

def BitCast(input: TensorLike, /, *, to: DTypeLike) -> Tensor:
    """Reinterprets the binary representation of a tensor as a different data type, specified by the 'to' attribute."""

def BitShift(X: TensorLike, Y: TensorLike, /, *, direction: str) -> Tensor:
    """Bitwise shift operator performs element-wise operation."""

def BitwiseAnd(A: TensorLike, B: TensorLike, /) -> Tensor:
    """Returns the tensor resulting from performing the bitwise `and` operation elementwise on the input tensors `A` and `B` (with ..."""

def BitwiseNot(X: TensorLike, /) -> Tensor:
    """Returns the bitwise not of the input tensor element-wise."""

def BitwiseOr(A: TensorLike, B: TensorLike, /) -> Tensor:
    """Returns the tensor resulting from performing the bitwise `or` operation elementwise on the input tensors `A` and `B` (with ..."""

def BitwiseXor(A: TensorLike, B: TensorLike, /) -> Tensor:
    """Returns the tensor resulting from performing the bitwise `xor` operation elementwise on the input tensors `A` and `B` (with ..."""

def BlackmanWindow(size: TensorLike, /, *, output_datatype: DTypeLike | None = 1, periodic: int | None = 1) -> Tensor:
    """Generates a Blackman window as described in the paper https://ieeexplore.ieee.org/document/1455106."""

def Cast(input: TensorLike, /, *, saturate: int | None = 1, to: DTypeLike) -> Tensor:
    """The operator casts the elements of a given input tensor to a data type specified by the 'to' argument and returns an output ..."""

def CastLike(input: TensorLike, target_type: TensorLike, /, *, saturate: int | None = 1) -> Tensor:
    """The operator casts the elements of a given input tensor (the first input) to the same data type as the elements of the second ..."""

def CausalConvWithState(
    input: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    past_state: TensorLike | None = None,
    /,
    *,
    activation: str | None = "none",
) -> tuple[Tensor, Tensor]:
    """Stateful causal 1D depthwise convolution."""

def Ceil(X: TensorLike, /) -> Tensor:
    """Ceil takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the ceil is, y = ceil(x), is applied to ..."""

def Celu(X: TensorLike, /, *, alpha: float | None = 1.0) -> Tensor:
    """Continuously Differentiable Exponential Linear Units: Perform the linear unit element-wise on the input tensor X using formula."""

def CenterCropPad(input_data: TensorLike, shape: TensorLike, /, *, axes: Sequence[int] | None = None) -> Tensor:
    """Center crop or pad an input to given dimensions."""

def Clip(input: TensorLike, min: TensorLike | None = None, max: TensorLike | None = None, /) -> Tensor:
    """Clip operator limits the given input within an interval."""

def Col2Im(
    input: TensorLike,
    image_shape: TensorLike,
    block_shape: TensorLike,
    /,
    *,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """The operator rearranges column blocks back into a multidimensional image."""

def Compress(input: TensorLike, condition: TensorLike, /, *, axis: int | None = None) -> Tensor:
    """Selects slices from an input tensor along a given axis where condition evaluates to True for each axis index."""

def Concat(*inputs: TensorLike, axis: int) -> Tensor:
    """Concatenate a list of tensors into a single tensor."""

def ConcatFromSequence(input_sequence: TensorLike, /, *, axis: int, new_axis: int | None = 0) -> Tensor:
    """Concatenate a sequence of tensors into a single tensor."""

def Constant(
    *,
    sparse_value: ir.SparseTensorProtocol | None = None,
    value: TensorLike | None = None,
    value_float: float | None = None,
    value_floats: Sequence[float] | None = None,
    value_int: int | None = None,
    value_ints: Sequence[int] | None = None,
    value_string: str | None = None,
    value_strings: Sequence[str] | None = None,
) -> Tensor:
    """This operator produces a constant tensor."""

def ConstantOfShape(input: TensorLike, /, *, value: TensorLike | None = None) -> Tensor:
    """Generate a tensor with given value and shape."""

def Conv(
    X: TensorLike,
    W: TensorLike,
    B: TensorLike | None = None,
    /,
    *,
    auto_pad: str | None = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int | None = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """The convolution operator consumes an input tensor and a filter, and computes the output."""

def ConvInteger(
    x: TensorLike,
    w: TensorLike,
    x_zero_point: TensorLike | None = None,
    w_zero_point: TensorLike | None = None,
    /,
    *,
    auto_pad: str | None = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int | None = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """The integer convolution operator consumes an input tensor, its zero-point, a filter, and its zero-point, and computes the output."""

def ConvTranspose(
    X: TensorLike,
    W: TensorLike,
    B: TensorLike | None = None,
    /,
    *,
    auto_pad: str | None = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int | None = 1,
    kernel_shape: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """The convolution transpose operator consumes an input tensor and a filter, and computes the output."""

def Cos(input: TensorLike, /) -> Tensor:
    """Calculates the cosine of the given input tensor, element-wise."""

def Cosh(input: TensorLike, /) -> Tensor:
    """Calculates the hyperbolic cosine of the given input tensor element-wise."""

def CumProd(x: TensorLike, axis: TensorLike, /, *, exclusive: int | None = 0, reverse: int | None = 0) -> Tensor:
    """Performs cumulative product of the input elements along the given axis."""

def CumSum(x: TensorLike, axis: TensorLike, /, *, exclusive: int | None = 0, reverse: int | None = 0) -> Tensor:
    """Performs cumulative sum of the input elements along the given axis."""

def DFT(
    input: TensorLike,
    dft_length: TensorLike | None = None,
    axis: TensorLike | None = None,
    /,
    *,
    inverse: int | None = 0,
    onesided: int | None = 0,
) -> Tensor:
    """Computes the discrete Fourier Transform (DFT) of the input."""

def DeformConv(
    X: TensorLike,
    W: TensorLike,
    offset: TensorLike,
    B: TensorLike | None = None,
    mask: TensorLike | None = None,
    /,
    *,
    dilations: Sequence[int] | None = None,
    group: int | None = 1,
    kernel_shape: Sequence[int] | None = None,
    offset_group: int | None = 1,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """Performs deformable convolution as described in https://arxiv.org/abs/1703.06211 and https://arxiv.org/abs/1811.11168."""

def DepthToSpace(input: TensorLike, /, *, blocksize: int, mode: str | None = "DCR") -> Tensor:
    """DepthToSpace rearranges (permutes) data from depth into blocks of spatial data."""

def DequantizeLinear(
    x: TensorLike,
    x_scale: TensorLike,
    x_zero_point: TensorLike | None = None,
    /,
    *,
    axis: int | None = 1,
    block_size: int | None = 0,
) -> Tensor:
    """The linear dequantization operator."""

def Det(X: TensorLike, /) -> Tensor:
    """Det calculates determinant of a square matrix or batches of square matrices."""

def Div(A: TensorLike, B: TensorLike, /) -> Tensor:
    """Performs element-wise binary division (with Numpy-style broadcasting support)."""

@overload
def Dropout(
    data: TensorLike,
    ratio: TensorLike | None = None,
    training_mode: TensorLike | None = None,
    /,
    *,
    seed: int | None = None,
    outputs: Literal[1] | None = None,
) -> Tensor:
    """Dropout takes an input floating-point tensor, an optional input ratio (floating-point scalar) and an optional input ..."""
@overload
def Dropout(
    data: TensorLike,
    ratio: TensorLike | None = None,
    training_mode: TensorLike | None = None,
    /,
    *,
    seed: int | None = None,
    outputs: int,
) -> tuple[Tensor, ...]:
    """Dropout takes an input floating-point tensor, an optional input ratio (floating-point scalar) and an optional input ..."""

def DynamicQuantizeLinear(x: TensorLike, /) -> tuple[Tensor, Tensor, Tensor]:
    """A Function to fuse calculation for Scale, Zero Point and FP32->8Bit conversion of FP32 Input data."""

def Einsum(*Inputs: TensorLike, equation: str) -> Tensor:
    """An einsum of the form `term1, term2 -> output-term` produces an output tensor using the following equation."""

def Elu(X: TensorLike, /, *, alpha: float | None = 1.0) -> Tensor:
    """Elu takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the function `f(x) = alpha * (exp(x) - ..."""

def Equal(A: TensorLike, B: TensorLike, /) -> Tensor:
    """Returns the tensor resulted from performing the `equal` logical operation elementwise on the input tensors `A` and `B` (with ..."""

def Erf(input: TensorLike, /) -> Tensor:
    """Computes the error function of the given input tensor element-wise."""

def Exp(input: TensorLike, /) -> Tensor:
    """Calculates the exponential of the given input tensor, element-wise."""

def Expand(input: TensorLike, shape: TensorLike, /) -> Tensor:
    """Broadcast the input tensor following the given shape and the broadcast rule."""

def EyeLike(input: TensorLike, /, *, dtype: DTypeLike | None = None, k: int | None = 0) -> Tensor:
    """Generate a 2D tensor (matrix) with ones on the diagonal and zeros everywhere else."""

def Flatten(input: TensorLike, /, *, axis: int | None = 1) -> Tensor:
    """Flattens the input tensor into a 2D matrix."""

def Floor(X: TensorLike, /) -> Tensor:
    """Floor takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the floor is, y = floor(x), is applied ..."""

@overload
def GRU(
    X: TensorLike,
    W: TensorLike,
    R: TensorLike,
    B: TensorLike | None = None,
    sequence_lens: TensorLike | None = None,
    initial_h: TensorLike | None = None,
    /,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str | None = "forward",
    hidden_size: int | None = None,
    layout: int | None = 0,
    linear_before_reset: int | None = 0,
    outputs: Literal[1],
) -> Tensor:
    """Computes an one-layer GRU."""
@overload
def GRU(
    X: TensorLike,
    W: TensorLike,
    R: TensorLike,
    B: TensorLike | None = None,
    sequence_lens: TensorLike | None = None,
    initial_h: TensorLike | None = None,
    /,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str | None = "forward",
    hidden_size: int | None = None,
    layout: int | None = 0,
    linear_before_reset: int | None = 0,
    outputs: int | None = None,
) -> tuple[Tensor, ...]:
    """Computes an one-layer GRU."""

def Gather(data: TensorLike, indices: TensorLike, /, *, axis: int | None = 0) -> Tensor:
    """Given `data` tensor of rank r >= 1, and `indices` tensor of rank q, gather entries of the axis dimension of `data` (by ..."""

def GatherElements(data: TensorLike, indices: TensorLike, /, *, axis: int | None = 0) -> Tensor:
    """GatherElements takes two inputs `data` and `indices` of the same rank r >= 1 and an optional attribute `axis` that identifies ..."""

def GatherND(data: TensorLike, indices: TensorLike, /, *, batch_dims: int | None = 0) -> Tensor:
    """Given `data` tensor of rank `r` >= 1, `indices` tensor of rank `q` >= 1, and `batch_dims` integer `b`, this operator gathers ..."""

def Gelu(X: TensorLike, /, *, approximate: str | None = "none") -> Tensor:
    """Gelu takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the gaussian error linear units ..."""

def Gemm(
    A: TensorLike,
    B: TensorLike,
    C: TensorLike | None = None,
    /,
    *,
    alpha: float | None = 1.0,
    beta: float | None = 1.0,
    transA: int | None = 0,
    transB: int | None = 0,
) -> Tensor:
    """General Matrix multiplication: https://en.wikipedia.org/wiki/Basic_Linear_Algebra_Subprograms#Level_3."""

def GlobalAveragePool(X: TensorLike, /) -> Tensor:
    """GlobalAveragePool consumes an input tensor X and applies average pooling across the values in the same channel."""

def GlobalLpPool(X: TensorLike, /, *, p: int | None = 2) -> Tensor:
    """GlobalLpPool consumes an input tensor X and applies lp pool pooling across the values in the same channel."""

def GlobalMaxPool(X: TensorLike, /) -> Tensor:
    """GlobalMaxPool consumes an input tensor X and applies max pooling across the values in the same channel."""

def Greater(A: TensorLike, B: TensorLike, /) -> Tensor:
    """Returns the tensor resulted from performing the `greater` logical operation elementwise on the input tensors `A` and `B` ..."""

def GreaterOrEqual(A: TensorLike, B: TensorLike, /) -> Tensor:
    """Returns the tensor resulted from performing the `greater_equal` logical operation elementwise on the input tensors `A` and ..."""

def GridSample(
    X: TensorLike,
    grid: TensorLike,
    /,
    *,
    align_corners: int | None = 0,
    mode: str | None = "linear",
    padding_mode: str | None = "zeros",
) -> Tensor:
    """Given an input `X` and a flow-field `grid`, computes the output `Y` using `X` values and pixel locations from the `grid`."""

def GroupNormalization(
    X: TensorLike,
    scale: TensorLike,
    bias: TensorLike,
    /,
    *,
    epsilon: float | None = 1e-05,
    num_groups: int,
    stash_type: DTypeLike | None = 1,
) -> Tensor:
    """A GroupNormalization function."""

def HammingWindow(size: TensorLike, /, *, output_datatype: DTypeLike | None = 1, periodic: int | None = 1) -> Tensor:
    """Generates a Hamming window as described in the paper https://ieeexplore.ieee.org/document/1455106."""

def HannWindow(size: TensorLike, /, *, output_datatype: DTypeLike | None = 1, periodic: int | None = 1) -> Tensor:
    """Generates a Hann window as described in the paper https://ieeexplore.ieee.org/document/1455106."""

def HardSigmoid(X: TensorLike, /, *, alpha: float | None = 0.2, beta: float | None = 0.5) -> Tensor:
    """HardSigmoid takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the HardSigmoid function, y = ..."""

def HardSwish(X: TensorLike, /) -> Tensor:
    """HardSwish takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the HardSwish function, y = x * ..."""

def Hardmax(input: TensorLike, /, *, axis: int | None = -1) -> Tensor:
    """The operator computes the hardmax values for the given input."""

def Identity(input: TensorLike, /) -> Tensor:
    """Identity operator."""

def If(
    cond: TensorLike,
    /,
    *,
    else_branch: Callable[..., Any] | ir.Graph,
    then_branch: Callable[..., Any] | ir.Graph,
    outputs: int | None = None,
) -> Any:
    """If conditional."""

def ImageDecoder(encoded_stream: TensorLike, /, *, pixel_format: str | None = "RGB") -> Tensor:
    """Loads and decodes and image from a file."""

def InstanceNormalization(input: TensorLike, scale: TensorLike, B: TensorLike, /, *, epsilon: float | None = 1e-05) -> Tensor:
    """Carries out instance normalization as described in the paper https://arxiv.org/abs/1607.08022."""

def IsInf(X: TensorLike, /, *, detect_negative: int | None = 1, detect_positive: int | None = 1) -> Tensor:
    """Map infinity to true and other values to false."""

def IsNaN(X: TensorLike, /) -> Tensor:
    """Returns which elements of the input are NaN."""

def LRN(X: TensorLike, /, *, alpha: float | None = 1e-04, beta: float | None = 0.75, bias: float | None = 1.0, size: int) -> Tensor:
    """Local Response Normalization proposed in the [AlexNet ..."""

@overload
def LSTM(
    X: TensorLike,
    W: TensorLike,
    R: TensorLike,
    B: TensorLike | None = None,
    sequence_lens: TensorLike | None = None,
    initial_h: TensorLike | None = None,
    initial_c: TensorLike | None = None,
    P: TensorLike | None = None,
    /,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str | None = "forward",
    hidden_size: int | None = None,
    input_forget: int | None = 0,
    layout: int | None = 0,
    outputs: Literal[1],
) -> Tensor:
    """Computes an one-layer LSTM."""
@overload
def LSTM(
    X: TensorLike,
    W: TensorLike,
    R: TensorLike,
    B: TensorLike | None = None,
    sequence_lens: TensorLike | None = None,
    initial_h: TensorLike | None = None,
    initial_c: TensorLike | None = None,
    P: TensorLike | None = None,
    /,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str | None = "forward",
    hidden_size: int | None = None,
    input_forget: int | None = 0,
    layout: int | None = 0,
    outputs: int | None = None,
) -> tuple[Tensor, ...]:
    """Computes an one-layer LSTM."""

@overload
def LayerNormalization(
    X: TensorLike,
    Scale: TensorLike,
    B: TensorLike | None = None,
    /,
    *,
    axis: int | None = -1,
    epsilon: float | None = 1e-05,
    stash_type: DTypeLike | None = 1,
    outputs: Literal[1] | None = None,
) -> Tensor:
    """This is layer normalization defined in ONNX as function."""
@overload
def LayerNormalization(
    X: TensorLike,
    Scale: TensorLike,
    B: TensorLike | None = None,
    /,
    *,
    axis: int | None = -1,
    epsilon: float | None = 1e-05,
    stash_type: DTypeLike | None = 1,
    outputs: int,
) -> tuple[Tensor, ...]:
    """This is layer normalization defined in ONNX as function."""

def LeakyRelu(X: TensorLike, /, *, alpha: float | None = 0.01) -> Tensor:
    """LeakyRelu takes input data (Tensor<T>) and an argument alpha, and produces one output data (Tensor<T>) where the function ..."""

def Less(A: TensorLike, B: TensorLike, /) -> Tensor:
    """Returns the tensor resulted from performing the `less` logical operation elementwise on the input tensors `A` and `B` (with ..."""

def LessOrEqual(A: TensorLike, B: TensorLike, /) -> Tensor:
    """Returns the tensor resulted from performing the `less_equal` logical operation elementwise on the input tensors `A` and `B` ..."""

def LinearAttention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    past_state: TensorLike | None = None,
    decay: TensorLike | None = None,
    beta: TensorLike | None = None,
    /,
    *,
    chunk_size: int | None = 64,
    kv_num_heads: int,
    q_num_heads: int,
    scale: float | None = 0.0,
    update_rule: str | None = "gated_delta",
) -> tuple[Tensor, Tensor]:
    """Unified linear attention operator for autoregressive decoding (T=1) and prefill (T>1)."""

def Log(input: TensorLike, /) -> Tensor:
    """Calculates the natural log of the given input tensor, element-wise."""

def LogSoftmax(input: TensorLike, /, *, axis: int | None = -1) -> Tensor:
    """The operator computes the log of softmax values for the given input."""

def Loop(
    M: TensorLike | None,
    cond: TensorLike | None,
    /,
    *v_initial: TensorLike,
    body: Callable[..., Any] | ir.Graph,
    outputs: int | None = None,
) -> Any:
    """Generic Looping construct."""

def LpNormalization(input: TensorLike, /, *, axis: int | None = -1, p: int | None = 2) -> Tensor:
    """Given a matrix, apply Lp-normalization along the provided axis."""

def LpPool(
    X: TensorLike,
    /,
    *,
    auto_pad: str | None = "NOTSET",
    ceil_mode: int | None = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    p: int | None = 2,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """LpPool consumes an input tensor X and applies Lp pooling across the tensor according to kernel sizes, stride sizes, and pad ..."""

def MatMul(A: TensorLike, B: TensorLike, /) -> Tensor:
    """Matrix product that behaves like [numpy.matmul](https://numpy.org/doc/stable/reference/generated/numpy.matmul.html)."""

def MatMulInteger(
    A: TensorLike,
    B: TensorLike,
    a_zero_point: TensorLike | None = None,
    b_zero_point: TensorLike | None = None,
    /,
) -> Tensor:
    """Matrix product that behaves like [numpy.matmul](https://numpy.org/doc/stable/reference/generated/numpy.matmul.html)."""

def Max(*data_0: TensorLike) -> Tensor:
    """Element-wise max of each of the input tensors (with Numpy-style broadcasting support)."""

@overload
def MaxPool(
    X: TensorLike,
    /,
    *,
    auto_pad: str | None = "NOTSET",
    ceil_mode: int | None = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    storage_order: int | None = 0,
    strides: Sequence[int] | None = None,
    outputs: Literal[1] | None = None,
) -> Tensor:
    """MaxPool consumes an input tensor X and applies max pooling across the tensor according to kernel sizes, stride sizes, and pad ..."""
@overload
def MaxPool(
    X: TensorLike,
    /,
    *,
    auto_pad: str | None = "NOTSET",
    ceil_mode: int | None = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    storage_order: int | None = 0,
    strides: Sequence[int] | None = None,
    outputs: int,
) -> tuple[Tensor, ...]:
    """MaxPool consumes an input tensor X and applies max pooling across the tensor according to kernel sizes, stride sizes, and pad ..."""

def MaxRoiPool(X: TensorLike, rois: TensorLike, /, *, pooled_shape: Sequence[int], spatial_scale: float | None = 1.0) -> Tensor:
    """ROI max pool consumes an input tensor X and region of interests (RoIs) to apply max pooling across each RoI, to produce ..."""

def MaxUnpool(
    X: TensorLike,
    I: TensorLike,
    output_shape: TensorLike | None = None,
    /,
    *,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """MaxUnpool essentially computes the partial inverse of the MaxPool op."""

def Mean(*data_0: TensorLike) -> Tensor:
    """Element-wise mean of each of the input tensors (with Numpy-style broadcasting support)."""

def MeanVarianceNormalization(X: TensorLike, /, *, axes: Sequence[int] | None = ...) -> Tensor:
    """A MeanVarianceNormalization Function: Perform mean variance normalization on the input tensor X using formula: ..."""

def MelWeightMatrix(
    num_mel_bins: TensorLike,
    dft_length: TensorLike,
    sample_rate: TensorLike,
    lower_edge_hertz: TensorLike,
    upper_edge_hertz: TensorLike,
    /,
    *,
    output_datatype: DTypeLike | None = 1,
) -> Tensor:
    """Generate a MelWeightMatrix that can be used to re-weight a Tensor containing a linearly sampled frequency spectra (from DFT ..."""

def Min(*data_0: TensorLike) -> Tensor:
    """Element-wise min of each of the input tensors (with Numpy-style broadcasting support)."""

def Mish(X: TensorLike, /) -> Tensor:
    """Mish: A Self Regularized Non-Monotonic Neural Activation Function."""

def Mod(A: TensorLike, B: TensorLike, /, *, fmod: int | None = 0) -> Tensor:
    """Performs an element-wise binary modulo operation."""

def Mul(A: TensorLike, B: TensorLike, /) -> Tensor:
    """Performs element-wise binary multiplication (with Numpy-style broadcasting support)."""

def Multinomial(input: TensorLike, /, *, dtype: DTypeLike | None = 6, sample_size: int | None = 1, seed: float | None = None) -> Tensor:
    """Generate a tensor of samples from a multinomial distribution according to the probabilities of each of the possible outcomes."""

def Neg(X: TensorLike, /) -> Tensor:
    """Neg takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where each element flipped sign, y = -x, is ..."""

def NegativeLogLikelihoodLoss(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    /,
    *,
    ignore_index: int | None = None,
    reduction: str | None = "mean",
) -> Tensor:
    """A NegativeLogLikelihoodLoss operator computes (weighted) negative log likelihood loss."""

def NonMaxSuppression(
    boxes: TensorLike,
    scores: TensorLike,
    max_output_boxes_per_class: TensorLike | None = None,
    iou_threshold: TensorLike | None = None,
    score_threshold: TensorLike | None = None,
    /,
    *,
    center_point_box: int | None = 0,
) -> Tensor:
    """Filter out boxes that have high intersection-over-union (IOU) overlap with previously selected boxes."""

def NonZero(X: TensorLike, /) -> Tensor:
    """Returns the indices of the elements that are non-zero (in row-major order - by dimension)."""

def Not(X: TensorLike, /) -> Tensor:
    """Returns the negation of the input tensor element-wise."""

def OneHot(indices: TensorLike, depth: TensorLike, values: TensorLike, /, *, axis: int | None = -1) -> Tensor:
    """Produces a one-hot tensor based on inputs."""

def Optional(input: TensorLike | None = None, /, *, type: ir.TypeAndShape | None = None) -> Tensor:
    """Constructs an optional-type value containing either an empty optional of a certain type specified by the attribute, or a ..."""

def OptionalGetElement(input: TensorLike, /) -> Tensor:
    """If the input is a tensor or sequence type, it returns the input."""

def OptionalHasElement(input: TensorLike | None = None, /) -> Tensor:
    """Returns true if (1) the input is an optional-type and contains an element, or, (2) the input is a tensor or sequence type."""

def Or(A: TensorLike, B: TensorLike, /) -> Tensor:
    """Returns the tensor resulted from performing the `or` logical operation elementwise on the input tensors `A` and `B` (with ..."""

def PRelu(X: TensorLike, slope: TensorLike, /) -> Tensor:
    """PRelu takes input data (Tensor<T>) and slope tensor as input, and produces one output data (Tensor<T>) where the function ..."""

def Pad(
    data: TensorLike,
    pads: TensorLike,
    constant_value: TensorLike | None = None,
    axes: TensorLike | None = None,
    /,
    *,
    mode: str | None = "constant",
) -> Tensor:
    """Given a tensor containing the data to be padded (`data`), a tensor containing the number of start and end pad values for axis ..."""

def Pow(X: TensorLike, Y: TensorLike, /) -> Tensor:
    """Pow takes input data (Tensor<T>) and exponent Tensor, and produces one output data (Tensor<T>) where the function `f(x) = ..."""

def QLinearConv(
    x: TensorLike,
    x_scale: TensorLike,
    x_zero_point: TensorLike,
    w: TensorLike,
    w_scale: TensorLike,
    w_zero_point: TensorLike,
    y_scale: TensorLike,
    y_zero_point: TensorLike,
    B: TensorLike | None = None,
    /,
    *,
    auto_pad: str | None = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int | None = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """The convolution operator consumes a quantized input tensor, its scale and zero point, a quantized filter, its scale and zero ..."""

def QLinearMatMul(
    a: TensorLike,
    a_scale: TensorLike,
    a_zero_point: TensorLike,
    b: TensorLike,
    b_scale: TensorLike,
    b_zero_point: TensorLike,
    y_scale: TensorLike,
    y_zero_point: TensorLike,
    /,
) -> Tensor:
    """Matrix product that behaves like [numpy.matmul](https://numpy.org/doc/stable/reference/generated/numpy.matmul.html)."""

def QuantizeLinear(
    x: TensorLike,
    y_scale: TensorLike,
    y_zero_point: TensorLike | None = None,
    /,
    *,
    axis: int | None = 1,
    block_size: int | None = 0,
    output_dtype: DTypeLike | None = 0,
    saturate: int | None = 1,
) -> Tensor:
    """The linear quantization operator consumes a high-precision tensor, a scale, and a zero point to compute the ..."""

def RMSNormalization(
    X: TensorLike,
    scale: TensorLike,
    /,
    *,
    axis: int | None = -1,
    epsilon: float | None = 1e-05,
    stash_type: DTypeLike | None = 1,
) -> Tensor:
    """This is RMS normalization defined in ONNX as function as described in the paper https://arxiv.org/pdf/1910.07467."""

@overload
def RNN(
    X: TensorLike,
    W: TensorLike,
    R: TensorLike,
    B: TensorLike | None = None,
    sequence_lens: TensorLike | None = None,
    initial_h: TensorLike | None = None,
    /,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = ...,
    clip: float | None = None,
    direction: str | None = "forward",
    hidden_size: int | None = None,
    layout: int | None = 0,
    outputs: Literal[1],
) -> Tensor:
    """Computes an one-layer simple RNN."""
@overload
def RNN(
    X: TensorLike,
    W: TensorLike,
    R: TensorLike,
    B: TensorLike | None = None,
    sequence_lens: TensorLike | None = None,
    initial_h: TensorLike | None = None,
    /,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = ...,
    clip: float | None = None,
    direction: str | None = "forward",
    hidden_size: int | None = None,
    layout: int | None = 0,
    outputs: int | None = None,
) -> tuple[Tensor, ...]:
    """Computes an one-layer simple RNN."""

def RandomNormal(
    *,
    dtype: DTypeLike | None = 1,
    mean: float | None = 0.0,
    scale: float | None = 1.0,
    seed: float | None = None,
    shape: Sequence[int],
) -> Tensor:
    """Generate a tensor with random values drawn from a normal distribution."""

def RandomNormalLike(
    input: TensorLike,
    /,
    *,
    dtype: DTypeLike | None = None,
    mean: float | None = 0.0,
    scale: float | None = 1.0,
    seed: float | None = None,
) -> Tensor:
    """Generate a tensor with random values drawn from a normal distribution."""

def RandomUniform(
    *,
    dtype: DTypeLike | None = 1,
    high: float | None = 1.0,
    low: float | None = 0.0,
    seed: float | None = None,
    shape: Sequence[int],
) -> Tensor:
    """Generate a tensor with random values drawn from a uniform distribution."""

def RandomUniformLike(
    input: TensorLike,
    /,
    *,
    dtype: DTypeLike | None = None,
    high: float | None = 1.0,
    low: float | None = 0.0,
    seed: float | None = None,
) -> Tensor:
    """Generate a tensor with random values drawn from a uniform distribution."""

def Range(start: TensorLike, limit: TensorLike, delta: TensorLike, /) -> Tensor:
    """Generate a tensor containing a sequence of numbers that begin at `start` and extends by increments of `delta` up to `limit` ..."""

def Reciprocal(X: TensorLike, /) -> Tensor:
    """Reciprocal takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the reciprocal is, y = 1/x, is ..."""

def ReduceL1(
    data: TensorLike,
    axes: TensorLike | None = None,
    /,
    *,
    keepdims: int | None = 1,
    noop_with_empty_axes: int | None = 0,
) -> Tensor:
    """Computes the L1 norm of the input tensor's elements along the provided axes."""

def ReduceL2(
    data: TensorLike,
    axes: TensorLike | None = None,
    /,
    *,
    keepdims: int | None = 1,
    noop_with_empty_axes: int | None = 0,
) -> Tensor:
    """Computes the L2 norm of the input tensor's elements along the provided axes."""

def ReduceLogSum(
    data: TensorLike,
    axes: TensorLike | None = None,
    /,
    *,
    keepdims: int | None = 1,
    noop_with_empty_axes: int | None = 0,
) -> Tensor:
    """Computes the log sum of the input tensor's elements along the provided axes."""

def ReduceLogSumExp(
    data: TensorLike,
    axes: TensorLike | None = None,
    /,
    *,
    keepdims: int | None = 1,
    noop_with_empty_axes: int | None = 0,
) -> Tensor:
    """Computes the log sum exponent of the input tensor's elements along the provided axes."""

def ReduceMax(
    data: TensorLike,
    axes: TensorLike | None = None,
    /,
    *,
    keepdims: int | None = 1,
    noop_with_empty_axes: int | None = 0,
) -> Tensor:
    """Computes the max of the input tensor's elements along the provided axes."""

def ReduceMean(
    data: TensorLike,
    axes: TensorLike | None = None,
    /,
    *,
    keepdims: int | None = 1,
    noop_with_empty_axes: int | None = 0,
) -> Tensor:
    """Computes the mean of the input tensor's elements along the provided axes."""

def ReduceMin(
    data: TensorLike,
    axes: TensorLike | None = None,
    /,
    *,
    keepdims: int | None = 1,
    noop_with_empty_axes: int | None = 0,
) -> Tensor:
    """Computes the min of the input tensor's elements along the provided axes."""

def ReduceProd(
    data: TensorLike,
    axes: TensorLike | None = None,
    /,
    *,
    keepdims: int | None = 1,
    noop_with_empty_axes: int | None = 0,
) -> Tensor:
    """Computes the product of the input tensor's elements along the provided axes."""

def ReduceSum(
    data: TensorLike,
    axes: TensorLike | None = None,
    /,
    *,
    keepdims: int | None = 1,
    noop_with_empty_axes: int | None = 0,
) -> Tensor:
    """Computes the sum of the input tensor's elements along the provided axes."""

def ReduceSumSquare(
    data: TensorLike,
    axes: TensorLike | None = None,
    /,
    *,
    keepdims: int | None = 1,
    noop_with_empty_axes: int | None = 0,
) -> Tensor:
    """Computes the sum square of the input tensor's elements along the provided axes."""

def RegexFullMatch(X: TensorLike, /, *, pattern: str | None = None) -> Tensor:
    """RegexFullMatch performs a full regex match on each element of the input tensor."""

def Relu(X: TensorLike, /) -> Tensor:
    """Relu takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the rectified linear function, y = ..."""

def Reshape(data: TensorLike, shape: TensorLike, /, *, allowzero: int | None = 0) -> Tensor:
    """Reshape the input tensor similar to numpy.reshape."""

def Resize(
    X: TensorLike,
    roi: TensorLike | None = None,
    scales: TensorLike | None = None,
    sizes: TensorLike | None = None,
    /,
    *,
    antialias: int | None = 0,
    axes: Sequence[int] | None = None,
    coordinate_transformation_mode: str | None = "half_pixel",
    cubic_coeff_a: float | None = -0.75,
    exclude_outside: int | None = 0,
    extrapolation_value: float | None = 0.0,
    keep_aspect_ratio_policy: str | None = "stretch",
    mode: str | None = "nearest",
    nearest_mode: str | None = "round_prefer_floor",
) -> Tensor:
    """Resize the input tensor."""

def ReverseSequence(input: TensorLike, sequence_lens: TensorLike, /, *, batch_axis: int | None = 1, time_axis: int | None = 0) -> Tensor:
    """Reverse batch of sequences having different lengths specified by `sequence_lens`."""

def RoiAlign(
    X: TensorLike,
    rois: TensorLike,
    batch_indices: TensorLike,
    /,
    *,
    coordinate_transformation_mode: str | None = "half_pixel",
    mode: str | None = "avg",
    output_height: int | None = 1,
    output_width: int | None = 1,
    sampling_ratio: int | None = 0,
    spatial_scale: float | None = 1.0,
) -> Tensor:
    """Region of Interest (RoI) align operation described in the [Mask R-CNN paper](https://arxiv.org/abs/1703.06870)."""

def RotaryEmbedding(
    X: TensorLike,
    cos_cache: TensorLike,
    sin_cache: TensorLike,
    position_ids: TensorLike | None = None,
    /,
    *,
    interleaved: int | None = 0,
    num_heads: int | None = None,
    rotary_embedding_dim: int | None = 0,
) -> Tensor:
    """RotaryEmbedding is the implementation of rotary positional embeddings (RoPE) based on the paper https://arxiv.org/pdf/2104.09864."""

def Round(X: TensorLike, /) -> Tensor:
    """Round takes one input Tensor and rounds the values, element-wise, meaning it finds the nearest integer for each value."""

def STFT(
    signal: TensorLike,
    frame_step: TensorLike,
    window: TensorLike | None = None,
    frame_length: TensorLike | None = None,
    /,
    *,
    onesided: int | None = 1,
) -> Tensor:
    """Computes the Short-time Fourier Transform of the signal."""

def Scan(
    *initial_state_and_scan_inputs: TensorLike,
    body: Callable[..., Any] | ir.Graph,
    num_scan_inputs: int,
    scan_input_axes: Sequence[int] | None = None,
    scan_input_directions: Sequence[int] | None = None,
    scan_output_axes: Sequence[int] | None = None,
    scan_output_directions: Sequence[int] | None = None,
    outputs: int | None = None,
) -> Any:
    """Scan can be used to iterate over one or more scan_input tensors, constructing zero or more scan_output tensors."""

def ScatterElements(
    data: TensorLike,
    indices: TensorLike,
    updates: TensorLike,
    /,
    *,
    axis: int | None = 0,
    reduction: str | None = "none",
) -> Tensor:
    """ScatterElements takes three inputs `data`, `updates`, and `indices` of the same rank r >= 1 and an optional attribute axis ..."""

def ScatterND(data: TensorLike, indices: TensorLike, updates: TensorLike, /, *, reduction: str | None = "none") -> Tensor:
    """ScatterND takes three inputs `data` tensor of rank r >= 1, `indices` tensor of rank q >= 1, and `updates` tensor of rank q + ..."""

def Selu(X: TensorLike, /, *, alpha: float | None = 1.6732632, gamma: float | None = 1.050701) -> Tensor:
    """Selu takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the scaled exponential linear unit ..."""

def SequenceAt(input_sequence: TensorLike, position: TensorLike, /) -> Tensor:
    """Outputs a tensor copy from the tensor at 'position' in 'input_sequence'."""

def SequenceConstruct(*inputs: TensorLike) -> Tensor:
    """Construct a tensor sequence containing 'inputs' tensors."""

def SequenceEmpty(*, dtype: DTypeLike | None = None) -> Tensor:
    """Construct an empty tensor sequence, with given data type."""

def SequenceErase(input_sequence: TensorLike, position: TensorLike | None = None, /) -> Tensor:
    """Outputs a tensor sequence that removes the tensor at 'position' from 'input_sequence'."""

def SequenceInsert(input_sequence: TensorLike, tensor: TensorLike, position: TensorLike | None = None, /) -> Tensor:
    """Outputs a tensor sequence that inserts 'tensor' into 'input_sequence' at 'position'."""

def SequenceLength(input_sequence: TensorLike, /) -> Tensor:
    """Produces a scalar(tensor of empty shape) containing the number of tensors in 'input_sequence'."""

def SequenceMap(
    input_sequence: TensorLike,
    /,
    *additional_inputs: TensorLike,
    body: Callable[..., Any] | ir.Graph,
    outputs: int | None = None,
) -> Any:
    """Applies a sub-graph to each sample in the input sequence(s)."""

def Shape(data: TensorLike, /, *, end: int | None = None, start: int | None = 0) -> Tensor:
    """Takes a tensor as input and outputs an 1D int64 tensor containing the shape of the input tensor."""

def Shrink(input: TensorLike, /, *, bias: float | None = 0.0, lambd: float | None = 0.5) -> Tensor:
    """Shrink takes one input data (Tensor<numeric>) and produces one Tensor output, having same datatype and shape with input."""

def Sigmoid(X: TensorLike, /) -> Tensor:
    """Sigmoid takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the sigmoid function, y = 1 / (1 + ..."""

def Sign(input: TensorLike, /) -> Tensor:
    """Calculate the sign of the given input tensor element-wise."""

def Sin(input: TensorLike, /) -> Tensor:
    """Calculates the sine of the given input tensor, element-wise."""

def Sinh(input: TensorLike, /) -> Tensor:
    """Calculates the hyperbolic sine of the given input tensor element-wise."""

def Size(data: TensorLike, /) -> Tensor:
    """Takes a tensor as input and outputs a int64 scalar that equals to the total number of elements of the input tensor."""

def Slice(
    data: TensorLike,
    starts: TensorLike,
    ends: TensorLike,
    axes: TensorLike | None = None,
    steps: TensorLike | None = None,
    /,
) -> Tensor:
    """Produces a slice of the input tensor along multiple axes."""

def Softmax(input: TensorLike, /, *, axis: int | None = -1) -> Tensor:
    """The operator computes the normalized exponential values for the given input."""

@overload
def SoftmaxCrossEntropyLoss(
    scores: TensorLike,
    labels: TensorLike,
    weights: TensorLike | None = None,
    /,
    *,
    ignore_index: int | None = None,
    reduction: str | None = "mean",
    outputs: Literal[1] | None = None,
) -> Tensor:
    """Loss function that measures the softmax cross entropy between 'scores' and 'labels'."""
@overload
def SoftmaxCrossEntropyLoss(
    scores: TensorLike,
    labels: TensorLike,
    weights: TensorLike | None = None,
    /,
    *,
    ignore_index: int | None = None,
    reduction: str | None = "mean",
    outputs: int,
) -> tuple[Tensor, ...]:
    """Loss function that measures the softmax cross entropy between 'scores' and 'labels'."""

def Softplus(X: TensorLike, /) -> Tensor:
    """Softplus takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the softplus function, y = ln(exp(x) ..."""

def Softsign(input: TensorLike, /) -> Tensor:
    """Calculates the softsign (x/(1+|x|)) of the given input tensor element-wise."""

def SpaceToDepth(input: TensorLike, /, *, blocksize: int) -> Tensor:
    """SpaceToDepth rearranges blocks of spatial data into depth."""

def Split(
    input: TensorLike,
    split: TensorLike | None = None,
    /,
    *,
    axis: int | None = 0,
    num_outputs: int | None = None,
    outputs: int | None = None,
) -> Any:
    """Split a tensor into a list of tensors, along the specified 'axis'."""

def SplitToSequence(input: TensorLike, split: TensorLike | None = None, /, *, axis: int | None = 0, keepdims: int | None = 1) -> Tensor:
    """Split a tensor into a sequence of tensors, along the specified 'axis'."""

def Sqrt(X: TensorLike, /) -> Tensor:
    """Square root takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the square root is, y = x^0.5, is ..."""

def Squeeze(data: TensorLike, axes: TensorLike | None = None, /) -> Tensor:
    """Remove single-dimensional entries from the shape of a tensor."""

def StringConcat(X: TensorLike, Y: TensorLike, /) -> Tensor:
    """StringConcat concatenates string tensors elementwise (with NumPy-style broadcasting support)."""

def StringNormalizer(
    X: TensorLike,
    /,
    *,
    case_change_action: str | None = "NONE",
    is_case_sensitive: int | None = 0,
    locale: str | None = None,
    stopwords: Sequence[str] | None = None,
) -> Tensor:
    """StringNormalization performs string operations for basic cleaning."""

def StringSplit(X: TensorLike, /, *, delimiter: str | None = None, maxsplit: int | None = None) -> tuple[Tensor, Tensor]:
    """StringSplit splits a string tensor's elements into substrings based on a delimiter attribute and a maxsplit attribute."""

def Sub(A: TensorLike, B: TensorLike, /) -> Tensor:
    """Performs element-wise binary subtraction (with Numpy-style broadcasting support)."""

def Sum(*data_0: TensorLike) -> Tensor:
    """Element-wise sum of each of the input tensors (with Numpy-style broadcasting support)."""

def SwiGLU(A: TensorLike, B: TensorLike, /, *, alpha: float | None = 1.0) -> Tensor:
    """SwiGLU is a gated activation that takes two inputs, a gate `A` and a linear (value) input `B`, and produces one output `Y`."""

def Swish(X: TensorLike, /, *, alpha: float | None = 1.0) -> Tensor:
    """Swish function takes one input data (Tensor<T>) and produces one output data (Tensor<T>) of the same shape, where $Swish(x) = ..."""

def Tan(input: TensorLike, /) -> Tensor:
    """Calculates the tangent of the given input tensor, element-wise."""

def Tanh(input: TensorLike, /) -> Tensor:
    """Calculates the hyperbolic tangent of the given input tensor element-wise."""

def TensorScatter(
    past_cache: TensorLike,
    update: TensorLike,
    write_indices: TensorLike | None = None,
    /,
    *,
    axis: int | None = -2,
    mode: str | None = "linear",
) -> Tensor:
    """TensorScatter is a generic tensor update operation, motivated by the requirements for KV cache updates for Attention ops ..."""

def TfIdfVectorizer(
    X: TensorLike,
    /,
    *,
    max_gram_length: int,
    max_skip_count: int,
    min_gram_length: int,
    mode: str,
    ngram_counts: Sequence[int],
    ngram_indexes: Sequence[int],
    pool_int64s: Sequence[int] | None = None,
    pool_strings: Sequence[str] | None = None,
    weights: Sequence[float] | None = None,
) -> Tensor:
    """This transform extracts n-grams from the input sequence and save them as a vector."""

def ThresholdedRelu(X: TensorLike, /, *, alpha: float | None = 1.0) -> Tensor:
    """ThresholdedRelu takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the rectified linear ..."""

def Tile(input: TensorLike, repeats: TensorLike, /) -> Tensor:
    """Constructs a tensor by tiling a given tensor."""

def TopK(
    X: TensorLike,
    K: TensorLike,
    /,
    *,
    axis: int | None = -1,
    largest: int | None = 1,
    sorted: int | None = 1,
) -> tuple[Tensor, Tensor]:
    """Retrieve the top-K largest or smallest elements along a specified axis."""

def Transpose(data: TensorLike, /, *, perm: Sequence[int] | None = None) -> Tensor:
    """Returns a transpose of the input tensor."""

def Trilu(input: TensorLike, k: TensorLike | None = None, /, *, upper: int | None = 1) -> Tensor:
    """Given a 2-D matrix or batches of 2-D matrices, returns the upper or lower triangular part of the tensor(s)."""

@overload
def Unique(X: TensorLike, /, *, axis: int | None = None, sorted: int | None = 1, outputs: Literal[1] | None = None) -> Tensor:
    """Find the unique elements of a tensor."""
@overload
def Unique(X: TensorLike, /, *, axis: int | None = None, sorted: int | None = 1, outputs: int) -> tuple[Tensor, ...]:
    """Find the unique elements of a tensor."""

def Unsqueeze(data: TensorLike, axes: TensorLike, /) -> Tensor:
    """Insert single-dimensional entries to the shape of an input tensor (`data`)."""

def Where(condition: TensorLike, X: TensorLike, Y: TensorLike, /) -> Tensor:
    """Return elements, either from X or Y, depending on condition."""

def Xor(A: TensorLike, B: TensorLike, /) -> Tensor:
    """Returns the tensor resulted from performing the `xor` logical operation elementwise on the input tensors `A` and `B` (with ..."""
