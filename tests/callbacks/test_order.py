"""When hooks are called, and when what they decide takes effect: Keras's order."""

from typing import Any

import pytest
from support.small import line, regression

from distfit.callbacks import Callback, LambdaCallback
from distfit.callbacks.dispatch.hooks import ALL_HOOKS
from distfit.comm import Communicator


def trace(names: list[str] | None = None) -> tuple[list[str], LambdaCallback]:
    """Return a list, and a callback that writes hooks and keys of logs into it."""
    calls: list[str] = []

    def note(hook: str) -> Any:
        def write(*args: Any) -> None:
            calls.append(" ".join([hook.removeprefix("on_"), *map(str, args[:-1]), *args[-1]]))

        return write

    return calls, LambdaCallback(**{hook: note(hook) for hook in names or ALL_HOOKS})


def test_fit_with_validation_each_second_epoch() -> None:
    calls, callback = trace()
    model, (x, y) = regression(Communicator.alone()), line()
    model.fit(
        x, y, batch_size=5, epochs=2, verbose=0, callbacks=[callback],
        validation_data=(x, y), validation_batch_size=10, validation_freq=2,
    )  # fmt: skip
    batches = [
        "train_batch_begin 0",
        "train_batch_end 0 loss mae",
        "train_batch_begin 1",
        "train_batch_end 1 loss mae",
    ]
    assert calls == [
        "train_begin",
        "epoch_begin 0",
        *batches,
        "epoch_end 0 loss mae",
        "epoch_begin 1",
        *batches,
        "test_begin",
        "test_batch_begin 0",
        "test_batch_end 0 loss mae",
        "test_end loss mae",
        "epoch_end 1 loss mae val_loss val_mae",
        "train_end loss mae val_loss val_mae",
    ]


def test_evaluate_and_predict() -> None:
    calls, callback = trace()
    model, (x, y) = regression(Communicator.alone()), line()
    model.evaluate(x, y, batch_size=10, verbose=0, callbacks=[callback])
    model.predict(x, batch_size=10, verbose=0, callbacks=[callback])
    assert calls == [
        "test_begin", "test_batch_begin 0", "test_batch_end 0 loss mae", "test_end loss mae",
        "predict_begin", "predict_batch_begin 0", "predict_batch_end 0 outputs", "predict_end",
    ]  # fmt: skip


def test_begin_has_the_first_and_end_the_last_of_several_batches() -> None:
    calls, callback = trace(["on_train_batch_begin", "on_train_batch_end"])
    model = regression(Communicator.alone(), steps_per_execution=2, metrics=[])
    model.fit(*line(), batch_size=2, verbose=0, callbacks=[callback])
    assert [call.removesuffix(" loss") for call in calls] == [
        "train_batch_begin 0", "train_batch_end 1", "train_batch_begin 2", "train_batch_end 3",
        "train_batch_begin 4", "train_batch_end 4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("hook", "batches", "epochs"),
    [
        ("on_train_begin", 1, 1),
        ("on_epoch_begin", 1, 1),
        ("on_train_batch_begin", 1, 1),
        ("on_train_batch_end", 1, 1),
        ("on_test_begin", 2, 1),
        ("on_test_batch_end", 2, 1),
        ("on_test_end", 2, 1),
        ("on_epoch_end", 2, 1),
    ],
)
@pytest.mark.parametrize("ranks", ["all", "root"])
def test_a_stop_takes_effect_after_a_batch_or_an_epoch_whose_validation_still_runs(
    hook: str, ranks: Any, batches: int, epochs: int
) -> None:
    model, (x, y) = regression(Communicator.alone()), line()

    def stop(*args: Any) -> None:
        model.stop_training = True

    calls, callback = trace()
    stopping = LambdaCallback(**{hook: stop}, ranks=ranks)
    model.fit(
        x, y, batch_size=5, epochs=3, verbose=0, callbacks=[callback, stopping],
        validation_data=(x, y), validation_batch_size=5,
    )  # fmt: skip
    counts = {name: sum(call.startswith(name) for call in calls) for name in ("train_batch_end", "epoch_end")}
    assert counts == {"train_batch_end": batches, "epoch_end": epochs}
    assert sum(call.startswith("test_batch_end") for call in calls) == 2
    assert calls[-1].startswith("train_end")


@pytest.mark.parametrize(("call", "flag"), [("evaluate", "stop_evaluating"), ("predict", "stop_predicting")])
def test_evaluate_and_predict_stop_after_a_batch(call: str, flag: str) -> None:
    model, (x, y) = regression(Communicator.alone()), line()
    phase = "test" if call == "evaluate" else "predict"
    calls, callback = trace()
    stopping = LambdaCallback(**{f"on_{phase}_batch_end": lambda *args: setattr(model, flag, True)})
    data = (x, y) if call == "evaluate" else (x,)
    for _ in range(2):  # the flag is cleared at the start
        calls.clear()
        getattr(model, call)(*data, batch_size=4, verbose=0, callbacks=[callback, stopping])
        assert len([name for name in calls if "batch_end" in name]) == 1
        assert calls[-1].startswith(f"{phase}_end")


def test_after_an_error_there_is_no_end_of_training() -> None:
    def fail(*args: Any) -> None:
        raise OSError("disk full")

    calls, callback = trace(["on_train_begin", "on_train_end"])
    with pytest.raises(OSError, match="disk full"):
        regression(Communicator.alone()).fit(
            *line(), verbose=0, callbacks=[callback, LambdaCallback(on_epoch_end=fail)]
        )
    assert calls == ["train_begin"]


def test_no_epoch_is_a_beginning_and_an_end() -> None:
    calls, callback = trace()
    regression(Communicator.alone()).fit(*line(), epochs=2, initial_epoch=2, verbose=0, callbacks=[callback])
    assert calls == ["train_begin", "train_end"]


def test_predict_shows_the_outputs_of_a_batch() -> None:
    model, (x, _), seen = regression(Communicator.alone()), line(), []

    class Look(Callback):
        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(logs["outputs"])

    predicted = model.predict(x, batch_size=4, verbose=0, callbacks=[Look()])
    assert [len(outputs) for outputs in seen] == [4, 4, 2]
    assert [row for outputs in seen for row in outputs.tolist()] == predicted.tolist()
