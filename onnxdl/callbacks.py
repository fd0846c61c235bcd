"""Callbacks for ``Model.fit``, ``evaluate`` and ``predict``, under Keras's names."""

from onnxdl.train.callbacks import Callback, History, LambdaCallback
from onnxdl.train.monitors import EarlyStopping, LearningRateScheduler, ReduceLROnPlateau, TerminateOnNaN
from onnxdl.train.recording import BackupAndRestore, CSVLogger, ModelCheckpoint, TensorBoard

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]
