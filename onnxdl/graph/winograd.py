r"""Convolution of stride 1 by Winograd's algorithm F(m x m, r x r), in standard operators (Lavin and Gray 2016).

Each m x m tile of the output is :math:`A^T [(G w G^T) \odot (B^T x B)] A` with a tile of the input of m + r - 1: for F(4x4, 3x3) 36
products for each pair of channels instead of 144. The three transforms are products with A, B and G from both sides, the
sum over channels is one batched matrix product. The gradient of the weights is :math:`G^T [(B^T x B) \odot (A g A^T)] G` with the
same transform of the input, so a training step computes that once.

Space is the outer axis inside, batch and channels the inner ones: gathering tiles then copies whole rows and asks for no known
batch size. Rounding errors in float32 are those of Winograd's algorithm everywhere: 3e-6 of the largest value for m = 4 and
r = 3, 1e-5 for larger kernels, 4e-7 and 3e-6 for m = 2; m = 1 is a direct sum, which differs from Conv only in its order, and
is quick for maps of a few places.

Measured on the CPU provider, one thread, float32, ms for forward and both gradients (channels, map, batch): these forms | the
best direct ones.

    64, 32x32, 16: 29.5 | 51.5        128, 16x16, 16: 19.0 | 46.7        512, 4x4, 16 (m = 2): 29.4 | 60.4
    64, 8x8, 32: 2.9 | 5.9            256, 8x8, 16: 18.3 | 45.3          512, 2x2, 16 (m = 1): 16.7 | 36.0
    32, 16x16, 32: 5.0 | 7.2          16, 14x14 by 5x5, 64: 6.0 | 9.5    32 -> 64, 14x14 by 5x5, 64: 32.5 | 57.7
    24, 28x28, 16: 5.4 | 7.6          16, 32x32, 32: 8.6 | 8.1, so it is left to the direct ones
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

ASSUMED_BATCH = 16
"""What an unknown batch is taken for in the choice between the forms."""


KERNELS = (3, 4, 5)
APART = 5
"""The side of a tile from which its rows and columns are transformed one after the other."""

TILES = (4, 2, 1)
POINTS = (0.0, 1.0, -1.0, -2.0, 0.5, 2.0, -0.5)
"""Where the polynomials are evaluated, beside infinity: small numbers, in the order that keeps rounding errors low. F(4x4, 3x3) has
1.5e-6 of the largest value with -2 and 0.5, 4.1e-6 with 2 and -2."""


class Form(NamedTuple):
    """F(m x m, r x r): output tiles of m x m by matrices A [m, t], B [t, t] and G [t, r], t = m + r - 1; m = 1 is the direct sum."""

    m: int
    r: int
    a: np.ndarray
    b: np.ndarray
    g: np.ndarray

    @property
    def products(self) -> int:
        """The products for one tile and pair of channels."""
        return (self.m + self.r - 1) ** 2


@cache
def form_of(m: int, r: int) -> Form:
    """The matrices of F(m x m, r x r), by Lagrange interpolation at ``POINTS`` (Winograd 1980)."""
    t = m + r - 1
    if m == 1:
        return Form(m, r, np.ones((1, t)), np.eye(t), np.eye(t))
    points = np.array(POINTS[: t - 1])
    a, b, g = np.zeros((m, t)), np.zeros((t, t)), np.zeros((t, r))
    for i, point in enumerate(points):
        others = np.delete(points, i)
        a[:, i], g[i] = point ** np.arange(m), point ** np.arange(r) / np.prod(point - others)
        b[i, : t - 1] = np.poly(others)[::-1]
    a[-1, -1] = g[-1, -1] = 1.0
    b[-1] = np.poly(points)[::-1]
    return Form(m, r, a, b, g)


@cache
def turned_form_of(m: int, r: int) -> Form | None:
    """F(m x m, r x r) that convolves with kernels turned by 180 degrees, given G w of those that are not; None where it takes another G.

    A polynomial turned has the values of the other at the inverse points, so G must hold the inverse of each.
    """
    form = form_of(m, r)
    a, b = np.empty_like(form.a), np.empty_like(form.b)
    for i, row in enumerate(form.g[:, ::-1]):
        factors = form.g @ row / (form.g**2).sum(1)
        (same,) = np.nonzero([np.allclose(factor * other, row) for factor, other in zip(factors, form.g, strict=True)])
        if not len(same):
            return None
        a[:, same[0]], b[same[0]] = form.a[:, i], factors[same[0]] * form.b[i]
    return form._replace(a=a, b=b)


def best_form(r: int, channels: int, filters: int, space: Sequence[int], exact: bool) -> Form | None:
    """The form that is quickest for kernels of r x r and this size of output, None if Conv is; ``exact`` leaves only direct sums.

    The costs are nanoseconds of one thread, fitted to the measurements above: 0.02 for a multiplication and addition in a
    product, 1 for an element that is gathered and 0.25 for its transform, 0.5 for one that is transformed back, 1.1 for an element
    of the transformed weights. Conv makes columns, and a map of fewer than 16 places leaves its product half empty.
    """
    places = space[0] * space[1] * ASSUMED_BATCH
    columns = max(space[0] * space[1], 16) * ASSUMED_BATCH
    margin = 0.9 if max(channels, filters) > 16 else 0.65  # narrow ones have blocked kernels instead of Conv
    least = margin * r * r * (0.025 * channels * filters * columns + 0.35 * channels * places)
    best = None
    for form in (form_of(m, r) for m in TILES if m == 1 or not exact):
        side = form.products
        tiles = -(-space[0] // form.m) * -(-space[1] // form.m) * ASSUMED_BATCH
        apart = form.m + r - 1 >= APART
        there = (1 + (0.25 if apart else 0.02 * side)) * channels
        back = (0.5 + (0.06 if apart else 0.02 * form.m**2)) * filters
        cost = side * (tiles * (there + back + 0.02 * channels * filters) + 1.1 * channels * filters)
        if cost < least:
            best, least = form, cost
    return best


def convolution(x: Tensor, w: Tensor, pads: Sequence[int], form: Form, *, transposed: bool = False) -> Tensor:
    """``Conv(x, w)`` of x [N, C, H, W] and w [M, C, r, r], or with ``transposed`` its adjoint, of x [N, M, H, W].

    All sizes but N are known; the padding is (top, left, bottom, right). That of an adjoint is the one of its own input.
    """
    m, r, side = form.m, form.r, form.products
    channels, height, width = known_sizes(x)[1:]
    filters = known_sizes(w)[1 if transposed else 0]
    out = (height + pads[0] + pads[2] - r + 1, width + pads[1] + pads[3] - r + 1)
    kernel = np.kron(form.g, form.g).reshape(side, r, r)
    if transposed and (of_turned := turned_form_of(m, r)) is not None:  # the kernel's transform is then the forward pass's
        form = of_turned
    elif transposed:  # the kernel turned by 180 degrees: the transform of it, turned instead
        kernel = kernel[:, ::-1, ::-1]
    v = _input_tiles(x, pads, out, form)
    taps_last = op.Reshape(w, _ints(channels * filters, r * r))  # transposed within the products only: to move a weight costs more
    u = op.MatMul(_of(kernel.reshape(side, r * r), w), op.Transpose(taps_last, perm=[1, 0]))
    u = op.Reshape(u, _ints(side, *known_sizes(w)[:2]))
    products = op.MatMul(v, u if transposed else op.Transpose(u, perm=[0, 2, 1]))
    rows, columns = _tiles(out[0], m), _tiles(out[1], m)
    if m == 1:
        whole = op.ReduceSum(products, [0], keepdims=0)
    else:
        tiles = _on_both_axes(form.a, products, x)
        tiles = op.Transpose(op.Reshape(tiles, _ints(m, m, rows, columns, -1)), perm=[2, 0, 3, 1, 4])
        whole = op.Reshape(tiles, _ints(m * rows, m * columns, -1))
        if out != (m * rows, m * columns):
            whole = op.Slice(whole, _ints(0, 0), _ints(*out), _ints(0, 1))
    space_last = op.Transpose(op.Reshape(whole, _ints(out[0] * out[1], -1)), perm=[1, 0])
    y: Tensor = op.Reshape(space_last, _ints(-1, filters, *out))
    return y


def weight_gradient(g: Tensor, x: Tensor, pads: Sequence[int], form: Form) -> Tensor:
    """The gradient [M, C, r, r] of the weights of ``Conv(x)``, given the gradient g [N, M, OH, OW] of its output."""
    channels, (_, filters, *out), side = known_sizes(x)[1], known_sizes(g), form.products
    v = _input_tiles(x, pads, out, form)
    d = _transformed(g, (0, 0, *_missing(out, form.m)), np.arange(form.m), form.m, form.a.T if form.m > 1 else None, out)
    product = op.Reshape(op.MatMul(op.Transpose(d, perm=[0, 2, 1]), v), _ints(side, filters * channels))
    taps_last = op.MatMul(op.Transpose(product, perm=[1, 0]), _of(np.kron(form.g, form.g), x))
    dw: Tensor = op.Reshape(taps_last, _ints(filters, channels, form.r, form.r))
    return dw


def _input_tiles(x: Tensor, pads: Sequence[int], out: Sequence[int], form: Form) -> Tensor:
    """The transformed tiles of the input, [t^2, tiles * N, C]."""
    more = _missing(out, form.m)
    padded = (pads[0], pads[1], pads[2] + more[0], pads[3] + more[1])
    if form.m == 1:
        return _transformed(x, padded, form.b.argmax(1), 1, None, out)  # B only picks
    return _transformed(x, padded, np.arange(form.m + form.r - 1), form.m, form.b, out)


def _transformed(
    x: Tensor, pads: Sequence[int], offsets: np.ndarray, step: int, transform: np.ndarray | None, out: Sequence[int]
) -> Tensor:
    """Tiles, the places at ``offsets`` from every ``step``-th of the padded ``x``, each led through a transform of its rows and columns."""
    channels, height, width = known_sizes(x)[1:]
    space_first = op.Transpose(op.Reshape(x, _ints(-1, height * width)), perm=[1, 0])
    if any(pads):
        space = op.Reshape(space_first, _ints(height, width, -1))
        space = op.Pad(space, _ints(pads[0], pads[1], 0, pads[2], pads[3], 0))
        height, width = height + pads[0] + pads[2], width + pads[1] + pads[3]
        space_first = op.Reshape(space, _ints(height * width, -1))
    i, j = np.meshgrid(offsets, offsets, indexing="ij")
    across = (step * np.arange(_tiles(out[0], step)), step * np.arange(_tiles(out[1], step)))
    rows, columns = np.meshgrid(*across, indexing="ij")
    index = ((i.reshape(-1, 1) + rows.reshape(1, -1)) * width + j.reshape(-1, 1) + columns.reshape(1, -1)).reshape(-1)
    alone = len(index) == height * width and (index == np.arange(len(index))).all()
    tiles = space_first if alone else op.Gather(space_first, index)
    if transform is not None:
        tiles = _on_both_axes(transform, tiles, x)
    count = len(offsets if transform is None else transform) ** 2
    made: Tensor = op.Reshape(tiles, _ints(count, -1, channels))
    return made


def _on_both_axes(transform: np.ndarray, tiles: Tensor, like: Tensor) -> Tensor:
    """The products of a matrix with the rows and with the columns of tiles [t^2, ...].

    Both at once, by its Kronecker square, costs more arithmetic but one pass less. In ns an element of 36 x 32768 or 64 x 65536
    on one thread: 1.10 and 1.85 at once, 0.61 and 0.85 apart; for t = 4 0.53 and 0.42, which small tensors lose again.
    """
    rows, columns = transform.shape
    if columns < APART:
        return op.MatMul(_of(np.kron(transform, transform), like), op.Reshape(tiles, _ints(columns**2, -1)))
    matrix = _of(transform, like)
    half = op.Reshape(op.MatMul(matrix, op.Reshape(tiles, _ints(columns, -1))), _ints(rows, columns, -1))
    return op.MatMul(matrix, half)


def known_sizes(x: Tensor) -> list[int]:
    """The dimensions of ``x``, 0 for those that are not known."""
    return [d if isinstance(d, int) else 0 for d in x.shape]


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
