"""The programs of Keras's guide to writing callbacks, at some ranks: only the import lines are other ones.

What they print has other words. Random pictures of MNIST's shape stand in for it.
"""

import contextlib
import io
from typing import Any

import numpy as np
import pytest

import distfit as keras
from distfit import layers
from distfit.comm import Communicator

generator = np.random.default_rng(3)
pictures = generator.integers(0, 256, (250, 28, 28), np.uint8).reshape(-1, 784).astype("float32") / 255.0
labels = generator.integers(0, 10, 250)
x_train, x_test = pictures[:200], pictures[200:]
y_train, y_test = labels[:200], labels[200:]


# Define the Keras model to add callbacks to
def get_model():
    model = keras.Sequential()
    model.add(layers.Dense(1))
    model.compile(
        optimizer=keras.optimizers.RMSprop(learning_rate=0.1),
        loss="mean_squared_error",
        metrics=["mean_absolute_error"],
    )
    return model


def get_model_on(comm: Communicator) -> Any:
    """Make the guide's model, for the ranks of a test instead of all."""
    keras.utils.set_random_seed(1)
    model = get_model()
    model._comm = comm
    return model


def printed(action: Any) -> list[str]:
    """Call `action`, and return the lines that it prints on this rank."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        action()
    return out.getvalue().splitlines()


# -- all hooks --------------------------------------------------------------------------------------------------------


class CustomCallback(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        keys = list(logs.keys())
        print(f"training begins: {keys}")

    def on_train_end(self, logs=None):
        keys = list(logs.keys())
        print(f"training ends: {keys}")

    def on_epoch_begin(self, epoch, logs=None):
        keys = list(logs.keys())
        print(f"epoch {epoch} begins: {keys}")

    def on_epoch_end(self, epoch, logs=None):
        keys = list(logs.keys())
        print(f"epoch {epoch} ends: {keys}")

    def on_test_begin(self, logs=None):
        keys = list(logs.keys())
        print(f"testing begins: {keys}")

    def on_test_end(self, logs=None):
        keys = list(logs.keys())
        print(f"testing ends: {keys}")

    def on_predict_begin(self, logs=None):
        keys = list(logs.keys())
        print(f"predicting begins: {keys}")

    def on_predict_end(self, logs=None):
        keys = list(logs.keys())
        print(f"predicting ends: {keys}")

    def on_train_batch_begin(self, batch, logs=None):
        keys = list(logs.keys())
        print(f"training batch {batch} begins: {keys}")

    def on_train_batch_end(self, batch, logs=None):
        keys = list(logs.keys())
        print(f"training batch {batch} ends: {keys}")

    def on_test_batch_begin(self, batch, logs=None):
        keys = list(logs.keys())
        print(f"testing batch {batch} begins: {keys}")

    def on_test_batch_end(self, batch, logs=None):
        keys = list(logs.keys())
        print(f"testing batch {batch} ends: {keys}")

    def on_predict_batch_begin(self, batch, logs=None):
        keys = list(logs.keys())
        print(f"predicting batch {batch} begins: {keys}")

    def on_predict_batch_end(self, batch, logs=None):
        keys = list(logs.keys())
        print(f"predicting batch {batch} ends: {keys}")


KEYS = "['loss', 'mean_absolute_error']"


@pytest.mark.ranks(1, 2, 3)
def test_all_hooks(comm: Communicator) -> None:
    model = get_model_on(comm)

    def fit():
        model.fit(
            x_train,
            y_train,
            batch_size=128,
            epochs=1,
            verbose=0,
            validation_split=0.5,
            callbacks=[CustomCallback()],
        )

    def evaluate():
        model.evaluate(x_test, y_test, batch_size=128, verbose=0, callbacks=[CustomCallback()])

    def predict():
        model.predict(x_test, batch_size=128, callbacks=[CustomCallback()], verbose=0)

    tested = [
        "testing begins: []",
        "testing batch 0 begins: []",
        f"testing batch 0 ends: {KEYS}",
        f"testing ends: {KEYS}",
    ]
    assert printed(fit) == [
        "training begins: []",
        "epoch 0 begins: []",
        "training batch 0 begins: []",
        f"training batch 0 ends: {KEYS}",
        *tested,
        "epoch 0 ends: ['loss', 'mean_absolute_error', 'val_loss', 'val_mean_absolute_error']",
        "training ends: ['loss', 'mean_absolute_error', 'val_loss', 'val_mean_absolute_error']",
    ]
    assert printed(evaluate) == tested
    assert printed(predict) == [
        "predicting begins: []",
        "predicting batch 0 begins: []",
        "predicting batch 0 ends: ['outputs']",
        "predicting ends: []",
    ]


# -- logs -------------------------------------------------------------------------------------------------------------


class LossAndErrorPrintingCallback(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        print("batch {}: loss {:7.2f}.".format(batch, logs["loss"]))

    def on_test_batch_end(self, batch, logs=None):
        print("test batch {}: loss {:7.2f}.".format(batch, logs["loss"]))

    def on_epoch_end(self, epoch, logs=None):
        print(
            "epoch {}: loss {:7.2f}, mean absolute error {:7.2f}.".format(
                epoch, logs["loss"], logs["mean_absolute_error"]
            )
        )


@pytest.mark.ranks(1, 2, 3)
def test_losses_and_errors(comm: Communicator) -> None:
    model = get_model_on(comm)

    def fit():
        model.fit(
            x_train,
            y_train,
            batch_size=128,
            epochs=2,
            verbose=0,
            callbacks=[LossAndErrorPrintingCallback()],
        )

    def evaluate():
        model.evaluate(
            x_test,
            y_test,
            batch_size=128,
            verbose=0,
            callbacks=[LossAndErrorPrintingCallback()],
        )

    lines = printed(fit)
    assert [line.partition(":")[0] for line in lines] == ["batch 0", "batch 1", "epoch 0"] + [
        "batch 0", "batch 1", "epoch 1",
    ]  # fmt: skip
    # The last batch's running value is the epoch's.
    assert lines[1].split()[3].rstrip(".") == lines[2].split()[3].rstrip(",")
    (line,) = printed(evaluate)
    loss = np.mean((model.predict(x_test, verbose=0)[:, 0] - y_test) ** 2)
    np.testing.assert_allclose(float(line.split()[-1].rstrip(".")), loss, atol=0.006)
    assert comm.all_gather_object(lines) == [lines] * comm.size


# -- early stopping ---------------------------------------------------------------------------------------------------


class EarlyStoppingAtMinLoss(keras.callbacks.Callback):
    """Stop training when the loss is at its minimum, and put its weights back.

    Arguments:
        patience: Number of epochs to wait after the minimum.
    """

    def __init__(self, patience=0):
        super().__init__()
        self.patience = patience
        # best_weights to store the weights at which the minimum loss occurs.
        self.best_weights = None

    def on_train_begin(self, logs=None):
        # The number of epoch it has waited when loss is no longer minimum.
        self.wait = 0
        # The epoch the training stops at.
        self.stopped_epoch = 0
        # Initialize the best as infinity.
        self.best = np.inf

    def on_epoch_end(self, epoch, logs=None):
        current = logs.get("loss")
        if np.less(current, self.best):
            self.best = current
            self.wait = 0
            # Record the best weights if current results is better (less).
            self.best_weights = self.model.get_weights()
        else:
            self.wait += 1
            if self.wait >= self.patience:
                self.stopped_epoch = epoch
                self.model.stop_training = True
                print("the best weights are put back")
                self.model.set_weights(self.best_weights)

    def on_train_end(self, logs=None):
        if self.stopped_epoch > 0:
            print(f"epoch {self.stopped_epoch + 1}: early stopping")


def stopped_early(comm: Communicator) -> tuple[dict[str, list[float]], list[np.ndarray], list[str]]:
    model = get_model_on(comm)
    lines = printed(
        lambda: model.fit(
            x_train,
            y_train,
            batch_size=64,
            epochs=30,
            verbose=0,
            callbacks=[LossAndErrorPrintingCallback(), EarlyStoppingAtMinLoss()],
        )
    )
    return model.history.history, model.get_weights(), lines


@pytest.mark.ranks(1, 2, 3)
def test_early_stopping_at_minimum_loss(comm: Communicator) -> None:
    history, weights, lines = stopped_early(comm)
    losses = history["loss"]
    assert 2 < len(losses) < 30
    assert np.argmin(losses) == len(losses) - 2
    assert lines[-2:] == ["the best weights are put back", f"epoch {len(losses)}: early stopping"]
    expected_history, expected_weights, _ = stopped_early(Communicator.alone())
    np.testing.assert_allclose(losses, expected_history["loss"], rtol=1e-4)
    for weight, expected in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=0, atol=1e-4)
    for others in comm.all_gather_object(weights):
        np.testing.assert_array_equal(others[0], weights[0])


# -- learning rate ----------------------------------------------------------------------------------------------------


class CustomLearningRateScheduler(keras.callbacks.Callback):
    """Learning rate scheduler which sets the learning rate according to schedule.

    Arguments:
        schedule: a function that takes an epoch index
            (integer, indexed from 0) and current learning rate
            as inputs and returns a new learning rate as output (float).
    """

    def __init__(self, schedule):
        super().__init__()
        self.schedule = schedule

    def on_epoch_begin(self, epoch, logs=None):
        if not hasattr(self.model.optimizer, "learning_rate"):
            raise ValueError('Optimizer must have a "learning_rate" attribute.')
        # Get the current learning rate from model's optimizer.
        lr = self.model.optimizer.learning_rate
        # Call schedule function to get the scheduled learning rate.
        scheduled_lr = self.schedule(epoch, lr)
        # Set the value back to the optimizer before this epoch starts
        self.model.optimizer.learning_rate = scheduled_lr
        print(f"epoch {epoch}: learning rate {float(np.array(scheduled_lr))}.")


LR_SCHEDULE = [
    # (epoch to start, learning rate) tuples
    (3, 0.05),
    (6, 0.01),
    (9, 0.005),
    (12, 0.001),
]


def lr_schedule(epoch, lr):
    """Helper function to retrieve the scheduled learning rate based on epoch."""
    if epoch < LR_SCHEDULE[0][0] or epoch > LR_SCHEDULE[-1][0]:
        return lr
    for i in range(len(LR_SCHEDULE)):
        if epoch == LR_SCHEDULE[i][0]:
            return LR_SCHEDULE[i][1]
    return lr


@pytest.mark.ranks(1, 2, 3)
def test_a_learning_rate_schedule(comm: Communicator) -> None:
    model = get_model_on(comm)

    def fit():
        model.fit(
            x_train,
            y_train,
            batch_size=64,
            epochs=15,
            verbose=0,
            callbacks=[
                LossAndErrorPrintingCallback(),
                CustomLearningRateScheduler(lr_schedule),
            ],
        )

    rates = [line.split()[-1].rstrip(".") for line in printed(fit) if "learning rate" in line]
    assert rates == ["0.1"] * 3 + ["0.05"] * 3 + ["0.01"] * 3 + ["0.005"] * 3 + ["0.001"] * 3
    assert float(model.optimizer.learning_rate) == 0.001
