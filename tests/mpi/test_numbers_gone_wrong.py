"""NaN and infinities: ignored, skipped, or an error that names rank, place, step and row."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit import Model, Sequential, layers, load_model, metrics, utils
from distfit.callbacks import LambdaCallback
from distfit.comm import Communicator
from distfit.engines import LossValue
from distfit.errors import NonFiniteNumbers

# Ten rows in global batches of four, in their order: row 6 is the third of the second batch, row 9 the last of the
# third, of two rows.
ROW, RANK_OF_ROW = 6, {1: 0, 2: 1, 3: 1, 4: 2}
LAST_ROW, RANK_OF_LAST_ROW = 9, {1: 0, 2: 1, 3: 1, 4: 1}
nan, inf = float("nan"), float("inf")


def bad_line(row: int, *, in_y: bool = False) -> tuple[np.ndarray, np.ndarray]:
    x, y = line()
    (y if in_y else x)[row, 0] = nan
    return x, y


def fit(model: Model, x: np.ndarray, y: np.ndarray, **options: Any) -> dict[str, list[float]]:
    options = {"batch_size": 4, "shuffle": False, "verbose": 0, **options}
    return model.fit(x, y, **options).history


def message(comm: Communicator, model: Model, x: np.ndarray, y: np.ndarray, **options: Any) -> str:
    """Return the text of the error, which is the same on all ranks."""
    with pytest.raises(FloatingPointError) as raised:
        fit(model, x, y, **options)
    assert isinstance(raised.value, NonFiniteNumbers)
    (text,) = set(comm.all_gather_object(str(raised.value)))
    return text


class Inverse(layers.Layer):
    """Infinite at zero."""

    def forward(self, x: np.ndarray, context: Any) -> Any:
        with np.errstate(divide="ignore"):
            y = 1 / x
        return y, lambda dy: -dy * y * y


class Broken(Sequential):
    """Its loss or its gradient is no number at one step, for the row whose target is 0."""

    step, loss_is, gradient_is = 0, 0.0, 0.0

    def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> LossValue:
        value = super().compute_loss(x, y, y_pred, sample_weight)
        if self.progress.step != self.step or not (y == 0).any():
            return value
        return LossValue(
            value.total + self.loss_is,
            value.weight,
            lambda: value.gradient() + np.where(y == 0, self.gradient_is, 0),
        )


def broken(comm: Communicator, **compile_options: Any) -> Broken:
    utils.set_random_seed(7)
    model = Broken([layers.Dense(4, activation="tanh", input_shape=(2,)), layers.Dense(1)], comm=comm)
    model.compile(optimizer="sgd", loss="mse", **compile_options)
    return model


@pytest.mark.parametrize(
    ("row", "ranks", "step"), [(ROW, RANK_OF_ROW, 2), (LAST_ROW, RANK_OF_LAST_ROW, 3)], ids=["inner", "last"]
)
@pytest.mark.parametrize("in_y", [False, True])
@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_bad_row_is_named_with_its_rank_and_step(
    comm: Communicator, row: int, ranks: dict[int, int], step: int, in_y: bool, accumulated: int
) -> None:
    model = regression(comm, on_nan="raise", gradient_accumulation_steps=accumulated)
    text = message(comm, model, *bad_line(row, in_y=in_y))
    assert f"step {step} gave NaN or infinity: first in {'y' if in_y else 'x'}, " in text
    assert f"on rank {ranks[comm.size]}, row {row} of the data set." in text


def test_the_weights_are_as_before_the_step(comm: Communicator) -> None:
    model, seen = regression(comm, on_nan="raise"), []
    see = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(model.get_weights()))
    message(comm, model, *bad_line(LAST_ROW), callbacks=[see])
    assert len(seen) == 2
    for weight, before in zip(model.get_weights(), seen[-1], strict=True):
        np.testing.assert_array_equal(weight, before)
    assert all(np.isfinite(fit(model, *line())["loss"]))  # not torn, and in step: it trains on


def test_a_shuffled_row_is_named_by_its_number_in_the_data(comm: Communicator) -> None:
    text = message(comm, regression(comm, on_nan="raise"), *bad_line(ROW), shuffle=True)
    assert f"row {ROW} of the data set" in text


@pytest.mark.parametrize("normalize", [False, True])
def test_the_first_layer_whose_output_is_not_finite_is_named(comm: Communicator, normalize: bool) -> None:
    """Batch normalization spreads it to all ranks' rows: it still comes first where it began."""
    x, y = line()
    x[ROW] = 0
    after = [layers.BatchNormalization()] if normalize else []
    model = Sequential([Inverse(input_shape=(2,)), *after, layers.Dense(1)], comm=comm)
    model.compile("sgd", "mse", on_nan="raise")
    with np.errstate(invalid="ignore"):
        text = message(comm, model, x, y)
    assert "step 2 gave" in text
    assert (
        f"the output of layer inverse, on rank {RANK_OF_ROW[comm.size]}, row {ROW} of the data set." in text
    )


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_a_loss_or_gradient_alone_is_named(comm: Communicator, kind: str) -> None:
    model, (x, y) = broken(comm, on_nan="raise"), line()
    y[ROW] = 0
    model.step = 1
    setattr(model, f"{kind}_is", nan)
    text = message(comm, model, x, y)
    where = {"loss": "the loss", "gradient": "the gradient of dense_1/bias"}[kind]
    assert f"step 2 gave NaN or infinity: first in {where}, on rank {RANK_OF_ROW[comm.size]}." in text


