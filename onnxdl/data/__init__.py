"""Data: arrays, files and iterables into batches."""

from onnxdl.data.batches import ArrayBatches, Batches, walk
from onnxdl.data.cifar import read_cifar
from onnxdl.data.files import read_data
from onnxdl.data.idx import read_idx, read_mnist
from onnxdl.data.images import ImageFiles, ImageFolder, read_images
from onnxdl.data.lazy import LazyArray, Rows
from onnxdl.data.prefetch import prefetched
from onnxdl.data.split import Split, hold_out, require
from onnxdl.data.splits import read_image_split, read_text_split
from onnxdl.data.streams import IterableBatches, SequenceBatches
from onnxdl.data.text import TextFolder, TextVectorization, pad_sequences, read_texts

__all__ = [
    "ArrayBatches",
    "Batches",
    "ImageFiles",
    "ImageFolder",
    "IterableBatches",
    "LazyArray",
    "Rows",
    "SequenceBatches",
    "Split",
    "TextFolder",
    "TextVectorization",
    "hold_out",
    "pad_sequences",
    "prefetched",
    "read_cifar",
    "read_data",
    "read_idx",
    "read_image_split",
    "read_images",
    "read_mnist",
    "read_text_split",
    "read_texts",
    "require",
    "walk",
]
