"""The contestant onnxruntime-training 1.19.2, the last release with a TrainingSession: ``--ort-training PYTHON`` names its Python.

It needs an environment of its own (Python 3.11; onnxruntime-training-cpu 1.19.2, onnx 1.16, numpy 1, and torch, which it imports
without using it). It trains what ours exports for inference: ``python -m tests.benchmarks.ort_training ROW FILE`` writes that.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.contestants import Ready, Weights, model_of
from tests.benchmarks.rows import ROWS, Row, batch_of

NAME = "ort-training"


def ready(path: Path, row: Row, weights: Weights | None, threads: int) -> Ready:
    """Its own gradient, loss and optimizer for the exported model; plain SGD stands in for momentum, which it has not."""
    import onnx
    import onnxruntime
    from onnxruntime.training import artifacts
    from onnxruntime.training.api import CheckpointState, Module, Optimizer

    model = onnx.load(path)
    float32 = [t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    trained = [name for name in float32 if not name.endswith(("moving_mean", "moving_variance")) and "." in name]
    kind, rate = row.optimizer
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        artifacts.generate_artifacts(
            model,
            requires_grad=trained,
            frozen_params=[name for name in float32 if name not in trained],
            loss=artifacts.LossType.CrossEntropyLoss,
            optimizer=artifacts.OptimType.AdamW if kind == "adam" else artifacts.OptimType.SGD,
            artifact_directory=folder,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        state = CheckpointState.load_checkpoint(f"{folder}/checkpoint")
        module = Module(f"{folder}/training_model.onnx", state, f"{folder}/eval_model.onnx", "cpu", options)
        optimizer = Optimizer(f"{folder}/optimizer_model.onnx", module)
    optimizer.set_learning_rate(rate)
    x, y = batch_of(row)

    def train() -> Any:
        loss = module(x, y)
        optimizer.step()
        module.lazy_reset_grad()
        return {"loss": loss}

    module.train()
    return Ready(train, None, {"session": time.perf_counter() - begun})


def main() -> None:
    key, file = sys.argv[1:]
    model_of(ROWS[key]).export(file)


if __name__ == "__main__":
    main()
