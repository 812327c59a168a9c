"""Trains a ConvNet of PyTorch on Fashion-MNIST, on as many ranks as mpiexec starts.

    mpiexec -n 2 python examples/torch_cnn.py --epochs 3

The module, the loss, the optimizer and its schedule are PyTorch's own; rows, ranks, logs and checkpoints are distfit's.
Stop it, and start it again with another number of ranks: it goes on where it was.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

from distfit import TorchModel, callbacks, datasets, utils
from distfit.comm import Communicator

OUT = Path("out")

Rows = tuple[np.ndarray, np.ndarray]


def load(*, digits: bool) -> tuple[Rows, Rows]:
    """Return training and test rows: pictures ``(rows, 1, height, width)`` in [0, 1], and classes."""
    brightest = 255.0
    try:
        if digits:
            raise datasets.DatasetUnavailable("Fashion-MNIST is not wanted.")
        train, test = datasets.fashion_mnist.load_data()
    except datasets.DatasetUnavailable as error:
        Communicator.world().print(f"{error}\nTraining on the digits that come with distfit.")
        brightest = 16.0
        train, test = datasets.digits.load_data()
    (x, y), (x_test, y_test) = train, test
    return (as_pictures(x, brightest), y), (as_pictures(x_test, brightest), y_test)


def as_pictures(x: np.ndarray, brightest: float) -> np.ndarray:
    """Return pictures as PyTorch wants them: with an axis of channels, in float32."""
    return (x[:, np.newaxis] / brightest).astype(np.float32)


def conv_net(side: int) -> nn.Module:
    """Return a network for square pictures."""
    width = (side // 2) ** 2 * 32
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(width, 10),
    )


def main() -> None:
    """Train, and evaluate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=256, help="of all ranks together")
    parser.add_argument(
        "--digits", action="store_true", help="take the small data set that comes with distfit"
    )
    options = parser.parse_args()

    (x, y), test = load(digits=options.digits)
    utils.set_random_seed(1)
    torch.manual_seed(1)
    module = conv_net(x.shape[-1])
    updates = options.epochs * -(-len(x) // options.batch_size)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=updates + 1)

    model = TorchModel(module)
    model.compile(optimizer=schedule, loss=nn.CrossEntropyLoss(), metrics=["accuracy"])
    model.summary()
    model.fit(
        x, y, batch_size=options.batch_size, epochs=options.epochs, verbose=2, validation_data=test,
        callbacks=[callbacks.BackupAndRestore(OUT / "torch_cnn")],
    )  # fmt: skip
    scores = model.evaluate(*test, verbose=0, return_dict=True)
    model.comm.print(f"test accuracy {scores['accuracy']:.4f}, loss {scores['loss']:.4f}")
    model.save_weights(OUT / "torch_cnn.safetensors")
    model.comm.print(f"plain PyTorch loads {OUT / 'torch_cnn.safetensors'} with safetensors.torch.load_file")


if __name__ == "__main__":
    main()
