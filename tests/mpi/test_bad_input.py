"""Bad input is one clear error on every rank, and the ranks can go on."""

from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit import Sequential, callbacks, data, errors, layers, losses
from distfit.comm import Communicator


def fit(comm: Communicator, *args: Any, **options: Any) -> None:
    regression(comm).fit(*args, verbose=0, **options)


X, Y = line()


@pytest.mark.parametrize(
    ("args", "options", "kind", "text"),
    [
        ((X, Y[:-1]), {}, ValueError, "x: 10 rows, y: 9 rows"),
        ((X[:, :1], Y), {}, ValueError, r"takes rows of shape \(2,\).*\(1,\)"),
        ((X, Y), {"batch_size": 0}, ValueError, "batch_size is a whole number of at least 1. Received: 0"),
        (
            (X, Y),
            {"batch_size": 16.0},
            ValueError,
            "batch_size is a whole number of at least 1. Received: 16.0",
        ),
        ((X, Y), {"validation_freq": 0}, ValueError, "validation_freq is a whole number.*Received: 0"),
        ((X, Y), {"class_weight": "balanced"}, TypeError, "class_weight is a dict.*'balanced'"),
        ((X, Y), {"callbacks": [42]}, TypeError, "callbacks are objects with hooks.*42"),
        ((X, Y), {"callbacks": lambda *_: None}, TypeError, "LambdaCallback makes one of functions"),
        ((X[:0], Y[:0]), {}, ValueError, "empty"),
        ((X.astype(object), Y), {}, TypeError, "Python objects"),
        ((X, Y), {"validation_split": 1.5}, ValueError, "between 0 and 1"),
        ((X, Y), {"validation_data": (X,)}, ValueError, "validation_data"),
        ((X, None), {}, ValueError, "y is None"),
        ((None, Y), {}, ValueError, "x is None"),
    ],
)
def test_bad_arguments(comm: Communicator, args: Any, options: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        fit(comm, *args, **options)
    fit(comm, X, Y)


def test_counts_may_be_numpys(comm: Communicator) -> None:
    one = np.int64(1)
    fit(comm, X, Y, batch_size=5 * one, epochs=2, validation_data=(X, Y), validation_freq=one)
    fit(comm, X, Y, steps_per_epoch=one, validation_split=0.5, validation_steps=one)


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize(
    ("mine", "text"),
    [
        (
            lambda last: (X[:9], Y[:9]) if last else (X, Y),
            r"ranks differ in x.*\n.*10 of them.*\n.*9 of them",
        ),
        (lambda last: (X, Y + 1 if last else Y), r"ranks differ in y"),
        (lambda last: (X.astype("float32") if last else X, Y), r"float64.*\n.*float32"),
    ],
)
def test_data_that_differ_between_ranks(comm: Communicator, mine: Any, text: str) -> None:
    with pytest.raises(errors.DataMismatch, match=text):
        fit(comm, *mine(comm.rank == comm.size - 1))


@pytest.mark.ranks(2, 3)
def test_models_that_differ_between_ranks(comm: Communicator) -> None:
    model = Sequential([layers.Dense(2 + comm.rank, input_shape=(2,)), layers.Dense(1)], comm=comm)
    model.compile(loss="mse")
    with pytest.raises(errors.DataMismatch, match=r"ranks differ in the model"):
        model.fit(X, Y, verbose=0)


def test_labels_out_of_range(comm: Communicator) -> None:
    model = Sequential([layers.Dense(3, input_shape=(2,))], comm=comm)
    model.compile(loss=losses.SparseCategoricalCrossentropy(from_logits=True))
    labels = np.zeros(10, np.int64)
    labels[9] = 3  # on the last rank only
    with pytest.raises(ValueError, match="3"):
        model.fit(X, labels, batch_size=10, verbose=0)


def test_before_compile(comm: Communicator) -> None:
    model = Sequential([layers.Dense(1, input_shape=(2,))], comm=comm)
    for call in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(errors.NotCompiled, match=r"call compile\("):
            call(X, Y)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"optimizer": "adamm"}, "unknown optimizer 'adamm'.*'adam'.*Known are:.*sgd"),
        ({"loss": "msee"}, "unknown loss 'msee'.*Known are:"),
        ({"metrics": ["acuracy"]}, "unknown metric 'acuracy'.*Known are:"),
    ],
)
def test_unknown_names_list_the_known_ones(comm: Communicator, options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        regression(comm, **options)


@pytest.mark.ranks(2, 3, 4)
def test_a_row_that_raises_in_the_data_source_of_one_rank(comm: Communicator) -> None:
    class Broken:
        shape, dtype = X.shape, X.dtype

        def __len__(self) -> int:
            return len(X)

        def __getitem__(self, rows: np.ndarray) -> np.ndarray:
            if 9 in rows and len(rows) < 8:  # not while the start compares a few rows
                raise RuntimeError("row 9 is damaged")
            return X[rows]

    with pytest.raises(RuntimeError, match="row 9 is damaged") as caught:
        fit(comm, Broken(), Y, batch_size=10)
    assert isinstance(caught.value, errors.RemoteError) == (comm.rank != comm.size - 1)


@pytest.mark.ranks(2, 3, 4)
def test_a_rank_that_raises_before_the_others_sum_over_the_batch(comm: Communicator) -> None:
    def fragile(rows: np.ndarray, context: data.RowContext) -> np.ndarray:
        if context.training and comm.rank == 1:
            raise KeyError("lost")
        return rows

    model = Sequential([layers.BatchNormalization(input_shape=(2,)), layers.Dense(1)], comm=comm)
    model.compile(loss="mse")
    with pytest.raises(KeyError, match="lost"):
        model.fit(data.map(X, fragile), Y, batch_size=8, verbose=0)


@pytest.mark.ranks(2, 3, 4)
def test_an_operation_that_only_some_ranks_call(comm: Communicator) -> None:
    model = regression(comm)
    with pytest.raises(errors.RanksDiverged, match=r"begins evaluate, at .*test_bad_input\.py:\d+") as caught:
        if comm.is_root:
            model.evaluate(X, Y, verbose=0)
        else:
            model.fit(X, Y, verbose=0)
    assert "rank 1 begins fit" in str(caught.value)


def test_an_error_in_an_update_tears_the_model(comm: Communicator) -> None:
    model = regression(comm)
    apply = model.optimizer.apply_part

    def broken(*args: Any, **options: Any) -> None:
        if comm.rank == comm.size - 1:
            raise ArithmeticError("half-way")
        apply(*args, **options)

    model.optimizer.apply_part = broken
    weights = model.get_weights()
    with pytest.raises(ArithmeticError):
        model.fit(X, Y, batch_size=4, verbose=0)
    model.optimizer.apply_part = apply
    with pytest.raises(errors.ModelTorn):
        model.fit(X, Y, verbose=0)
    model.set_weights(weights)
    model.fit(X, Y, verbose=0)


def test_system_exit_is_caught_on_all_ranks(comm: Communicator) -> None:
    class Leave(callbacks.Callback):
        ranks = "root"

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise SystemExit(3)

    with pytest.raises(SystemExit) as caught:
        fit(comm, X, Y, callbacks=[Leave()])
    assert caught.value.code == 3


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("elsewhere", ["evaluate", "predict", "train_step"])
def test_a_rank_without_rows_in_another_place(comm: Communicator, elsewhere: str) -> None:
    """It must not take another operation of the others for the end of its step."""
    model = regression(comm)
    model.train_step((X, Y))
    with pytest.raises(errors.RanksDiverged, match="has no rows of a step of training"):
        if comm.rank == comm.size - 1:
            model.train_step((X[:0], Y[:0]))
        elif elsewhere == "train_step":
            comm.barrier()
        else:
            getattr(model, elsewhere)(X, verbose=0, **({"y": Y} if elsewhere == "evaluate" else {}))


@pytest.mark.ranks(2, 3, 4)
def test_an_array_for_predictions_on_some_ranks_only(comm: Communicator) -> None:
    out = np.empty((10, 1), np.float32) if comm.is_root else None
    with pytest.raises(errors.DataMismatch, match="gather and out"):
        regression(comm).predict(X, gather="root", out=out, verbose=0)


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize(
    "call",
    [
        lambda comm: comm.all_reduce(np.ones(2, "float32" if comm.is_root else "float64")),
        lambda comm: comm.all_reduce(np.ones(2 + comm.is_root)),
        lambda comm: comm.all_reduce(np.ones(2), "min" if comm.is_root else "max"),
        lambda comm: comm.broadcast(np.ones(2), root=comm.rank),
        lambda comm: comm.all_gather(np.ones(2, "float32" if comm.is_root else "float64")),
    ],
)
def test_collectives_that_do_not_fit_each_other(comm: Communicator, call: Any) -> None:
    with pytest.raises(errors.RanksDiverged, match=r"calls \w+\("):
        call(comm)


@pytest.mark.ranks(2, 3)
def test_what_compile_was_given_differs_between_ranks(comm: Communicator) -> None:
    with pytest.raises(errors.DataMismatch, match="what compile was given"):
        regression(comm, loss="mae" if comm.is_root else "mse").evaluate(X, Y, verbose=0)


def test_a_torn_model_is_neither_used_nor_saved(comm: Communicator, tmp_path: Any) -> None:
    model = regression(comm)
    model.fit(X, Y, verbose=0)
    model.progress.torn = comm.rank == comm.size - 1
    for call in (model.train_on_batch, model.evaluate):
        with pytest.raises(errors.ModelTorn):
            call(X, Y)
    if comm.is_root:  # what a user writes on root is whole, and replaces the rest
        model.set_weights(model.get_weights())
    model.progress.torn = model.progress.torn and not comm.is_root
    model.fit(X, Y, verbose=0)
    assert not model.progress.torn


def test_an_exception_whose_attributes_cannot_be_set(comm: Communicator) -> None:
    class Frozen(ValueError):
        def __setattr__(self, name: str, value: Any) -> None:
            if not name.startswith("__"):
                raise AttributeError("frozen")
            super().__setattr__(name, value)

    class Raise(callbacks.Callback):
        ranks = "root"

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise Frozen("no")

    with pytest.raises(ValueError, match="no"):
        fit(comm, X, Y, callbacks=[Raise()])
    fit(comm, X, Y)
