"""Any number of ranks goes down PyTorch's loss curve, on the same batches, the last one ragged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.curve import BATCH, CLASSES, EPOCHS, FEATURES, HIDDEN, ROWS, clusters, first_weights
from support.equivalence import floatx

from distfit import Sequential, layers, losses, optimizers
from distfit.callbacks import Callback
from distfit.comm import Communicator

REFERENCE = json.loads((Path(__file__).parent / "reference" / "pytorch_curve.json").read_text())
OPTIMIZERS = {
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: optimizers.Adam(0.01, epsilon=1e-12),
}


class Losses(Callback):
    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.values.append(logs["loss"])


def running_means(batch_losses: list[float]) -> np.ndarray:
    """Return what the logs of batches show: the mean over the epoch's rows so far."""
    rows = np.full(-(-ROWS // BATCH), BATCH)
    rows[-1] = ROWS - rows[:-1].sum()
    by_epoch = np.array(batch_losses).reshape(EPOCHS, rows.size)
    return np.asarray((by_epoch * rows).cumsum(axis=1) / rows.cumsum()).ravel()


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_loss_curve_is_that_of_pytorch(
    comm: Communicator, optimizer: str, dtype: str, tolerance: float
) -> None:
    with floatx(dtype):
        model = Sequential(
            [layers.Dense(HIDDEN, activation="tanh", input_shape=(FEATURES,)), layers.Dense(CLASSES)],
            comm=comm,
        )
        model.compile(
            optimizer=OPTIMIZERS[optimizer](), loss=losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        model.set_weights(first_weights())
        seen = Losses()
        model.fit(*clusters(), batch_size=BATCH, epochs=EPOCHS, shuffle=False, callbacks=[seen], verbose=0)
        norms = [np.linalg.norm(weight) for weight in model.get_weights()]
    expected = REFERENCE[optimizer]
    np.testing.assert_allclose(seen.values, running_means(expected["losses"]), rtol=tolerance)
    np.testing.assert_allclose(norms, expected["norms"], rtol=tolerance)
    assert seen.values[-1] < 0.6 * seen.values[0]  # it did learn
