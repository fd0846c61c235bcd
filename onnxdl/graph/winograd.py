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

import numpy as np

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

A = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], float)
B = np.array(
    [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]], float
)
G = np.array([[1 / 4, 0, 0], [-1, -1, -1], [-1, 1, -1], [1 / 4, 1 / 2, 1], [1 / 4, -1 / 2, 1], [0, 0, 6]], float) / np.array(
    [[1], [6], [6], [6], [6], [6]]
)
ASSUMED_BATCH = 16
WORTH_IT = 1.2


def is_worth_it(channels: int, filters: int, space: Sequence[int]) -> bool:
    """Whether the algorithm does clearly less arithmetic than the direct sum, its transforms counted, for this size of output."""
    tiles = _tiles(space[0]) * _tiles(space[1]) * ASSUMED_BATCH
    direct = 2 * 9 * channels * filters * space[0] * space[1] * ASSUMED_BATCH
    transforms = 2 * 36 * (36 * channels + 16 * filters) * tiles + 2 * 36 * 9 * channels * filters
    return direct > WORTH_IT * (transforms + 2 * 36 * channels * filters * tiles)


def convolution(x: Tensor, w: Tensor, pads: Sequence[int], *, transposed: bool = False) -> Tensor:
    """``Conv(x, w)`` of x [N, C, H, W] and w [M, C, 3, 3], or with ``transposed`` its adjoint, of x [N, M, H, W].

    All sizes but N are known; the padding is (top, left, bottom, right). That of an adjoint is the one of its own input.
    """
    _, channels, height, width = (int(d) if isinstance(d, int) else 0 for d in x.shape)
    filters = int(w.shape[1 if transposed else 0])
    out = (height + pads[0] + pads[2] - 2, width + pads[1] + pads[3] - 2)
    v = _input_tiles(x, channels, pads, out)
    kernel = np.kron(G, G).reshape(36, 3, 3)
    if transposed:  # the kernel turned by 180 degrees: the transform of it, turned instead
        kernel = kernel[:, ::-1, ::-1]
    taps_last = op.Reshape(w, _ints(channels * filters, 9))  # transposed within the products only: to move a weight costs more
    u = op.Reshape(op.MatMul(_of(kernel.reshape(36, 9), w), op.Transpose(taps_last, perm=[1, 0])), _ints(36, *_leading(w)))
    products = op.Reshape(op.MatMul(v, u if transposed else op.Transpose(u, perm=[0, 2, 1])), _ints(36, -1))
    rows, columns = _tiles(out[0]), _tiles(out[1])
    tiles = op.Reshape(op.MatMul(_of(np.kron(A, A), x), products), _ints(4, 4, rows, columns, -1))
    whole = op.Reshape(op.Transpose(tiles, perm=[2, 0, 3, 1, 4]), _ints(4 * rows, 4 * columns, -1))
    if out != (4 * rows, 4 * columns):
        whole = op.Slice(whole, _ints(0, 0), _ints(*out), _ints(0, 1))
    space_last = op.Transpose(op.Reshape(whole, _ints(out[0] * out[1], -1)), perm=[1, 0])
    y: Tensor = op.Reshape(space_last, _ints(-1, filters, *out))
    return y


def weight_gradient(g: Tensor, x: Tensor, pads: Sequence[int]) -> Tensor:
    """The gradient [M, C, 3, 3] of the weights of ``Conv(x)``, given the gradient g [N, M, OH, OW] of its output."""
    channels, filters = int(x.shape[1]), int(g.shape[1])
    out = (int(g.shape[2]), int(g.shape[3]))
    v = _input_tiles(x, channels, pads, out)
    d = _transformed(g, filters, (0, 0, *_missing(out)), 4, np.kron(A, A).T, out)
    product = op.Reshape(op.MatMul(op.Transpose(d, perm=[0, 2, 1]), v), _ints(36, filters * channels))
    taps_last = op.MatMul(op.Transpose(product, perm=[1, 0]), _of(np.kron(G, G), x))
    dw: Tensor = op.Reshape(taps_last, _ints(filters, channels, 3, 3))
    return dw


def _input_tiles(x: Tensor, channels: int, pads: Sequence[int], out: Sequence[int]) -> Tensor:
    """The transformed 6x6 tiles of the input, [36, tiles * N, C]."""
    more = _missing(out)
    return _transformed(x, channels, (pads[0], pads[1], pads[2] + more[0], pads[3] + more[1]), 6, np.kron(B, B), out)


def _transformed(x: Tensor, channels: int, pads: Sequence[int], size: int, transform: np.ndarray, out: Sequence[int]) -> Tensor:
    """Tiles of ``size`` at every fourth place of the padded ``x``, each led through a transform: [36, tiles * N, C]."""
    height, width = int(x.shape[2]), int(x.shape[3])
    space_first = op.Transpose(op.Reshape(x, _ints(-1, height * width)), perm=[1, 0])
    if any(pads):
        space = op.Reshape(space_first, _ints(height, width, -1))
        space = op.Pad(space, _ints(pads[0], pads[1], 0, pads[2], pads[3], 0))
        height, width = height + pads[0] + pads[2], width + pads[1] + pads[3]
        space_first = op.Reshape(space, _ints(height * width, -1))
    i, j = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    rows, columns = np.meshgrid(4 * np.arange(_tiles(out[0])), 4 * np.arange(_tiles(out[1])), indexing="ij")
    index = (i.reshape(-1, 1) + rows.reshape(1, -1)) * width + j.reshape(-1, 1) + columns.reshape(1, -1)
    tiles = op.Reshape(op.Gather(space_first, index.reshape(-1)), _ints(size * size, -1))
    return op.Reshape(op.MatMul(_of(transform, x), tiles), _ints(36, -1, channels))  # type: ignore[no-any-return]


def _leading(w: Tensor) -> tuple[int, int]:
    return int(w.shape[0]), int(w.shape[1])


def _tiles(length: int) -> int:
    return -(-length // 4)


def _missing(out: Sequence[int]) -> tuple[int, int]:
    """What the output lacks to whole tiles."""
    return 4 * _tiles(out[0]) - out[0], 4 * _tiles(out[1]) - out[1]


def _of(matrix: np.ndarray, like: Tensor) -> np.ndarray:
    converted: np.ndarray = matrix.astype(like.dtype)
    return converted


def _ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)
