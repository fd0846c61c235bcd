"""Deep learning whose only program format is ONNX: build, differentiate, train, export.

import onnxdl as ox
from onnxdl import nn, op, optim
"""

from onnxdl import callbacks, data, errors, nn, optim, viz
from onnxdl.autodiff.check import check_gradient
from onnxdl.autodiff.custom import custom_gradient, stop_gradient
from onnxdl.autodiff.gradient import gradient
from onnxdl.autodiff.graph_model import gradient_model
from onnxdl.autodiff.higher import hvp, jvp
from onnxdl.callbacks import Callback, EarlyStopping
from onnxdl.converters.registry import convert, load
from onnxdl.errors import (
    ConversionError,
    DataError,
    FormatError,
    GradientError,
    GraphError,
    OnnxdlError,
    RuntimeFailure,
    ShapeError,
    TrainingError,
)
from onnxdl.graph import op, random
from onnxdl.graph.function import function
from onnxdl.graph.random import set_seed
from onnxdl.graph.tensor import Tensor, tensor
from onnxdl.graph.trace import Trace
from onnxdl.io.checkpoint import load_checkpoint, save_checkpoint
from onnxdl.nn.remat import remat
from onnxdl.nn.symbolic import Input
from onnxdl.train import attribution, finetune
from onnxdl.train.model import Model
from onnxdl.train.sequential import Sequential

__all__ = [
    "Callback",
    "ConversionError",
    "DataError",
    "EarlyStopping",
    "FormatError",
    "GradientError",
    "GraphError",
    "Input",
    "Model",
    "OnnxdlError",
    "RuntimeFailure",
    "Sequential",
    "ShapeError",
    "Tensor",
    "Trace",
    "TrainingError",
    "attribution",
    "callbacks",
    "check_gradient",
    "convert",
    "custom_gradient",
    "data",
    "errors",
    "finetune",
    "function",
    "gradient",
    "gradient_model",
    "hvp",
    "jvp",
    "load",
    "load_checkpoint",
    "nn",
    "op",
    "optim",
    "random",
    "remat",
    "save_checkpoint",
    "set_seed",
    "stop_gradient",
    "tensor",
    "viz",
]
