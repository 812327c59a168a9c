"""What changes the weights, under Keras's names."""

from distfit.optimizers import schedules
from distfit.optimizers.adagrad import Adagrad
from distfit.optimizers.adam import Adam
from distfit.optimizers.adamw import AdamW
from distfit.optimizers.arena import Chunk, Step
from distfit.optimizers.elementwise import ElementwiseOptimizer
from distfit.optimizers.known import KNOWN, get
from distfit.optimizers.lamb import Lamb
from distfit.optimizers.lars import LARS
from distfit.optimizers.layerwise import LayerwiseOptimizer
from distfit.optimizers.optimizer import Optimizer
from distfit.optimizers.parts import Arrays, Part, Segment
from distfit.optimizers.rmsprop import RMSprop
from distfit.optimizers.sgd import SGD

__all__ = [
    "KNOWN",
    "LARS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Arrays",
    "Chunk",
    "ElementwiseOptimizer",
    "Lamb",
    "LayerwiseOptimizer",
    "Optimizer",
    "Part",
    "RMSprop",
    "Segment",
    "Step",
    "get",
    "schedules",
]
