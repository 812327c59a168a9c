"""Data sets and loaders of PyTorch: rows are shared by their numbers, once each, and augmented by row."""

import multiprocessing
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, WeightedRandomSampler

import distfit
from distfit import Model
from distfit.comm import Communicator

ROWS = 103
X = np.random.default_rng(0).normal(size=(ROWS, 4))
Y = np.random.default_rng(1).integers(0, 3, ROWS)


class Noisy(Dataset):
    """Adds noise from torch's generator to a row, as augmentations do, and notes which rows it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        self.asked.append(row)
        return torch.from_numpy(X[row]) + torch.randn(4), int(Y[row])


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter(zip(torch.from_numpy(X), torch.from_numpy(Y), strict=True))


def model_of(comm: Communicator) -> Model:
    distfit.utils.set_random_seed(2)
    torch.manual_seed(5)
    model = distfit.TorchModel(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double(), comm=comm)
    model.compile("sgd", nn.CrossEntropyLoss(), metrics=["accuracy"])
    return model


def assert_same(here: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for weight, other in zip(here, expected, strict=True):
        np.testing.assert_allclose(weight, other, rtol=1e-10)


def from_arrays(**options: Any) -> list[np.ndarray]:
    model = model_of(Communicator.alone())
    model.fit(X, Y, verbose=0, epochs=2, **options)
    return model.get_weights()


@pytest.mark.ranks(1, 3)
@pytest.mark.parametrize(
    "data",
    [
        (torch.from_numpy(X), torch.from_numpy(Y)),
        (TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),),
        (list(zip(X, Y, strict=True)),),
    ],
    ids=["tensors", "data set", "list"],
)
def test_rows_are_those_of_arrays(comm: Communicator, data: tuple[Any, ...]) -> None:
    if isinstance(data[0], list):
        data = (DataLoader(data[0], batch_size=32, shuffle=True),)
    model = model_of(comm)
    model.fit(*data, verbose=0, epochs=2, batch_size=32)
    assert_same(model.get_weights(), from_arrays(batch_size=32))


@pytest.mark.ranks(1, 2)
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_loader_says_batch_size_and_order(comm: Communicator, shuffle: bool) -> None:
    data = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    model = model_of(comm)
    model.fit(DataLoader(data, batch_size=20, shuffle=shuffle), verbose=0, epochs=2)
    assert_same(model.get_weights(), from_arrays(batch_size=20, shuffle=shuffle))
    loss, accuracy = model.evaluate(DataLoader(data, batch_size=20, num_workers=1), verbose=0)
    assert [loss, accuracy] == pytest.approx(model.evaluate(X, Y, verbose=0))
    predicted = model.predict(DataLoader(data, batch_size=20, shuffle=True), verbose=0)
    np.testing.assert_allclose(predicted, model.predict(X, verbose=0))  # in their order, all the same


@pytest.mark.ranks(1, 2, 3)
def test_each_row_is_asked_for_once_and_augmented_alike(comm: Communicator) -> None:
    data, model, alone = Noisy(), model_of(comm), model_of(Communicator.alone())
    data.asked.clear()
    model.fit(data, batch_size=32, verbose=0)
    asked = [
        row for rows in comm.all_gather_object(data.asked[1:]) for row in rows
    ]  # but for a look at the first
    assert sorted(asked) == list(range(ROWS))
    alone.fit(Noisy(), batch_size=32, verbose=0)
    assert_same(model.get_weights(), alone.get_weights())


@pytest.mark.ranks(1, 2)
def test_an_iterable_loader_yields_global_batches(comm: Communicator) -> None:
    model = model_of(comm)
    model.fit(DataLoader(Stream(), batch_size=32), verbose=0, epochs=2)
    assert_same(model.get_weights(), from_arrays(batch_size=32, shuffle=False))


@pytest.mark.ranks(1)
@pytest.mark.parametrize(
    ("make", "error", "remedy"),
    [
        (Stream, TypeError, "give a DataLoader of it"),
        (
            lambda: DataLoader(Noisy(), batch_size=4, sampler=WeightedRandomSampler([1.0] * ROWS, 10)),
            TypeError,
            "without a sampler",
        ),
        (
            lambda: DataLoader(Stream(), num_workers=1, multiprocessing_context="fork"),
            RuntimeError,
            "multiprocessing_context='forkserver'",
        ),
        (
            lambda: DataLoader(
                Stream(), num_workers=1, multiprocessing_context=multiprocessing.get_context("fork")
            ),
            RuntimeError,
            "must not fork",
        ),
    ],
)
def test_what_cannot_be_shared_is_refused(
    comm: Communicator, make: Any, error: type[Exception], remedy: str
) -> None:
    with pytest.raises(error, match=remedy):
        model_of(comm).fit(make(), verbose=0)


@pytest.mark.ranks(1)
def test_targets_stand_in_the_data_set_itself(comm: Communicator) -> None:
    with pytest.raises(ValueError, match="y has to be None"):
        model_of(comm).fit(Noisy(), Y, verbose=0)
