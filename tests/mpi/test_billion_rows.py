"""A data set that no rank could hold: its rows are computed when they are asked for."""

import tracemalloc

import numpy as np
from support.equivalence import Trained, assert_same, fitted
from support.small import regression

from distfit.comm import Communicator

ROWS = 10**9


class Virtual:
    """A billion rows of two numbers, functions of the row's number."""

    shape = (ROWS, 2)

    def __init__(self) -> None:
        self.read: list[np.ndarray] = []

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        self.read.append(rows)
        return np.stack([np.sin(rows), np.cos(rows)], axis=1)


class Targets(Virtual):
    """One number for each of them."""

    shape = (ROWS, 1)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return np.sin(rows)[:, np.newaxis]


def train(comm: Communicator) -> tuple[Trained, int, list[np.ndarray]]:
    x, model = Virtual(), regression(comm)
    tracemalloc.start()
    trained = fitted(model, x, Targets(), batch_size=64, steps_per_epoch=5, epochs=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return trained, peak, x.read[-5:]


def test_the_first_batches_of_an_epoch_over_a_billion_rows(comm: Communicator) -> None:
    trained, peak_bytes, read = train(comm)
    assert_same(trained, train(Communicator.alone())[0], 1e-4)
    assert peak_bytes < 10e6
    everywhere = comm.all_gather_object(read)
    for step in range(5):
        batch = np.concatenate([rank[step] for rank in everywhere])
        assert len(set(batch.tolist())) == 64
        assert (np.diff(batch) > 0).all()  # files are read in order, each rank its stretch
        assert batch.max() > 10**8  # and they come from all over
