"""Write pytorch_curve.json: the losses of a small network under PyTorch, that distfit's are compared with.

Run by hand, with PyTorch 2.13.0 in an environment of its own:
``PYTHONPATH=tests python tests/mpi/reference/make_pytorch_curve.py``.
"""

import json
from pathlib import Path

import torch
from support.curve import BATCH, EPOCHS, ROWS, clusters, first_weights

OPTIMIZERS = {
    "momentum": lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9),
    "adam": lambda weights: torch.optim.Adam(weights, lr=0.01, eps=1e-12),
}


def curve(optimizer: str) -> dict[str, list[float]]:
    """Return the loss of each batch before its step, and the norms of the last weights."""
    x, y = (torch.from_numpy(array) for array in clusters())
    weights = [torch.tensor(weight, requires_grad=True) for weight in first_weights()]
    update = OPTIMIZERS[optimizer](weights)
    losses = []
    for _ in range(EPOCHS):
        for start in range(0, ROWS, BATCH):
            batch = slice(start, start + BATCH)
            hidden = torch.tanh(x[batch] @ weights[0] + weights[1])
            loss = torch.nn.functional.cross_entropy(hidden @ weights[2] + weights[3], y[batch])
            update.zero_grad()
            loss.backward()
            update.step()
            losses.append(round(loss.item(), 12))
    return {"losses": losses, "norms": [round(weight.detach().norm().item(), 12) for weight in weights]}


if __name__ == "__main__":
    written = {"pytorch": torch.__version__, **{name: curve(name) for name in OPTIMIZERS}}
    Path(__file__).with_name("pytorch_curve.json").write_text(json.dumps(written) + "\n")
