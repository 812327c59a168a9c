"""Which weights stand in the model at which hook.

One weight w fits ``y = 2 x`` to x = 1, 2, 3, 4 from w = 0, two rows in a batch, by steps of 0.01, with averages of
momentum 0.5. Expected values were obtained from Keras 3.15.1 on JAX with its own SwapEMAWeights; each case is an entry
of (weight at the start of an epoch, weight in the validation, weight at its end).
"""

from typing import Any

import numpy as np
import pytest

from distfit import Sequential, layers, optimizers
from distfit.callbacks import Callback, EarlyStopping, ModelCheckpoint, SwapEMAWeights, on_root
from distfit.checkpoint import read_arrays
from distfit.comm import Communicator
from distfit.errors import CollectiveInRootHook

X = np.array([[1.0], [2.0], [3.0], [4.0]])
TRAINED = [0.57499999, 0.98468751, 1.27658987]  # after each of three epochs
AVERAGES = [0.33749998, 0.73828125, 1.08172846]
VALIDATION_LOSSES = [20.72929764, 11.93950653, 6.32417011]


def model_of_one_weight(**options: Any) -> Sequential:
    layer = layers.Dense(1, kernel_initializer="zeros", use_bias=False, input_shape=(1,))
    model = Sequential([layer], comm=Communicator.alone())
    optimizer = optimizers.SGD(0.01, **{"use_ema": True, "ema_momentum": 0.5, **options})
    model.compile(optimizer, loss="mse")
    return model


def weight(model: Any) -> float:
    return float(model.get_weights()[0][0, 0])


class See(Callback):
    """Notes the weight at each hook, and may do something at the end of an epoch."""

    def __init__(self, at_epoch_end: Any = None) -> None:
        self.seen: dict[str, list[float]] = {}
        self.at_epoch_end = at_epoch_end

    def _note(self, where: str) -> None:
        self.seen.setdefault(where, []).append(weight(self.model))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._note("begin")

    def on_test_begin(self, logs: Any = None) -> None:
        self._note("test")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._note("end")
        if self.at_epoch_end:
            self.at_epoch_end(epoch, self.model)


def fit(model: Sequential, *callbacks: Any, **options: Any) -> Any:
    defaults: dict[str, Any] = {"batch_size": 2, "shuffle": False, "epochs": 3, "validation_data": (X, 2 * X)}
    return model.fit(X, 2 * X, verbose=0, callbacks=list(callbacks), **{**defaults, **options})


@pytest.mark.parametrize(("swap_on_epoch", "at_end"), [(False, TRAINED), (True, AVERAGES)])
def test_validation_sees_the_averages_and_training_the_weights(
    swap_on_epoch: bool, at_end: list[float]
) -> None:
    model, see = model_of_one_weight(), See()
    history = fit(model, SwapEMAWeights(swap_on_epoch), see)
    assert see.seen["begin"] == pytest.approx([0.0, *TRAINED[:2]], abs=1e-6)
    assert see.seen["test"] == pytest.approx(AVERAGES, abs=1e-6)
    assert see.seen["end"] == pytest.approx(at_end, abs=1e-6)
    assert history.history["val_loss"] == pytest.approx(VALIDATION_LOSSES, rel=1e-5)
    assert weight(model) == pytest.approx(AVERAGES[-1], abs=1e-6)  # as training with averages always ends


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_a_training_that_ends_early_ends_with_the_averages_all_the_same(swap_on_epoch: bool) -> None:
    """Keras gives the weights of the second epoch, 0.98, where `swap_on_epoch` is set."""
    model = model_of_one_weight()

    def stop(epoch: int, model: Any) -> None:
        model.stop_training = epoch == 1

    fit(model, SwapEMAWeights(swap_on_epoch), See(stop), epochs=9)
    assert weight(model) == pytest.approx(AVERAGES[1], abs=1e-6)


def test_a_checkpoint_behind_it_holds_the_averages(tmp_path: Any) -> None:
    saving = ModelCheckpoint(tmp_path / "{epoch}.weights.safetensors")
    fit(model_of_one_weight(), SwapEMAWeights(swap_on_epoch=True), saving)
    saved = [read_arrays(path)[0] for path in sorted(tmp_path.iterdir())]
    assert [float(next(iter(arrays.values())).item()) for arrays in saved] == pytest.approx(
        AVERAGES, abs=1e-6
    )


