"""Ranks that no longer hold the same: rounding is healed, and everything else is an error that says what and who."""

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit import Sequential, layers, optimizers, utils
from distfit.callbacks import Callback, LambdaCallback
from distfit.comm import Communicator
from distfit.engines import LossValue
from distfit.errors import DataMismatch, RankDivergence

STEPS = 3
Change = Callable[[Sequential], None]


def momentum(comm: Communicator, **compile_options: Any) -> Sequential:
    return regression(comm, optimizer=optimizers.SGD(0.1, momentum=0.9, use_ema=True), **compile_options)


def normalized(comm: Communicator, **compile_options: Any) -> Sequential:
    utils.set_random_seed(7)
    model = Sequential(
        [layers.Dense(4, input_shape=(2,)), layers.BatchNormalization(), layers.Dense(1)], comm=comm
    )
    model.compile(optimizer="adam", loss="mse", **compile_options)
    return model


def at_the_end_of_an_epoch(rank: int, change: Change, *, batch: int = STEPS - 1) -> Callback:
    """Change something on one rank alone, past everything that distfit would see."""
    callback: LambdaCallback = LambdaCallback(
        on_train_batch_end=lambda number, logs: (
            number == batch and callback.model.comm.rank == rank and change(callback.model)
        )
    )
    return callback


def fitted(model: Sequential, *callbacks: Callback, epochs: int = 1) -> list[np.ndarray]:
    model.fit(*line(), batch_size=4, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return model.get_weights()


def everything(model: Sequential) -> list[Any]:
    slots = model.optimizer.state()
    return [
        model.engine.parameters.tobytes(),
        {name: slot.tobytes() for name, slot in slots.items()},
        model.optimizer.scalars(),
    ]


def next_number(model: Sequential) -> None:
    weights = model.engine.parameters
    weights[0] = np.nextafter(weights[0], np.inf)


def by_a_thousandth(model: Sequential) -> None:
    model.engine.parameters[:8] *= np.float32(1.001)  # the first layer's kernel


def warned(caught: list[warnings.WarningMessage]) -> list[str]:
    return [str(one.message) for one in caught]


@pytest.mark.ranks(2, 3, 4)
def test_rounding_is_healed_with_one_warning_of_root(comm: Communicator) -> None:
    undisturbed = regression(comm)
    fitted(undisturbed, epochs=3)
    model = regression(comm)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted(model, at_the_end_of_an_epoch(comm.size - 1, next_number), epochs=3)
    assert everything(model) == everything(undisturbed)
    if comm.is_root:
        (text,) = warned(caught)  # of three
        assert f"rank {comm.size - 1} does not hold" in text
        assert "dense/kernel" in text
        assert "rounding" in text
    else:
        assert not caught


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize(
    ("make", "change", "what", "size"),
    [
        (regression, by_a_thousandth, "dense/kernel", "0.001"),
        (
            momentum,
            lambda model: model.optimizer.state()["momentum"].__setitem__(0, 50),
            "momentum of dense/kernel",
            "1",
        ),
        (
            momentum,
            lambda model: model.optimizer.state()["ema"].__setitem__(0, 50),
            "ema of dense/kernel",
            "1",
        ),
        (
            normalized,
            lambda model: model.engine.parameters[
                model.engine.places["batch_normalization/moving_mean"]
            ].fill(9),
            "batch_normalization/moving_mean",
            "1",
        ),
        (regression, lambda model: model.engine.parameters.__setitem__(0, np.nan), "dense/kernel", "inf"),
    ],
    ids=["weight", "slot", "average of weights", "moving mean", "NaN"],
)
def test_what_is_more_than_rounding_is_an_error_on_all_ranks(
    comm: Communicator, make: Any, change: Change, what: str, size: str
) -> None:
    rank = comm.size - 1
    with pytest.raises(RankDivergence) as raised:
        fitted(make(comm), at_the_end_of_an_epoch(rank, change))
    text = str(raised.value)
    assert f"rank {rank} does not hold what the others hold" in text
    assert f"after step {STEPS}" in text
    told = re.search(rf"{what}: relative difference ([\w.]+), of rank {rank} to root", text)
    assert told is not None
    assert float(told[1]) == pytest.approx(float(size), rel=0.6)
    assert comm.all_gather_object(text) == [text] * comm.size


@pytest.mark.ranks(3, 4)
def test_most_ranks_are_right_even_against_root(comm: Communicator) -> None:
    with pytest.raises(RankDivergence, match="rank 0 does not hold what the others hold"):
        fitted(regression(comm), at_the_end_of_an_epoch(0, by_a_thousandth))


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("learning_rate", 0.02, "learning_rate: relative difference 0.5"),
        ("iterations", 5, "iterations: relative difference 0.57"),
    ],
)
def test_a_number_of_the_optimizer_that_is_set_on_one_rank_is_named(
    comm: Communicator, name: str, value: float, told: str
) -> None:
    """Outside hooks, whose decisions are agreed. The rate is 0.01; 5 before the second update is 7 after the third."""

    class Impatient(Sequential):
        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> LossValue:
            if comm.rank == 1 and self.progress.step == 1:
                setattr(self.optimizer, name, value)
            return super().compute_loss(x, y, y_pred, sample_weight)

    utils.set_random_seed(7)
    model = Impatient([layers.Dense(1, input_shape=(2,))], comm=comm)
    model.compile(optimizer="sgd", loss="mse")
    with pytest.raises(RankDivergence, match=f"{told}, of rank 1"):
        fitted(model)


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize(
    "change", [by_a_thousandth, lambda model: model.engine.parameters.__setitem__(0, np.inf)]
)
def test_heal_continues_from_root(comm: Communicator, change: Change) -> None:
    undisturbed = momentum(comm)
    fitted(undisturbed, epochs=2)
    model = momentum(comm, on_divergence="heal")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted(model, at_the_end_of_an_epoch(1, change), epochs=2)
    assert everything(model) == everything(undisturbed)
    assert len(caught) == (2 if comm.is_root else 0)
    assert all("continue from root's" in text for text in warned(caught))


