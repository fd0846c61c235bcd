"""Optimizers: each only writes graph."""

from onnxdl.optim.adam import Adam
from onnxdl.optim.optimizer import Optimizer, get
from onnxdl.optim.rmsprop import RMSprop
from onnxdl.optim.sgd import SGD

NAMES: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "rmsprop": RMSprop}

__all__ = ["NAMES", "SGD", "Adam", "Optimizer", "RMSprop", "get"]
