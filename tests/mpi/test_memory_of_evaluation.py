"""Evaluation and prediction of files: what they hold of them at once."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from distfit import Sequential, layers
from distfit.comm import Communicator

ROWS, FEATURES, BATCH = 2048 + 3, 2048, 256
BATCH_BYTES = BATCH * FEATURES * 4


@pytest.mark.parametrize("method", ["evaluate", "predict"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_no_more_than_two_batches_are_in_memory(
    comm: Communicator, method: str, dtype: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", np.ones((ROWS, FEATURES), dtype))
    model = Sequential([layers.Dense(1, input_shape=(FEATURES,))], comm=comm)
    model.compile("sgd", "mse")
    x, y = np.load(tmp_path / "x.npy", mmap_mode="r"), np.zeros((ROWS, 1), np.float32)
    calls = {
        "evaluate": lambda rows: model.evaluate(x[:rows], y[:rows], BATCH, verbose=0),
        "predict": lambda rows: model.predict(x[:rows], BATCH, verbose=0),
    }
    calls[method](BATCH + 1)  # what is allocated once is not of the data
    tracemalloc.start()
    try:
        calls[method](ROWS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 2 * BATCH_BYTES
