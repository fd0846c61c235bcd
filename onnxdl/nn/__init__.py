"""Layers, activations, initializers, losses and metrics."""

from onnxdl.nn import activations, initializers, losses, metrics
from onnxdl.nn.conv import Conv1D, Conv2D, Conv3D
from onnxdl.nn.core import Activation, Dense, Dropout, Embedding, Flatten, Reshape
from onnxdl.nn.layer import Layer
from onnxdl.nn.normalization import BatchNormalization, LayerNormalization
from onnxdl.nn.parameter import Parameter
from onnxdl.nn.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)

__all__ = [
    "Activation",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "BatchNormalization",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "Layer",
    "LayerNormalization",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Parameter",
    "Reshape",
    "activations",
    "initializers",
    "losses",
    "metrics",
]