@pytest.mark.ranks(2, 3)
def test_comparing_every_few_steps_finds_it_there(comm: Communicator) -> None:
    early = at_the_end_of_an_epoch(1, by_a_thousandth, batch=0)
    with pytest.raises(RankDivergence, match="after step 2"):
        fitted(regression(comm, divergence_every=2, share_memory=False), early)


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("make", [regression, momentum])
def test_what_one_rank_writes_alone_does_not_outlive_the_next_step_on_one_machine(
    comm: Communicator, make: Any
) -> None:
    """There the ranks hold one copy of what is trained, and go on from that."""
    model = make(comm, divergence_every=2)
    fitted(model, at_the_end_of_an_epoch(comm.size - 1, by_a_thousandth, batch=0), epochs=2)
    assert comm.all_gather_object(everything(model)) == [everything(model)] * comm.size


@pytest.mark.ranks(2)
def test_ignore_looks_at_nothing(comm: Communicator) -> None:
    model = regression(comm, on_divergence="ignore", share_memory=False)
    fitted(model, at_the_end_of_an_epoch(1, by_a_thousandth))
    one, other = comm.all_gather_object(model.get_weights()[0].tolist())
    assert one != other


@pytest.mark.ranks(2, 3)
def test_the_same_nan_on_all_ranks_is_no_divergence(comm: Communicator) -> None:
    model = regression(comm)
    spoil = LambdaCallback(
        on_train_batch_end=lambda batch, logs: model.engine.parameters.__setitem__(0, np.nan)
    )
    fitted(model, spoil)
    assert np.isnan(model.get_weights()[0]).any()


@pytest.mark.ranks(2, 3)
def test_nan_of_another_kind_is_healed(comm: Communicator) -> None:
    """The bits of a NaN say nothing: processors make different ones."""
    model = regression(comm)

    def spoil(batch: int, logs: Any) -> None:
        model.engine.parameters[0] = np.nan if comm.is_root else -np.float32(np.nan)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted(model, LambdaCallback(on_train_batch_end=spoil))
    assert len(caught) == comm.is_root
    (bits,) = set(comm.all_gather_object(model.engine.parameters.tobytes()))
    assert np.isnan(np.frombuffer(bits, np.float32)[0])


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("trainable", [True, False])
def test_ranks_that_hold_the_same_train_on(comm: Communicator, trainable: bool) -> None:
    """Ranks without rows, frozen layers, moving averages and several kinds of slots included: no false alarm."""
    model = normalized(comm, divergence_every=1)
    model.layers[0].trainable = trainable
    model.compile(optimizer=optimizers.Adam(0.1, amsgrad=True, use_ema=True), loss="mse", divergence_every=1)
    x, y = line()
    model.fit(x[:9], y[:9], batch_size=4, epochs=3, verbose=0)
    assert len(set(comm.all_gather_object(model.engine.parameters.tobytes()))) == 1


@pytest.mark.ranks(2, 3)
def test_after_the_error_root_s_weights_are_trained_on_once_they_are_set(comm: Communicator) -> None:
    model = regression(comm, share_memory=False)
    with pytest.raises(RankDivergence):
        fitted(model, at_the_end_of_an_epoch(1, by_a_thousandth))
    with pytest.raises(RankDivergence):
        fitted(model)
    model.set_weights(model.get_weights())
    fitted(model)
    assert len(set(comm.all_gather_object(model.engine.parameters.tobytes()))) == 1


@pytest.mark.ranks(2)
def test_all_ranks_are_told_the_same(comm: Communicator) -> None:
    model = regression(comm, on_divergence="heal" if comm.is_root else "raise")
    with pytest.raises(DataMismatch, match="what compile was given"):
        fitted(model)


@pytest.mark.ranks(1, 2)
@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"on_divergence": "mend"}, "on_divergence is one of 'raise', 'heal', 'ignore'. Received: 'mend'"),
        ({"divergence_every": 0}, "divergence_every is a whole number of at least 1. Received: 0"),
    ],
)
def test_arguments_that_make_no_sense(comm: Communicator, option: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        regression(comm, **option)
