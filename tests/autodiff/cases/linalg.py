"""Products of matrices and tensors, and the determinant."""

import numpy as np

from tests.autodiff.cases import Case, rand

CASES = [
    Case("MatMul", [rand(2, 3), rand(3, 4)]),
    Case("MatMul", [rand(3), rand(3, seed=1)], reason="inner product"),
    Case("MatMul", [rand(3), rand(3, 4)], reason="vector on the left"),
    Case("MatMul", [rand(2, 3), rand(3)], reason="vector on the right"),
    Case("MatMul", [rand(3), rand(2, 3, 4)], reason="vector and batch"),
    Case("MatMul", [rand(2, 4, 3), rand(3)], reason="batch and vector"),
    Case("MatMul", [rand(2, 2, 3), rand(3, 4)], reason="batch and matrix"),
    Case("MatMul", [rand(2, 3), rand(2, 3, 4)], reason="matrix and batch"),
    Case("MatMul", [rand(2, 2, 3), rand(2, 3, 2)], reason="batches"),
    Case("MatMul", [rand(2, 1, 2, 3), rand(2, 3, 2)], reason="batches broadcast"),
    *[
        Case("Gemm", [rand(*((3, 2), (2, 3))[1 - ta]), rand(*((4, 3), (3, 4))[1 - tb])], {"transA": ta, "transB": tb, "alpha": 0.5})
        for ta in (0, 1)
        for tb in (0, 1)
    ],
    Case("Gemm", [rand(2, 3), rand(3, 4), rand(4)], {"alpha": 0.5, "beta": 2.0}),
    Case("Gemm", [rand(2, 3), rand(3, 4), rand(2, 1)]),
    Case("Gemm", [rand(2, 3), rand(3, 4), rand()], {"beta": 0.25}),
    *[
        Case("Einsum", operands, {"equation": equation})
        for equation, operands in [
            ("ij,jk->ik", [rand(2, 3), rand(3, 4)]),
            ("ij,jk", [rand(2, 3), rand(3, 4)]),
            ("bij, bjk -> bik", [rand(2, 2, 3), rand(2, 3, 2)]),
            ("ij->ji", [rand(2, 3)]),
            ("ij->i", [rand(2, 3)]),
            ("ij->", [rand(2, 3)]),
            ("ii->i", [rand(3, 3)]),
            ("ii", [rand(3, 3)]),
            ("bii->bi", [rand(2, 3, 3)]),
            ("ij,ij->", [rand(2, 3), rand(2, 3, seed=1)]),
            ("i,j->ij", [rand(2), rand(3)]),
            ("ij,kl->il", [rand(2, 3), rand(2, 4)]),
            ("...ij,...jk->...ik", [rand(2, 2, 3), rand(2, 3, 2)]),
            ("...ij,...jk->...ik", [rand(1, 2, 3), rand(2, 3, 2)]),
            ("i...,j...->ij...", [rand(2, 3), rand(4, 3)]),
            ("...i->...", [rand(2, 3, 2)]),
            ("ij,jk,kl->il", [rand(2, 3), rand(3, 2), rand(2, 2)]),
            ("bhqd,bhkd->bhqk", [rand(1, 2, 2, 3), rand(1, 2, 2, 3, seed=1)]),
        ]
    ],
    Case("Det", [rand(2, 2)], static=(0,)),
    Case("Det", [rand(2, 3, 3)], static=(0,)),
    Case("Det", [rand(2, 1, 1)], static=(0,)),
    Case("Det", [np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])], static=(0,), reason="singular"),
]
