"""Data: arrays, files and iterables into batches."""

from onnxdl.data.batches import ArrayBatches, Batches, IterableBatches
from onnxdl.data.files import read_data
from onnxdl.data.split import Split, hold_out, require

__all__ = ["ArrayBatches", "Batches", "IterableBatches", "Split", "hold_out", "read_data", "require"]
