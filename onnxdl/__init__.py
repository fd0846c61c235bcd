"""Deep learning whose only program format is ONNX: build, differentiate, train, export.

    import onnxdl as ox
    from onnxdl import nn, op, optim
"""

from onnxdl import data, errors, nn, optim
from onnxdl.autodiff.gradient import gradient
from onnxdl.graph import op, random
from onnxdl.graph.function import function
from onnxdl.graph.random import set_seed
from onnxdl.graph.tensor import Tensor, tensor
from onnxdl.graph.trace import Trace
from onnxdl.nn.symbolic import Input
from onnxdl.train.model import Model
from onnxdl.train.sequential import Sequential
