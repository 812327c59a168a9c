"""The two examples of Keras's page on `Callback`, at any number of ranks."""

import numpy as np

from distfit import Sequential, callbacks, layers
from distfit.callbacks import Callback
from distfit.comm import Communicator

training_finished = False


def test_a_callback_of_ones_own(comm: Communicator) -> None:
    """Word for word but for the import lines, on the world of all ranks."""
    global training_finished
    training_finished = False

    class MyCallback(Callback):
        def on_train_end(self, logs=None):
            global training_finished
            training_finished = True

    model = Sequential([layers.Dense(1, input_shape=(1,))])
    model._comm = comm  # the test's ranks instead of all
    model.compile(loss="mean_squared_error")
    model.fit(np.array([[1.0]]), np.array([[1.0]]), callbacks=[MyCallback()])
    assert training_finished == True  # noqa: E712


class Dataset:
    """What `dataset.enumerate()` of the example needs: this rank's rows of each global batch."""

    def __init__(self, x: np.ndarray, y: np.ndarray, batch_size: int, comm: Communicator) -> None:
        self.batches = [
            (x[i : i + batch_size][comm.rank :: comm.size], y[i : i + batch_size][comm.rank :: comm.size])
            for i in range(0, len(x), batch_size)
        ]

    def enumerate(self):
        return enumerate(self.batches)


class Recorder(Callback):
    def __init__(self) -> None:
        self.calls = []

    def on_train_begin(self, logs=None):
        self.calls.append(("train begin", dict(logs)))

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append((f"epoch {epoch} begin", dict(logs)))

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append((f"batch {batch} end", dict(logs)))

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append((f"epoch {epoch} end", dict(logs)))

    def on_train_end(self, logs=None):
        self.calls.append(("train end", dict(logs)))


def custom_loop(comm: Communicator) -> list[tuple[str, dict[str, float]]]:
    EPOCHS = 2
    x = np.linspace(-1.0, 1.0, 10).reshape(10, 1)
    y = 3.0 * x + 1.0
    model = Sequential([layers.Dense(1, input_shape=(1,), kernel_initializer="ones")], comm=comm)
    model.compile(optimizer="sgd", loss="mean_squared_error", metrics=["mean_absolute_error"])
    dataset = Dataset(x, y, 4, comm)
    recorder = Recorder()

    callbacks_ = callbacks.CallbackList([recorder], model=model)
    callbacks_.append(callbacks.History())
    callbacks_.on_train_begin()
    for epoch in range(EPOCHS):
        model.reset_metrics()
        callbacks_.on_epoch_begin(epoch)
        for i, data in dataset.enumerate():
            callbacks_.on_train_batch_begin(i)
            batch_logs = model.train_step(data)
            callbacks_.on_train_batch_end(i, batch_logs)
        epoch_logs = batch_logs
        callbacks_.on_epoch_end(epoch, epoch_logs)
    final_logs = epoch_logs
    callbacks_.on_train_end(final_logs)
    assert model.history.history["loss"][-1] == final_logs["loss"]
    return recorder.calls


def test_a_callback_list_in_a_loop_of_ones_own(comm: Communicator) -> None:
    calls = custom_loop(comm)
    expected = custom_loop(Communicator.alone())
    assert [name for name, _ in calls] == [name for name, _ in expected]
    for (name, logs), (_, expected_logs) in zip(calls, expected, strict=True):
        assert logs.keys() == expected_logs.keys(), name
        np.testing.assert_allclose(list(logs.values()), list(expected_logs.values()), rtol=1e-5)
    assert all(others == calls for others in comm.all_gather_object(calls))


def test_the_custom_loop_gives_what_one_computes_by_hand(comm: Communicator) -> None:
    """The first step of the loop: w = 1, b = 0, squared error of the first four rows."""
    x = np.linspace(-1.0, 1.0, 10)[:4]
    loss = np.mean((x - (3.0 * x + 1.0)) ** 2)
    first = next(logs for name, logs in custom_loop(comm) if name == "batch 0 end")
    np.testing.assert_allclose(first["loss"], loss, rtol=1e-6)
