"""Promise 6: how many small messages a step takes, whatever the callbacks do."""

from typing import Any

import numpy as np
import pytest
from support.small import line, regression

from distfit import Sequential, layers, optimizers
from distfit.callbacks import Callback, LambdaCallback
from distfit.comm import Communicator

STEPS = 3
STEP = 2  # its end, and that of the update, of which each rank makes a part
EPOCH = 1 + 1 + 1  # its start, its end, and the agreement behind on_epoch_begin of the one that counts


class Messages(Callback):
    """Counts the small messages of an epoch, and the bytes that followed them."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start = self.model.comm.agreement.messages

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.counts.append(self.model.comm.agreement.messages - self.start)


def nothing(*_: Any) -> None: ...


def with_hooks(ranks: Any, *hooks: str, number: int = 1, action: Any = nothing) -> list[Callback]:
    return [LambdaCallback(ranks=ranks, **dict.fromkeys(hooks, action)) for _ in range(number)]


def counted(comm: Communicator, callbacks: list[Any], model: Any = None) -> int:
    """Return the messages of a step, which are the same in all epochs and on all ranks."""
    counter, model = Messages(), model or regression(comm)
    model.fit(*line(), batch_size=4, epochs=3, verbose=0, callbacks=[counter, *callbacks])
    (count,) = {count for counts in comm.all_gather_object(counter.counts) for count in counts}
    per_step, rest = divmod(count - EPOCH, STEPS)
    assert rest == 0
    return per_step


BEGIN, END = "on_train_batch_begin", "on_train_batch_end"
EPOCHS_ALONE = ("on_train_begin", "on_epoch_end", "on_train_end", "on_test_batch_end", "on_predict_batch_end")


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("number", [1, 10])
@pytest.mark.parametrize(
    ("ranks", "hooks", "extra"),
    [
        ("all", EPOCHS_ALONE, 0),
        ("root", EPOCHS_ALONE, 0),
        ("all", (BEGIN,), 0),
        ("all", (END,), 1),
        ("all", (BEGIN, END), 1),
        ("root", (END,), 1),
        ("local_root", (END,), 1),
        ("root", (BEGIN,), 1),
        ("local_root", (BEGIN,), 1),
        ("root", (BEGIN, END), 2),
    ],
)
def test_a_step_takes_one_more_for_each_kind_of_batch_hook(
    comm: Communicator, ranks: str, hooks: tuple[str, ...], extra: int, number: int
) -> None:
    assert counted(comm, with_hooks(ranks, *hooks, number=number)) == STEP + extra


@pytest.mark.ranks(2, 3, 4)
def test_a_step_takes_two_without_callbacks(comm: Communicator) -> None:
    assert counted(comm, []) == STEP


@pytest.mark.ranks(2, 3, 4)
def test_where_each_rank_updates_a_copy_of_its_own_a_step_takes_one_and_a_reduction(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, sizes = regression(comm, share_memory=False), []
    reduce = comm.transport.all_reduce
    monkeypatch.setattr(
        comm.transport, "all_reduce", lambda buffer: sizes.append(buffer.size) or reduce(buffer)
    )
    assert counted(comm, [], model) == 1
    assert sizes == [model.engine.gradients.size] * 3 * STEPS


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize(
    ("settings", "extra"),
    [({}, 0), ({"clipnorm": 1.0}, 0), ({"clipvalue": 1.0}, 0), ({"global_clipnorm": 1.0}, 1)],
)
def test_ranks_of_one_machine_reduce_nothing(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, settings: dict[str, float], extra: int
) -> None:
    model = regression(comm, optimizer=optimizers.SGD(0.1, **settings))
    monkeypatch.setattr(comm.transport, "all_reduce", pytest.fail)
    assert counted(comm, [], model) == STEP + extra


@pytest.mark.ranks(2, 3, 4)
def test_ten_of_each_kind_take_no_more_than_one_of_each(comm: Communicator) -> None:
    kinds = [
        *with_hooks("all", BEGIN, END, number=10),
        *with_hooks("root", BEGIN, END, number=10),
        *with_hooks("local_root", BEGIN, END, number=10),
    ]
    assert counted(comm, kinds) == STEP + 2


@pytest.mark.ranks(2, 3, 4)
def test_a_callback_on_all_ranks_behind_one_on_root_takes_one_more(comm: Communicator) -> None:
    """It has to see, in the same hook, what the one on root did."""
    assert counted(comm, [*with_hooks("root", END, number=5), *with_hooks("all", END, number=5)]) == STEP + 2


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("ranks", ["root", "all"])
def test_what_hooks_decide_takes_no_message(comm: Communicator, ranks: str) -> None:
    model = regression(comm)

    def decide(batch: int, logs: dict[str, Any]) -> None:
        model.optimizer.learning_rate = 0.01 / (1 + batch)
        model.set_weights([weight * 0.9 for weight in model.get_weights()])
        logs["added"] = float(batch)

    assert counted(comm, with_hooks(ranks, END, action=decide), model) == STEP + 1


@pytest.mark.ranks(2, 3)
def test_each_batch_normalization_takes_two(comm: Communicator) -> None:
    model = Sequential(
        [layers.Dense(2, input_shape=(2,)), layers.BatchNormalization(), layers.Dense(1)], comm=comm
    )
    model.compile("sgd", "mse")
    assert counted(comm, [], model) == STEP + 2


@pytest.mark.ranks(2, 3, 4)
def test_an_added_key_is_sent_once_and_rides_from_then_on(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, sent = regression(comm), []
    broadcast = comm.transport.broadcast_bytes
    monkeypatch.setattr(
        comm.transport, "broadcast_bytes", lambda packed, root=0: sent.append(1) or broadcast(packed, root)
    )

    def add(batch: int, logs: dict[str, Any]) -> None:
        logs["gpu"] = float(batch)

    values: list[float] = []
    see = LambdaCallback(
        on_train_begin=lambda logs: sent.clear(),  # before it comes root's word on checkpoints
        on_train_batch_end=lambda batch, logs: values.append(logs["gpu"]),
    )
    model.fit(
        *line(), batch_size=4, epochs=2, verbose=0, callbacks=[*with_hooks("root", END, action=add), see]
    )
    assert values == [0.0, 1.0, 2.0] * 2
    assert sent == [1]


@pytest.mark.ranks(2, 3)
def test_outputs_are_gathered_only_for_a_callback_that_has_the_hook(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, (x, _), gathered = regression(comm), line(), []
    gather = comm.gather_parts
    monkeypatch.setattr(comm, "gather_parts", lambda *a, **k: gathered.append(1) or gather(*a, **k))
    outputs: list[np.ndarray] = []
    see = LambdaCallback(on_predict_batch_end=lambda batch, logs: outputs.append(logs["outputs"]))
    for verbose in (0, 1):
        gathered.clear()
        model.predict(x, batch_size=4, verbose=verbose, gather="none")
        assert gathered == []
    model.predict(x, batch_size=4, verbose=0, gather="none", callbacks=[see])
    assert gathered
    np.testing.assert_allclose(np.concatenate(outputs), model.predict(x, verbose=0), rtol=1e-6)


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("on_nan", ["ignore", "raise", "skip"])
@pytest.mark.parametrize(
    ("watching", "extra"), [({}, 0), ({"on_divergence": "heal"}, 0), ({"divergence_every": 1}, 1)]
)
def test_looking_after_ranks_takes_none_a_step_and_after_parts_of_gradients_one(
    comm: Communicator, on_nan: str, watching: dict[str, Any], extra: int
) -> None:
    extra += on_nan != "ignore"
    assert counted(comm, [], regression(comm, on_nan=on_nan, **watching)) == STEP + extra
