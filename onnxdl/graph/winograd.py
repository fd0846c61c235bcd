r"""3x3 convolution of stride 1 by Winograd's algorithm F(4x4, 3x3), in standard operators (Lavin and Gray 2016).

Each 4x4 tile of the output is :math:`A^T [(G w G^T) \odot (B^T x B)] A` with a 6x6 tile of the input: 36 products for each pair
of channels instead of 144. The three transforms are products with Kronecker squares of A, B and G, the sum over channels is 36
matrix products at once. The gradient of the weights is :math:`G^T [(B^T x B) \odot (A g A^T)] G` with the same transform of the
input, so a training step computes that once.

Space is the outer axis inside, batch and channels the inner ones: gathering tiles then copies whole rows and asks for no known
batch size. The rounding error is that of Winograd's algorithm everywhere, 4e-6 to 1e-5 of the largest value in float32, ten
times that of the direct sum.

Measured on the CPU provider, one thread, forward and both gradients in ms, against its own best direct forms: 64 channels 32x32
54.1 and 89.1, 128 channels 16x16 36.4 and 84.2, 64 channels 8x8 2.62 and 7.15, 32 channels 16x16 3.42 and 6.94.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

ASSUMED_BATCH = 16
"""What an unknown batch is taken for in the choice between the forms."""


class Form(NamedTuple):
    """F(m x m, 3x3): output tiles of m x m by the matrices A [m, m + 2], B [m + 2, m + 2] and G [m + 2, 3]; m = 1 is the direct sum."""

    m: int
    a: np.ndarray
    b: np.ndarray
    g: np.ndarray


_SIXTHS = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], float) / 24
FORMS = (
    Form(
        4,
        np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], float),
        np.array(
            [
                *[[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0]],
                *[[0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]],
            ],
            float,
        ),
        _SIXTHS,
    ),
    Form(
        2,
        np.array([[1, 1, 1, 0], [0, 1, -1, -1]], float),
        np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], float),
        np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]], float) / 2,
    ),
    Form(1, np.ones((1, 3)), np.eye(3), np.eye(3)),
)


def best_form(channels: int, filters: int, space: Sequence[int], exact: bool) -> Form | None:
    """The form that is quickest for this size of output, None if Conv is; ``exact`` leaves only direct sums.

    The costs are nanoseconds of one thread, fitted to the measurements above: 0.02 for a multiplication and addition in a
    product, 1 for an element that is gathered and transformed, 0.5 for one that is transformed back, 1.1 for an element of the
    transformed weights. Conv makes columns, and a map of fewer than 16 places leaves its product half empty.
    """
    places = space[0] * space[1] * ASSUMED_BATCH
    columns = max(space[0] * space[1], 16) * ASSUMED_BATCH
    least = 0.9 * (0.025 * 9 * channels * filters * columns + 0.35 * 9 * channels * places)
    best = None
    for form in FORMS:
        if exact and form.m > 1:
            continue
        side = (form.m + 2) ** 2
        tiles = -(-space[0] // form.m) * -(-space[1] // form.m) * ASSUMED_BATCH
        there, back = (1 + 0.02 * side) * channels, (0.5 + 0.02 * form.m**2) * filters
        cost = side * (tiles * (there + back + 0.02 * channels * filters) + 1.1 * channels * filters)
        if cost < least:
            best, least = form, cost
    return best


def convolution(x: Tensor, w: Tensor, pads: Sequence[int], form: Form, *, transposed: bool = False) -> Tensor:
    """``Conv(x, w)`` of x [N, C, H, W] and w [M, C, 3, 3], or with ``transposed`` its adjoint, of x [N, M, H, W].

    All sizes but N are known; the padding is (top, left, bottom, right). That of an adjoint is the one of its own input.
    """
    m, side = form.m, (form.m + 2) ** 2
    channels, height, width = (int(d) for d in x.shape[1:])
    filters = int(w.shape[1 if transposed else 0])
    out = (height + pads[0] + pads[2] - 2, width + pads[1] + pads[3] - 2)
    v = _input_tiles(x, pads, out, form)
    kernel = np.kron(form.g, form.g).reshape(side, 3, 3)
    if transposed:  # the kernel turned by 180 degrees: the transform of it, turned instead
        kernel = kernel[:, ::-1, ::-1]
    taps_last = op.Reshape(w, _ints(channels * filters, 9))  # transposed within the products only: to move a weight costs more
    u = op.MatMul(_of(kernel.reshape(side, 9), w), op.Transpose(taps_last, perm=[1, 0]))
    u = op.Reshape(u, _ints(side, int(w.shape[0]), int(w.shape[1])))
    products = op.MatMul(v, u if transposed else op.Transpose(u, perm=[0, 2, 1]))
    rows, columns = _tiles(out[0], m), _tiles(out[1], m)
    if m == 1:
        whole = op.ReduceSum(products, [0], keepdims=0)
    else:
        tiles = op.MatMul(_of(np.kron(form.a, form.a), x), op.Reshape(products, _ints(side, -1)))
        tiles = op.Transpose(op.Reshape(tiles, _ints(m, m, rows, columns, -1)), perm=[2, 0, 3, 1, 4])
        whole = op.Reshape(tiles, _ints(m * rows, m * columns, -1))
        if out != (m * rows, m * columns):
            whole = op.Slice(whole, _ints(0, 0), _ints(*out), _ints(0, 1))
    space_last = op.Transpose(op.Reshape(whole, _ints(out[0] * out[1], -1)), perm=[1, 0])
    y: Tensor = op.Reshape(space_last, _ints(-1, filters, *out))
    return y


def weight_gradient(g: Tensor, x: Tensor, pads: Sequence[int], form: Form) -> Tensor:
    """The gradient [M, C, 3, 3] of the weights of ``Conv(x)``, given the gradient g [N, M, OH, OW] of its output."""
    channels, filters, side = int(x.shape[1]), int(g.shape[1]), (form.m + 2) ** 2
    out = (int(g.shape[2]), int(g.shape[3]))
    v = _input_tiles(x, pads, out, form)
    back = np.kron(form.a, form.a).T
    d = _transformed(g, (0, 0, *_missing(out, form.m)), form.m, form.m, back if form.m > 1 else None, out)
    product = op.Reshape(op.MatMul(op.Transpose(d, perm=[0, 2, 1]), v), _ints(side, filters * channels))
    taps_last = op.MatMul(op.Transpose(product, perm=[1, 0]), _of(np.kron(form.g, form.g), x))
    dw: Tensor = op.Reshape(taps_last, _ints(filters, channels, 3, 3))
    return dw


def _input_tiles(x: Tensor, pads: Sequence[int], out: Sequence[int], form: Form) -> Tensor:
    """The transformed tiles of the input, [(m + 2)^2, tiles * N, C]."""
    more = _missing(out, form.m)
    transform = np.kron(form.b, form.b) if form.m > 1 else None
    return _transformed(x, (pads[0], pads[1], pads[2] + more[0], pads[3] + more[1]), form.m + 2, form.m, transform, out)


def _transformed(x: Tensor, pads: Sequence[int], size: int, step: int, transform: np.ndarray | None, out: Sequence[int]) -> Tensor:
    """Tiles of ``size`` at every ``step``-th place of the padded ``x``, each led through a transform: [size^2 or more, tiles * N, C]."""
    channels, height, width = (int(d) for d in x.shape[1:])
    space_first = op.Transpose(op.Reshape(x, _ints(-1, height * width)), perm=[1, 0])
    if any(pads):
        space = op.Reshape(space_first, _ints(height, width, -1))
        space = op.Pad(space, _ints(pads[0], pads[1], 0, pads[2], pads[3], 0))
        height, width = height + pads[0] + pads[2], width + pads[1] + pads[3]
        space_first = op.Reshape(space, _ints(height * width, -1))
    i, j = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    across = (step * np.arange(_tiles(out[0], step)), step * np.arange(_tiles(out[1], step)))
    rows, columns = np.meshgrid(*across, indexing="ij")
    index = ((i.reshape(-1, 1) + rows.reshape(1, -1)) * width + j.reshape(-1, 1) + columns.reshape(1, -1)).reshape(-1)
    alone = len(index) == height * width and (index == np.arange(len(index))).all()
    tiles = op.Reshape(space_first if alone else op.Gather(space_first, index), _ints(size * size, -1))
    if transform is not None:
        tiles = op.MatMul(_of(transform, x), tiles)
    count = size * size if transform is None else len(transform)
    return op.Reshape(tiles, _ints(count, -1, channels))  # type: ignore[no-any-return]


def _tiles(length: int, m: int) -> int:
    return -(-length // m)


def _missing(out: Sequence[int], m: int) -> tuple[int, int]:
    """What the output lacks to whole tiles."""
    return m * _tiles(out[0], m) - out[0], m * _tiles(out[1], m) - out[1]


def _of(matrix: np.ndarray, like: Tensor) -> np.ndarray:
    converted: np.ndarray = matrix.astype(like.dtype)
    return converted


def _ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)
