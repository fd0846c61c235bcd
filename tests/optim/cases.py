"""Optimizers and schedules with Keras's names and arguments: the same data makes ours and Keras's."""

from __future__ import annotations

from typing import Any, NamedTuple


class Case(NamedTuple):
    """A class by name, what it is made with, and how far the results may differ."""

    kind: str
    arguments: dict[str, Any]
    rtol: float = 2e-5
    undecayed: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "-".join([self.kind, *(f"{k}={v}" for k, v in self.arguments.items() if k != "learning_rate"), *self.undecayed])


OPTIMIZERS = [
    Case("SGD", {"learning_rate": 0.05}),
    Case("SGD", {"learning_rate": 0.05, "momentum": 0.9}),
    Case("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
    Case("SGD", {"learning_rate": 0.05, "weight_decay": 0.1}),
    Case("SGD", {"learning_rate": 0.05, "clipvalue": 0.1}),
    Case("SGD", {"learning_rate": 0.05, "clipnorm": 0.5}),
    Case("SGD", {"learning_rate": 0.05, "global_clipnorm": 0.5}),
    Case("SGD", {"learning_rate": 0.05, "global_clipnorm": 1000.0}),
    Case("SGD", {"learning_rate": 0.05, "use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 7}),
    Case("RMSprop", {"learning_rate": 0.02}),
    Case("RMSprop", {"learning_rate": 0.02, "momentum": 0.9}),
    Case("RMSprop", {"learning_rate": 0.02, "rho": 0.8, "centered": True, "epsilon": 1e-3}),
    Case("RMSprop", {"learning_rate": 0.02, "momentum": 0.5, "centered": True, "epsilon": 1e-3}),
    Case("Adam", {"learning_rate": 0.02}),
    Case("Adam", {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 0.1}),
    Case("Adam", {"learning_rate": 0.02, "amsgrad": True, "beta_2": 0.5}),
    Case("Adam", {"learning_rate": 0.02, "weight_decay": 0.01, "global_clipnorm": 1.0}),
    Case("Adam", {"learning_rate": 0.02, "gradient_accumulation_steps": 3, "global_clipnorm": 1.0}),
    Case("AdamW", {"learning_rate": 0.02}),
    Case("AdamW", {"learning_rate": 0.02, "weight_decay": 0.2}, undecayed=("bias", "embeddings")),
    Case("Adamax", {"learning_rate": 0.02}),
    Case("Nadam", {"learning_rate": 0.02}),
    Case("Nadam", {"learning_rate": 0.02, "beta_1": 0.7, "beta_2": 0.95, "epsilon": 0.01}),
    Case("Adagrad", {"learning_rate": 0.05}),
    Case("Adagrad", {"learning_rate": 0.05, "initial_accumulator_value": 1.0, "epsilon": 0.1}),
    Case("Adadelta", {"learning_rate": 1.0}),
    Case("Adadelta", {"learning_rate": 1.0, "rho": 0.8, "epsilon": 1e-3}),
    Case("Adafactor", {"learning_rate": 0.05}),
    Case("Adafactor", {"learning_rate": 0.5, "clip_threshold": 0.5, "weight_decay": 0.01}),
    Case("Adafactor", {"learning_rate": 0.01, "relative_step": False}),
    Case("ScheduleFreeAdamW", {"learning_rate": 0.02, "beta_1": 0.8, "warmup_steps": 10, "weight_decay": 0.1, "clipnorm": 1.0}),
    Case("Lion", {"learning_rate": 0.01}),
    Case("Lion", {"learning_rate": 0.01, "beta_1": 0.5, "beta_2": 0.8, "weight_decay": 0.1}),
    Case("Lamb", {"learning_rate": 0.02}),
    Case("Lamb", {"learning_rate": 0.02, "weight_decay": 0.1, "epsilon": 0.1}),
    Case("Muon", {"learning_rate": 0.02}, 5e-4),
    Case(
        "Muon",
        {"learning_rate": 0.02, "nesterov": False, "rms_rate": None, "exclude_layers": ["tall"], "muon_a": 3.0},
        5e-4,
    ),
    Case("Muon", {"learning_rate": 0.02, "exclude_embeddings": False, "adam_lr_ratio": 0.5, "adam_weight_decay": 0.1}, 5e-4),
    Case("Ftrl", {"learning_rate": 0.1}),
    Case("Ftrl", {"learning_rate": 0.1, "l1_regularization_strength": 0.1, "l2_regularization_strength": 0.1, "beta": 0.3}),
    Case("Ftrl", {"learning_rate": 0.1, "learning_rate_power": -0.6, "l2_shrinkage_regularization_strength": 0.05}),
    Case("Adam", {"learning_rate": Case("CosineDecay", {"initial_learning_rate": 0.05, "decay_steps": 30})}),
    Case("AdamW", {"learning_rate": Case("ExponentialDecay", {"initial_learning_rate": 0.05, "decay_steps": 9, "decay_rate": 0.7})}),
]

SCHEDULES = [
    Case("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}),
    Case("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5, "staircase": True}),
    Case("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}),
    Case("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5, "staircase": True}),
    Case("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10}),
    Case("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "end_learning_rate": 0.01, "power": 3.0}),
    Case("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "power": 2.0, "cycle": True}),
    Case("PiecewiseConstantDecay", {"boundaries": [5, 12, 20], "values": [1.0, 0.5, 0.25, 0.125]}),
    Case("PiecewiseConstantDecay", {"boundaries": [7], "values": [1.0, 0.5]}),
    Case("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "alpha": 0.1}),
    Case("CosineDecay", {"initial_learning_rate": 0.01, "decay_steps": 20, "warmup_target": 0.1, "warmup_steps": 8}),
    Case("CosineDecay", {"initial_learning_rate": 0.01, "decay_steps": 20, "warmup_target": 0.1, "warmup_steps": 0}),
    Case("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 7}),
    Case("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 7, "t_mul": 1.0, "m_mul": 0.5, "alpha": 0.1}),
    Case("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 6, "t_mul": 1.5, "m_mul": 0.9}),
]
