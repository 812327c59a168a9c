"""Layers, under Keras's names."""

from distfit.layers import activations, regularizers
from distfit.layers.activation import ELU, Activation, LeakyReLU, ReLU, Softmax
from distfit.layers.batch_normalization import BatchNormalization
from distfit.layers.context import Context, lone_context
from distfit.layers.conv2d import Conv2D
from distfit.layers.dense import Dense
from distfit.layers.dropout import Dropout
from distfit.layers.embedding import Embedding
from distfit.layers.graph import Input, Tensor
from distfit.layers.joint_product import JointProduct
from distfit.layers.lambda_layer import Lambda
from distfit.layers.layer import Backward, Layer
from distfit.layers.layer_normalization import LayerNormalization
from distfit.layers.merging import Add, Concatenate, Multiply
from distfit.layers.normalization import Normalization
from distfit.layers.parameter import Parameter
from distfit.layers.pooling import AveragePooling2D, GlobalAveragePooling2D, MaxPooling2D
from distfit.layers.rescaling import Rescaling
from distfit.layers.reshaping import Flatten, Reshape

KNOWN: dict[str, type[Layer]] = {
    layer.__name__: layer
    for layer in (
        ELU,
        Activation,
        Add,
        AveragePooling2D,
        BatchNormalization,
        Concatenate,
        Conv2D,
        Dense,
        Dropout,
        Embedding,
        Flatten,
        GlobalAveragePooling2D,
        Lambda,
        LayerNormalization,
        LeakyReLU,
        MaxPooling2D,
        Multiply,
        Normalization,
        ReLU,
        Rescaling,
        Reshape,
        Softmax,
    )
}

__all__ = [
    "ELU",
    "KNOWN",
    "Activation",
    "Add",
    "AveragePooling2D",
    "Backward",
    "BatchNormalization",
    "Concatenate",
    "Context",
    "Conv2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAveragePooling2D",
    "Input",
    "JointProduct",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPooling2D",
    "Multiply",
    "Normalization",
    "Parameter",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Softmax",
    "Tensor",
    "activations",
    "lone_context",
    "regularizers",
]
