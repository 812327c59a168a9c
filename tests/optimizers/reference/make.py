"""Write torch.json: ten steps of PyTorch's optimizers, that distfit's are compared with.

Run by hand, with PyTorch 2.13.0 in an environment of its own: ``python make.py``. PyTorch adds epsilon in
another place than Keras does, so that it is made negligible here; where it stands is tested by hand
calculation.
"""

import itertools
import json
import math
from pathlib import Path

import torch

STEPS = 10
SHAPES = {"dense/kernel": (2, 3), "dense/bias": (3,), "out/kernel": (3, 1)}
TINY = 1e-30

# distfit's class and arguments, with the PyTorch optimizer that does the same.
CASES = {
    "plain": ("SGD", {"learning_rate": 0.1}, torch.optim.SGD, {"lr": 0.1}),
    "momentum": (
        "SGD",
        {"learning_rate": 0.1, "momentum": 0.9},
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.9},
    ),
    "nesterov": (
        "SGD",
        {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    ),
    "adam": ("Adam", {"learning_rate": 0.05, "epsilon": TINY}, torch.optim.Adam, {"lr": 0.05, "eps": TINY}),
    "amsgrad": (
        "Adam",
        {"learning_rate": 0.05, "beta_2": 0.5, "epsilon": TINY, "amsgrad": True},
        torch.optim.Adam,
        {"lr": 0.05, "betas": (0.9, 0.5), "eps": TINY, "amsgrad": True},
    ),
    "adamw": (
        "AdamW",
        {"learning_rate": 0.05, "weight_decay": 0.3, "beta_1": 0.8, "epsilon": TINY},
        torch.optim.AdamW,
        {"lr": 0.05, "weight_decay": 0.3, "betas": (0.8, 0.999), "eps": TINY},
    ),
    "rmsprop": (
        "RMSprop",
        {"learning_rate": 0.02, "epsilon": TINY},
        torch.optim.RMSprop,
        {"lr": 0.02, "alpha": 0.9, "eps": TINY},
    ),
    "rmsprop with momentum": (
        "RMSprop",
        {"learning_rate": 0.02, "rho": 0.95, "momentum": 0.5, "epsilon": TINY},
        torch.optim.RMSprop,
        {"lr": 0.02, "alpha": 0.95, "momentum": 0.5, "eps": TINY},
    ),
    "centered rmsprop": (
        "RMSprop",
        {"learning_rate": 0.02, "epsilon": TINY, "centered": True},
        torch.optim.RMSprop,
        {"lr": 0.02, "alpha": 0.9, "eps": TINY, "centered": True},
    ),
    "adagrad": (
        "Adagrad",
        {"learning_rate": 0.2, "epsilon": TINY},
        torch.optim.Adagrad,
        {"lr": 0.2, "initial_accumulator_value": 0.1, "eps": TINY},
    ),
}


def trajectory(optimizer_class: type, arguments: dict, start: list, gradients: list) -> list:
    """Return the weights after each step, all parameters one after the other."""
    weights = [torch.tensor(w, dtype=torch.float64, requires_grad=True) for w in start]
    optimizer = optimizer_class(weights, **arguments)
    steps = []
    for gradient in gradients:
        for weight, values in zip(weights, gradient, strict=True):
            weight.grad = torch.tensor(values, dtype=torch.float64)
        optimizer.step()
        steps.append(torch.cat([w.detach().ravel() for w in weights]).tolist())
    return steps


def main() -> None:
    """Draw weights and gradients, and write what PyTorch makes of them."""
    torch.manual_seed(7)
    sizes = {name: math.prod(shape) for name, shape in SHAPES.items()}
    start = [torch.randn(size, dtype=torch.float64).tolist() for size in sizes.values()]
    gradients = [
        [torch.randn(size, dtype=torch.float64).tolist() for size in sizes.values()] for _ in range(STEPS)
    ]
    reference = {
        "torch": torch.__version__.partition("+")[0],
        "sizes": sizes,
        "start": list(itertools.chain(*start)),
        "gradients": [list(itertools.chain(*gradient)) for gradient in gradients],
        "cases": {
            name: {
                "class": ours,
                "arguments": arguments,
                "weights": trajectory(theirs, their_arguments, start, gradients),
            }
            for name, (ours, arguments, theirs, their_arguments) in CASES.items()
        },
    }
    path = Path(__file__).with_name("torch.json")
    path.write_text(json.dumps(reference, indent=1) + "\n")


if __name__ == "__main__":
    main()
