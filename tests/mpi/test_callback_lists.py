"""Lists of callbacks: where each runs, what ranks may differ in, and loops of one's own that drive them."""

from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit import metrics
from distfit.callbacks import (
    Callback,
    CallbackList,
    EarlyStopping,
    History,
    LambdaCallback,
    Weighted,
    on_all,
    on_root,
)
from distfit.comm import Communicator
from distfit.errors import CollectiveInRootHook, DataMismatch


class Counts(Callback):
    """Counts the hooks of epochs and batches that it gets; on all ranks, as its class says."""

    def __init__(self) -> None:
        self.epochs = self.batches = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs += 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batches += 1


class Plain:
    """No callback of distfit's."""

    def __init__(self) -> None:
        self.epochs = 0

    def set_model(self, model: Any) -> None: ...

    def set_params(self, params: Any) -> None:
        self.params = params

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs += 1


def fit(comm: Communicator, callbacks: Any, epochs: int = 2) -> Any:
    model = regression(comm)
    model.fit(*line(), batch_size=4, epochs=epochs, verbose=0, callbacks=callbacks)
    return model


def on_each(comm: Communicator, value: Any) -> list[Any]:
    return comm.all_gather_object(value)


# -- where ------------------------------------------------------------------------------------------------------------


def test_wrappers_say_where_any_object_runs(comm: Communicator) -> None:
    here, there, inner = Counts(), Plain(), Counts()
    fit(comm, [on_root(here), [on_all([there])], on_root(CallbackList([on_all(inner)]))])
    others = comm.size - 1
    assert on_each(comm, here.epochs) == [2] + [0] * others
    assert on_each(comm, there.epochs) == [2] + [2] * others
    assert on_each(comm, inner.epochs) == [2] + [0] * others
    assert there.params == {"verbose": 0, "epochs": 2, "steps": 3}  # as Keras gives them


def test_a_decider_on_root_decides_for_all(comm: Communicator) -> None:
    stopping = EarlyStopping("mae", mode="max", restore_best_weights=True)
    expected = fit(comm, [EarlyStopping("mae", mode="max", restore_best_weights=True)], epochs=9)
    model = fit(comm, [on_root(stopping)], epochs=9)
    assert model.history.history == expected.history.history
    for weight, other in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)
    assert on_each(comm, stopping.stopped_epoch) == [expected.history.epoch[-1]] + [0] * (comm.size - 1)


# -- lists that differ ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_callback_that_root_alone_has_runs_on_root(comm: Communicator, place: int) -> None:
    before, after, horovod_s = Counts(), Counts(), Counts()
    listed: list[Any] = [before, after]
    if comm.is_root:
        listed.insert(place, horovod_s)
    model = fit(comm, listed)
    assert on_each(comm, (before.batches, after.batches)) == [(6, 6)] * comm.size
    assert on_each(comm, horovod_s.batches) == [6] + [0] * (comm.size - 1)
    assert model.history.epoch == [0, 1]


def test_what_root_alone_has_works_alone_and_decides_for_all(comm: Communicator) -> None:
    model, predicted = regression(comm), []
    hooks = CallbackList(model=model)

    def look(epoch: int, logs: dict[str, Any]) -> None:
        predicted.append(model.predict(line()[0], verbose=0))
        logs["seen"] = 5.0
        model.stop_training = epoch == 1

    if comm.is_root:
        hooks.append(LambdaCallback(on_epoch_end=look))
    hooks.append(History())
    model.fit(*line(), epochs=4, verbose=0, callbacks=hooks)
    assert on_each(comm, len(predicted)) == [2] + [0] * (comm.size - 1)
    assert model.history.history["seen"] == [5.0, 5.0]


def test_a_collective_in_what_root_alone_has_is_an_error_on_all(comm: Communicator) -> None:
    wrong = LambdaCallback(on_epoch_end=lambda *_: comm.barrier())
    with pytest.raises(CollectiveInRootHook, match=r"LambdaCallback\.on_epoch_end"):
        fit(comm, [on_root(wrong)] if comm.size == 1 else [wrong] if comm.is_root else [])


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize(
    ("root", "last", "named"),
    [
        (
            [],
            [Counts()],
            r"rank {last} has Counts on all ranks \(on_epoch_end, on_train_batch_end\), and rank 0 has",
        ),
        ([Counts(), EarlyStopping()], [EarlyStopping(), Counts()], "elsewhere in the list"),
        ([], [Plain()], r"rank {last} has Plain on root \(on_epoch_end\), and rank 0 has not"),
        ([on_root(Counts())], [Counts()], "rank {last} has Counts on all ranks"),
        (
            [LambdaCallback(on_epoch_end=print)],
            [LambdaCallback(on_epoch_begin=print)],
            r"rank {last} has LambdaCallback on all ranks \(on_epoch_begin\)",
        ),
    ],
    ids=["more", "order", "more on root", "place", "hooks"],
)
def test_other_differences_are_errors_that_name_them(
    comm: Communicator, root: list[Any], last: list[Any], named: str
) -> None:
    callbacks = last if comm.rank == comm.size - 1 else root
    with pytest.raises(DataMismatch, match=named.format(last=comm.size - 1)):
        fit(comm, callbacks)
    assert fit(comm, []).history.epoch == [0, 1]  # and the ranks can train on