def test_evaluating_and_predicting_leave_the_weights_as_they_were() -> None:
    """Keras leaves the averages in the model after a prediction."""
    model, inside = model_of_one_weight(), []
    swap = SwapEMAWeights()

    def look(epoch: int, model: Any) -> None:
        before = weight(model)
        inside.append(float(model.predict(np.ones((1, 1)), verbose=0, callbacks=[swap])[0, 0]))
        assert weight(model) == before
        inside.append(model.evaluate(X, 2 * X, verbose=0, callbacks=[swap]))
        assert weight(model) == before

    fit(model, See(look))
    assert inside[::2] == pytest.approx(AVERAGES, abs=1e-6)
    assert inside[1::2] == pytest.approx(VALIDATION_LOSSES, rel=1e-5)


def test_an_evaluation_while_the_averages_are_in_place_leaves_them_there() -> None:
    swap, values = SwapEMAWeights(swap_on_epoch=True), []

    def look(epoch: int, model: Any) -> None:
        values.append(model.evaluate(X, 2 * X, verbose=0, callbacks=[swap]))
        values.append(weight(model))

    see = See(look)
    fit(model_of_one_weight(), swap, see)
    assert values[::2] == pytest.approx(VALIDATION_LOSSES, rel=1e-5)
    assert values[1::2] == pytest.approx(AVERAGES, abs=1e-6)
    assert see.seen["begin"] == pytest.approx([0.0, *TRAINED[:2]], abs=1e-6)


class Fails(Callback):
    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        raise OSError("in the validation")


def test_after_an_error_the_next_training_goes_on_from_the_weights() -> None:
    model, swap, see = model_of_one_weight(), SwapEMAWeights(), See()
    with pytest.raises(OSError, match="in the validation"):
        fit(model, swap, Fails())
    fit(model, swap, see, epochs=2)
    assert see.seen["begin"] == pytest.approx(TRAINED[:2], abs=1e-6)


def test_weights_that_were_loaded_after_an_error_stay() -> None:
    model, swap, see = model_of_one_weight(), SwapEMAWeights(), See()
    with pytest.raises(OSError, match="in the validation"):
        fit(model, swap, Fails())
    model.set_weights([np.array([[5.0]])])
    fit(model, swap, see, epochs=1)
    assert see.seen["begin"] == [5.0]


def test_weights_that_another_callback_writes_stay() -> None:
    def write(epoch: int, model: Any) -> None:
        model.set_weights([np.array([[float(epoch)]])])

    see = See(write)
    fit(model_of_one_weight(), SwapEMAWeights(swap_on_epoch=True), see)
    assert see.seen["begin"] == [0.0, 0.0, 1.0]


def test_the_best_weights_of_early_stopping_are_the_averages() -> None:
    model = model_of_one_weight()
    stopping = EarlyStopping(restore_best_weights=True)
    fit(model, SwapEMAWeights(swap_on_epoch=True), stopping)
    assert weight(model) == pytest.approx(AVERAGES[-1], abs=1e-6)


def test_it_goes_on_from_its_state_between_epochs() -> None:
    """The weights stand in the state while the averages stand in the model."""
    see, swap = See(), SwapEMAWeights(swap_on_epoch=True)
    states: list[Any] = []
    fit(
        model_of_one_weight(),
        swap,
        See(lambda epoch, model: states.append((swap.state_dict(), model.get_weights()))),
    )
    state, weights = states[1]
    model, other = model_of_one_weight(), SwapEMAWeights(swap_on_epoch=True)

    class Restore(Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            self.model.set_weights(weights)
            other.load_state_dict(state)

    fit(model, other, Restore(), see, epochs=1)
    assert see.seen["begin"] == pytest.approx(TRAINED[1:2], abs=1e-6)


@pytest.mark.parametrize("hook", ["fit", "evaluate", "predict"])
def test_an_optimizer_without_averages_is_an_error_at_once(hook: str) -> None:
    model = model_of_one_weight(use_ema=False)
    with pytest.raises(ValueError, match=r"use_ema=True\. Received: sgd"):
        getattr(model, hook)(
            *(X, 2 * X)[: 1 if hook == "predict" else 2], verbose=0, callbacks=[SwapEMAWeights()]
        )
    assert model.optimizer.iterations == 0


def test_so_is_a_model_that_was_not_compiled() -> None:
    model = Sequential([layers.Dense(1, input_shape=(1,))], comm=Communicator.alone())
    with pytest.raises(ValueError, match="Received: none"):
        model.predict(X, verbose=0, callbacks=[SwapEMAWeights()])


def test_on_root_alone_it_is_refused() -> None:
    """The averages in root's buffer would be no change that the other ranks hear of."""
    with pytest.raises(CollectiveInRootHook, match=r"SwapEMAWeights\.on_train_begin"):
        fit(model_of_one_weight(), on_root(SwapEMAWeights()))
