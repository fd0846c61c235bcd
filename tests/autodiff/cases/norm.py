"""Normalisation over the batch, the channels, groups, layers and neighbouring channels."""

from __future__ import annotations

from tests.autodiff.cases import Case, rand
from tests.autodiff.references import group_norm, layer_norm, lrn

_C = 3
_PARAMETERS = [rand(_C, seed=1), rand(_C, seed=2), rand(_C, seed=3), rand(_C, low=0.5, high=1.5, seed=4)]

CASES = [
    Case("BatchNormalization", [rand(2, _C, 3, 2), *_PARAMETERS]),
    Case("BatchNormalization", [rand(4, _C), *_PARAMETERS], {"epsilon": 1e-2}),
    Case("BatchNormalization", [rand(3, _C, 3, 2), *_PARAMETERS], {"training_mode": 1}, outputs=3),
    Case("BatchNormalization", [rand(6, _C), *_PARAMETERS], {"training_mode": 1, "momentum": 0.7}, outputs=3),
    Case("InstanceNormalization", [rand(2, _C, 3, 2), *_PARAMETERS[:2]]),
    Case("InstanceNormalization", [rand(2, _C, 5), *_PARAMETERS[:2]], {"epsilon": 1e-2}),
    Case("LayerNormalization", [rand(2, 3, 4), rand(4, seed=1), rand(4, seed=2)]),
    Case("LayerNormalization", [rand(2, 3, 4), rand(3, 4, seed=1)], {"axis": 1, "epsilon": 1e-2}),
    Case("LayerNormalization", [rand(2, 3, 4), rand(4, seed=1), rand(4, seed=2)], outputs=3, forward=layer_norm),
    Case("LayerNormalization", [rand(2, 4), rand(1, seed=1), rand(4, seed=2)], reason="broadcast scale"),
    Case("RMSNormalization", [rand(2, 3, 4), rand(4, seed=1)]),
    Case("RMSNormalization", [rand(2, 3, 4), rand(3, 4, seed=1)], {"axis": 1, "epsilon": 1e-2}),
    Case("GroupNormalization", [rand(2, 4, 3, 2), rand(4, seed=1), rand(4, seed=2)], {"num_groups": 2}, forward=group_norm),
    Case("GroupNormalization", [rand(2, 6, 5), rand(6, seed=1), rand(6, seed=2)], {"num_groups": 3, "epsilon": 1e-2}, forward=group_norm),
    Case("LRN", [rand(2, 5, 2, 3)], {"size": 3, "alpha": 0.5, "beta": 0.6, "bias": 1.5}, forward=lrn),
    Case("LRN", [rand(2, 6, 2, 1)], {"size": 5, "alpha": 0.5}, forward=lrn),
]