@pytest.mark.ranks(3, 4)
def test_what_root_and_another_rank_have_is_an_error(comm: Communicator) -> None:
    with pytest.raises(DataMismatch, match=r"rank 2 has Counts on all ranks .*, and rank 1 has not"):
        fit(comm, [Counts()] if comm.rank in (0, 2) else [])


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_evaluate_and_predict_agree_on_their_callbacks_too(comm: Communicator, method: str) -> None:
    model, seen = regression(comm), []
    note = LambdaCallback(
        on_test_batch_end=lambda batch, logs: seen.append(batch),
        on_predict_batch_end=lambda batch, logs: seen.append(batch),
    )
    x, y = line()
    arguments = (x, y) if method == "evaluate" else (x,)
    getattr(model, method)(*arguments, batch_size=4, verbose=0, callbacks=[note] if comm.is_root else None)
    assert on_each(comm, seen) == [[0, 1, 2]] + [[]] * (comm.size - 1)


# -- loops of one's own -----------------------------------------------------------------------------------------------


class Thing:
    """Something that a loop of one's own trains."""

    stop_training = False
    history: Any = None


def test_a_loop_of_ones_own_has_the_same_dispatch(comm: Communicator) -> None:
    thing, counts, steps = Thing(), Counts(), []

    def stop(batch: int, logs: dict[str, Any]) -> None:
        thing.stop_training = logs["loss"] < 0.18

    hooks = CallbackList([[counts], on_root(LambdaCallback(on_train_batch_end=stop))], model=thing, comm=comm)
    hooks.append([CallbackList([History()])])
    hooks.on_train_begin()
    for epoch in range(3):
        hooks.on_epoch_begin(epoch)
        for batch in range(4):
            hooks.on_train_batch_begin(batch)
            steps.append(batch)
            hooks.on_train_batch_end(batch, {"loss": 1 / (1 + len(steps)) + comm.rank - (comm.size - 1) / 2})
            if thing.stop_training:
                break
        hooks.on_epoch_end(epoch, {"loss": Weighted(1.0 + comm.rank, comm.rank)})
        if thing.stop_training:
            break
    hooks.on_train_end()
    assert on_each(comm, steps) == [[0, 1, 2, 3, 0]] * comm.size  # 1 / 6 is below 0.18
    ranks = np.arange(comm.size)
    mean = np.average(1.0 + ranks, weights=ranks) if comm.size > 1 else 0.0
    assert thing.history.history == {"loss": [pytest.approx(mean)] * 2}
    assert counts.epochs == 2


@pytest.mark.parametrize("hook", ["on_epoch_end", "on_train_batch_end", "on_test_batch_end", "on_test_end"])
def test_values_of_a_loop_of_ones_own_are_exact(comm: Communicator, hook: str) -> None:
    """Ranks have 1, 2, 3 ... rows: a mean of means would be another number."""
    seen: list[dict[str, Any]] = []
    note = LambdaCallback(**{hook: lambda *arguments: seen.append(dict(arguments[-1]))})
    rows = comm.rank + 1
    error = metrics.MeanSquaredError(name="mse")
    error.update_state(np.zeros((rows, 1)), np.full((rows, 1), float(rows)))
    logs = {
        "z_metric": error,
        "mean": Weighted(float(rows), rows),
        "classes": Weighted(np.array([1.0, rows]), rows),
        "same": 0.1 + 0.2,
        "nested": {"rank": comm.rank},
    }
    hooks = CallbackList([note], comm=comm)
    getattr(hooks, hook)(*[0] * ("batch" in hook or "epoch" in hook), logs)
    counts = np.arange(1, comm.size + 1)
    assert list(seen[0].items()) == [
        ("classes_0", 1.0),
        ("classes_1", pytest.approx(np.average(counts, weights=counts))),
        ("mean", pytest.approx(np.average(counts, weights=counts))),
        ("rank", pytest.approx((comm.size - 1) / 2)),
        ("same", 0.1 + 0.2),
        ("z_metric", pytest.approx(np.average(counts**2, weights=counts))),
    ]
    assert {type(value) for value in seen[0].values()} == {float}


def test_a_list_of_ones_own_serves_fit_with_history_and_progress(comm: Communicator, capsys: Any) -> None:
    model, counts = regression(comm), Counts()
    hooks = CallbackList(
        [counts], add_history=True, add_progbar=True, model=model, comm=comm, verbose=2, epochs=2, steps=3
    )
    history = model.fit(*line(), batch_size=4, epochs=2, callbacks=hooks)
    assert history.epoch == [0, 1]
    assert capsys.readouterr().out.count("Epoch") == (2 if comm.is_root else 0)


def test_a_list_without_a_model_gets_that_of_fit(comm: Communicator) -> None:
    stopping = EarlyStopping("mae", mode="max")
    history = regression(comm).fit(*line(), epochs=9, verbose=0, callbacks=CallbackList([stopping], True))
    assert len(history.epoch) < 9
