from onnxdl.graph import op
from onnxdl.graph.tensor import tensor, Tensor
from onnxdl.autodiff.gradient import gradient
