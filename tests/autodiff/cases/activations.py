"""Activation functions; those without a rule are differentiated through their function bodies."""

from tests.autodiff.cases import Case, apart, rand

CASES = [
    *[
        Case(op, [apart(3, 4)])
        for op in ("Relu", "LeakyRelu", "Elu", "Selu", "Sigmoid", "Softplus", "Softsign", "Celu", "Mish", "HardSwish")
    ],
    Case("LeakyRelu", [apart(3, 4)], {"alpha": 0.3}),
    Case("Elu", [apart(3, 4)], {"alpha": 0.7}),
    Case("Selu", [apart(3, 4)], {"alpha": 1.3, "gamma": 0.9}),
    Case("Celu", [apart(3, 4)], {"alpha": 0.5}),
    Case("PRelu", [apart(3, 4), rand(4, seed=1)]),
    Case("PRelu", [apart(2, 3, 2), rand(3, 1, seed=1)], reason="a channel"),
    Case("HardSigmoid", [apart(3, 4, gap=0.9)]),
    Case("HardSigmoid", [apart(3, 4)], {"alpha": 1.1, "beta": 0.45}),
    Case("ThresholdedRelu", [apart(3, 4)], {"alpha": 0.2}),
    Case("Shrink", [apart(3, 4)], {"lambd": 0.2, "bias": 0.1}),
    Case("Gelu", [rand(3, 4, low=-3, high=3)]),
    Case("Gelu", [rand(3, 4, low=-3, high=3)], {"approximate": "tanh"}),
    Case("Swish", [rand(3, 4, low=-3, high=3)]),
    Case("Swish", [rand(3, 4, low=-3, high=3)], {"alpha": 0.7}),
]
