"""What a graph is: tensors, the trace that is being written, every ONNX operator, shapes and passes."""