def test_the_step_within_accumulated_ones_is_found(comm: Communicator) -> None:
    model, (x, y) = broken(comm, on_nan="raise", gradient_accumulation_steps=3), line()
    y[ROW], model.step, model.gradient_is = 0, 1, inf
    assert "step 2 gave NaN or infinity: first in the gradient" in message(comm, model, x, y)


@pytest.mark.ranks(2)
def test_a_sum_that_overflows_is_no_rank_s_own(comm: Communicator) -> None:
    model, (x, y) = broken(comm, on_nan="raise"), line()
    x[:], y[:], model.gradient_is = 0, 0, 3e38 / 2  # of two rows a rank: twice that is the largest float32
    assert "each rank's gradients are finite, but not their sum" in message(comm, model, x, y)


def test_weights_that_are_no_numbers_are_named_before_all_that_follows(comm: Communicator) -> None:
    model = regression(comm, on_nan="raise")
    model.set_weights([weight * nan if i == 2 else weight for i, weight in enumerate(model.get_weights())])
    text = message(comm, model, *line())
    assert "step 1 gave NaN or infinity: first in weight dense_1/kernel, on rank 0" in text


class Largest(metrics.Metric):
    """No sum: it is brought together at an epoch's end."""

    def __init__(self, name: str = "largest") -> None:
        super().__init__(name)
        self.fields = {"value": metrics.Field((), "max")}

    def measure(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        return {"value": np.abs(y_pred).max()}

    def compute(self, state: Any) -> float:
        return float(state["value"])


def skipped(comm: Communicator, model: Model, x: np.ndarray, y: np.ndarray) -> dict[str, list[float]]:
    """Fit, with one warning of root."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = fit(model, x, y)
    warned = [str(one.message) for one in caught if "is skipped" in str(one.message)]
    assert len(warned) == len(caught) == comm.is_root
    return history


def on_batches(comm: Communicator, *batches: slice) -> tuple[float, list[np.ndarray]]:
    """Train on these rows, update by update, and return the mean loss over all of them, and the weights."""
    model, (x, y) = regression(comm), line()
    losses = [(model.train_on_batch(x[rows], y[rows])[0], len(x[rows])) for rows in batches]
    return float(
        sum(loss * rows for loss, rows in losses) / sum(rows for _, rows in losses)
    ), model.get_weights()


def test_skip_trains_as_if_the_batch_had_not_been(comm: Communicator) -> None:
    model = regression(comm, on_nan="skip", metrics=["mae", Largest()])
    history = skipped(comm, model, *bad_line(ROW))
    loss, weights = on_batches(comm, slice(0, 4), slice(8, 10))
    assert history["loss"] == pytest.approx([loss], rel=1e-5)
    assert np.isfinite(history["mae"]).all()
    assert np.isfinite(history["largest"]).all()
    assert model.numerics.skipped == 1
    assert model.optimizer.iterations == 2
    for weight, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-7)


def test_skip_leaves_out_all_that_was_accumulated(comm: Communicator) -> None:
    """Updates of two batches of two rows; the third is of the two rows that are left."""
    model = regression(comm, on_nan="skip", gradient_accumulation_steps=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(model, *bad_line(ROW), batch_size=2)
    _, weights = on_batches(comm, slice(0, 4), slice(8, 10))
    for weight, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-7)


def test_a_gradient_alone_is_skipped_and_its_loss_counts(comm: Communicator) -> None:
    model, (x, y) = broken(comm, on_nan="skip"), line()
    y[ROW], model.step, model.gradient_is = 0, 1, nan
    assert np.isfinite(skipped(comm, model, x, y)["loss"]).all()
    assert np.isfinite(model.get_weights()[0]).all()
    assert model.optimizer.iterations == 2


@pytest.mark.parametrize("policy", ["skip", "raise"])
def test_moving_averages_are_as_before_the_step(comm: Communicator, policy: str) -> None:
    def normalized() -> Sequential:
        utils.set_random_seed(7)
        model = Sequential(
            [layers.BatchNormalization(input_shape=(2,)), layers.Dense(1, use_bias=False)], comm=comm
        )
        model.compile("sgd", "mse", on_nan=policy)
        return model

    model, before = normalized(), normalized()
    x, y = line()
    before.fit(x[:8], y[:8], batch_size=4, shuffle=False, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if policy == "skip":
            fit(model, *bad_line(LAST_ROW))
        else:
            message(comm, model, *bad_line(LAST_ROW))
    for weight, expected in zip(model.get_weights(), before.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_ignore_trains_on_as_keras_does(comm: Communicator) -> None:
    model = regression(comm)
    assert np.isnan(fit(model, *bad_line(ROW))["loss"]).all()
    assert np.isnan(model.get_weights()[0]).any()


def test_large_numbers_are_finite(comm: Communicator) -> None:
    """Their squares are not, in float32."""
    model, (x, y) = broken(comm, on_nan="raise"), line()
    y[ROW], model.step, model.gradient_is = 0, 1, 1e25
    fit(model, x, y, steps_per_epoch=2)
    assert model.optimizer.iterations == 2


def test_the_policies_stand_in_a_saved_model(comm: Communicator, tmp_path: Path) -> None:
    path = comm.broadcast_object(str(tmp_path / "model.safetensors"))
    regression(comm, on_nan="skip", on_divergence="heal", divergence_every=5).save(path)
    compiled = load_model(path, comm=comm).compiled
    assert (compiled.on_nan, compiled.on_divergence, compiled.divergence_every) == ("skip", "heal", 5)


@pytest.mark.ranks(1)
def test_an_unknown_policy_is_an_error(comm: Communicator) -> None:
    with pytest.raises(
        ValueError, match=re.escape("on_nan is one of 'ignore', 'raise', 'skip'. Received: 'warn'")
    ):
        regression(comm, on_nan="warn")


@pytest.mark.ranks(1, 2, 3)
def test_an_epoch_of_which_every_step_is_skipped_has_no_values(comm: Communicator) -> None:
    """A loss of 0 would be the best of all."""
    model = regression(
        comm, on_nan="skip", metrics=["mae", Largest(), metrics.F1Score(threshold=0.5, name="f1")]
    )
    x, y = line()
    seen: list[Any] = []
    hook = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(dict(logs)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = fit(model, np.full_like(x, np.nan), y, callbacks=[hook])
    assert all(np.isfinite(logs["loss"]) for logs in seen)  # an epoch that has just begun is not over
    assert set(history) == set(
        fit(regression(comm, metrics=["mae", Largest(), metrics.F1Score(threshold=0.5, name="f1")]), x, y)
    )
    assert all(np.isnan(value) for values in history.values() for value in values)
