"""Layers, under Keras's names."""

from distfit.layers import activations, regularizers
from distfit.layers.activation import ELU, Activation, LeakyReLU, ReLU, Softmax
from distfit.layers.context import Context, lone_context
from distfit.layers.dense import Dense
from distfit.layers.dropout import Dropout
from distfit.layers.embedding import Embedding
from distfit.layers.graph import Input, Tensor
from distfit.layers.lambda_layer import Lambda
from distfit.layers.layer import Backward, Layer
from distfit.layers.merging import Add, Concatenate, Multiply
from distfit.layers.parameter import Parameter
from distfit.layers.rescaling import Rescaling
from distfit.layers.reshaping import Flatten, Reshape

KNOWN: dict[str, type[Layer]] = {
    layer.__name__: layer
    for layer in (
        ELU,
        Activation,
        Add,
        Concatenate,
        Dense,
        Dropout,
        Embedding,
        Flatten,
        Lambda,
        LeakyReLU,
        Multiply,
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
    "Backward",
    "Concatenate",
    "Context",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "Input",
    "Lambda",
    "Layer",
    "LeakyReLU",
    "Multiply",
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
