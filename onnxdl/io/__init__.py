"""Files: .onnx models, their training information, checkpoints."""
