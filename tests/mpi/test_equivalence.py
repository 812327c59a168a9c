"""Promise 1: any number of ranks ends with the weights and logs of one rank."""

import functools
from typing import Any

import numpy as np
import pytest
from support.equivalence import (
    BATCH,
    TOLERANCE,
    Trained,
    assert_same,
    augmented,
    conv_net,
    fitted,
    floatx,
    images,
    mlp,
)

from distfit import data, losses, optimizers, utils
from distfit.comm import Communicator

MODELS = {"mlp": mlp, "conv_net": conv_net}
EPOCHS = 3


def train(comm: Communicator, name: str, dtype: str, case: str) -> Trained:
    """Train a model in one of the cases below."""
    with floatx(dtype):
        utils.set_random_seed(11)
        model = MODELS[name](comm)
        model.compile(
            optimizer=optimizers.Adam(0.003),
            loss=losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            gradient_accumulation_steps=3 if case == "accumulation" else None,
        )
        x, y = images()
        options: dict[str, Any] = {"batch_size": BATCH, "epochs": EPOCHS, "validation_split": 0.1}
        if case == "sample_weight":
            options["sample_weight"] = np.random.default_rng(1).uniform(0.5, 2.0, len(x))
        if case == "fewer rows than ranks":
            # 12 full batches and one of a single row: most ranks have none of it
            keep = 12 * BATCH + 1
            x, y = x[:keep], y[:keep]
            options["validation_split"] = 0.0
        return fitted(model, data.map(x, augmented), y, **options)


alone = functools.cache(lambda *case: train(Communicator.alone(), *case))


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", ["plain", "sample_weight", "accumulation", "fewer rows than ranks"])
@pytest.mark.parametrize("name", MODELS)
def test_any_number_of_ranks_trains_as_one(comm: Communicator, name: str, dtype: str, case: str) -> None:
    assert_same(train(comm, name, dtype, case), alone(name, dtype, case), TOLERANCE[dtype])


def train_on_parts(comm: Communicator, sizes: list[int]) -> Trained:
    """Train on parts of these sizes, which each rank holds for itself; a rank on its own holds them all."""
    with floatx("float64"):
        utils.set_random_seed(3)
        model = mlp(comm)
        model.compile(
            optimizer="adam", loss=losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["acc"]
        )
        x, y = images(sum(sizes))
        if comm.size > 1:
            start = sum(sizes[: comm.rank])
            part = slice(start, start + sizes[comm.rank])
            return fitted(
                model, data.LocalPart(x[part]), data.LocalPart(y[part]), batch_size=BATCH, epochs=EPOCHS
            )
        return fitted(model, x, y, batch_size=BATCH, epochs=EPOCHS)


@pytest.mark.ranks(2, 3, 4)
def test_unequal_local_parts_train_as_their_concatenation(comm: Communicator) -> None:
    sizes = [130, 0, 201, 72][: comm.size]  # one of them empty
    assert_same(train_on_parts(comm, sizes), train_on_parts(Communicator.alone(), sizes), 1e-10)


def train_on_a_stream(comm: Communicator) -> Trained:
    """Train on an iterable, which every rank reads whole."""
    with floatx("float64"):
        utils.set_random_seed(3)
        model = mlp(comm)
        model.compile(
            optimizer="sgd", loss=losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["acc"]
        )
        x, y = images(200)
        batches = [(x[i : i + 32], y[i : i + 32]) for i in range(0, 200, 32)]
        return fitted(model, Stream(batches), epochs=2)


class Stream:
    """An iterable without `[i]`: a global stream of global batches."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Any:
        return iter(self.batches)


def test_a_stream_of_global_batches_is_shared_by_the_ranks(comm: Communicator) -> None:
    assert_same(train_on_a_stream(comm), train_on_a_stream(Communicator.alone()), 1e-10)


def test_a_run_is_repeated_by_its_seed(comm: Communicator) -> None:
    first = train(comm, "mlp", "float32", "plain")
    again = train(comm, "mlp", "float32", "plain")
    for weight, expected in zip(again[1], first[1], strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_weights_are_equal_bit_for_bit_on_all_ranks(comm: Communicator) -> None:
    _, weights = train(comm, "conv_net", "float32", "plain")
    everywhere = comm.all_gather_object([weight.tobytes() for weight in weights])
    assert all(others == everywhere[0] for others in everywhere)
