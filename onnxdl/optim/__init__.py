"""Optimizers and learning rate schedules: each only writes graph."""

from onnxdl.optim import schedules
from onnxdl.optim.adadelta import Adadelta
from onnxdl.optim.adafactor import Adafactor
from onnxdl.optim.adagrad import Adagrad
from onnxdl.optim.adam import Adam, AdamW
from onnxdl.optim.adamax import Adamax
from onnxdl.optim.ftrl import Ftrl
from onnxdl.optim.lamb import Lamb
from onnxdl.optim.lion import Lion
from onnxdl.optim.loss_scale import LossScaleOptimizer
from onnxdl.optim.multi import MultiOptimizer, OptimizerMap
from onnxdl.optim.muon import Muon
from onnxdl.optim.nadam import Nadam
from onnxdl.optim.optimizer import Optimizer, get
from onnxdl.optim.rmsprop import RMSprop
from onnxdl.optim.schedule_free import ScheduleFreeAdamW
from onnxdl.optim.sgd import SGD
from onnxdl.optim.weights import Options, Weight

_KINDS: tuple[type[Optimizer], ...] = (
    SGD, RMSprop, Adam, AdamW, Adamax, Nadam, Adagrad, Adadelta, Adafactor, Lion, Lamb, Muon, Ftrl, ScheduleFreeAdamW
)  # fmt: skip
NAMES: dict[str, type[Optimizer]] = {kind.__name__.lower(): kind for kind in _KINDS}

__all__ = [
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "Muon",
    "NAMES",
    "Nadam",
    "Optimizer",
    "OptimizerMap",
    "Options",
    "RMSprop",
    "SGD",
    "ScheduleFreeAdamW",
    "Weight",
    "get",
    "schedules",
]
