"""When training ends, on scripted logs.

The epochs are worked out by hand from Keras's rule:

`wait` grows by one each epoch; a value better than the best sets it to 0, if the baseline is beaten as well; an epoch
that is no better ends training if ``wait >= patience``, but never the first one.
"""

from typing import Any

import numpy as np
import pytest
from support.scripted import ScriptedModel, losses, play

from distfit.callbacks import EarlyStopping

nan = float("nan")

CASES: dict[str, tuple[dict[str, Any], list[float], int, int]] = {
    # arguments, values, the last epoch, the best epoch
    "patience 0": ({}, [1.0, 1.0, 1.0], 1, 0),
    "patience 1 is no different": ({"patience": 1}, [1.0, 1.0, 1.0], 1, 0),
    "patience 2": ({"patience": 2}, [1.0, 1.0, 1.0, 1.0], 2, 0),
    "a better value starts again": ({"patience": 2}, [1.0, 2.0, 0.5, 0.6, 0.6, 0.6], 4, 2),
    "always better": ({}, [4.0, 3.0, 2.0, 1.0], 3, 3),
    "NaN later is never better": ({"patience": 2}, [1.0, nan, nan, nan], 2, 0),
    "NaN first is beaten by nothing": ({"patience": 2}, [nan, 1.0, 0.5, 0.2], 2, 0),
    "better by too little": ({"min_delta": 0.1, "patience": 1}, [1.0, 0.95, 0.8], 1, 0),
    "better by enough": ({"min_delta": 0.1, "patience": 1}, [1.0, 0.85, 0.7], 2, 2),
    "the sign of min_delta is ignored": ({"min_delta": -0.1, "patience": 1}, [1.0, 0.95, 0.8], 1, 0),
    "mode max": ({"mode": "max"}, [1.0, 2.0, 2.0, 3.0], 2, 1),
    "mode max with min_delta": ({"mode": "max", "min_delta": 0.5}, [1.0, 1.4, 2.0], 1, 0),
    "baseline beaten": ({"baseline": 0.5, "patience": 2}, [0.4, 0.6, 0.6, 0.6], 2, 0),
    "baseline not beaten, flat": ({"baseline": 0.5, "patience": 2}, [1.0, 1.0, 1.0, 1.0], 1, 0),
    "baseline not beaten, falling": ({"baseline": 0.5, "patience": 2}, [1.0, 0.9, 0.8, 0.8, 0.8], 3, 2),
    "baseline beaten late": ({"baseline": 0.5, "patience": 2}, [1.0, 0.4, 0.4, 0.4, 0.4], 3, 1),
    "the first epochs are ignored": ({"start_from_epoch": 2}, [1.0, 2.0, 3.0, 4.0, 5.0], 3, 2),
    "fewer epochs than ignored": ({"start_from_epoch": 9}, [1.0, 2.0, 3.0], 2, 0),
}


@pytest.mark.parametrize(("arguments", "values", "last", "best"), CASES.values(), ids=CASES)
def test_the_epoch_at_which_training_ends(
    arguments: dict[str, Any], values: list[float], last: int, best: int
) -> None:
    stopping = EarlyStopping("loss", **arguments)
    assert play(stopping, losses(*values)) == last
    assert stopping.best_epoch == best
    ended_early = last < len(values) - 1
    assert stopping.stopped_epoch == (last if ended_early else 0)


def test_the_best_value_is_known() -> None:
    stopping = EarlyStopping("loss", patience=2)
    play(stopping, losses(1.0, 0.25, 0.5, 0.5))
    assert (stopping.best, stopping.best_epoch, stopping.wait) == (0.25, 1, 2)


@pytest.mark.parametrize(
    ("values", "arguments", "epoch"),
    [
        ([1.0, 0.5, 0.7, 0.7, 0.7], {"patience": 2}, 1),
        ([3.0, 2.0, 1.0], {"patience": 5}, 2),
        ([1.0, 0.5, 0.7], {"patience": 5}, 1),  # also where the epochs came to their end
        ([1.0, 2.0, 3.0], {"baseline": 0.1, "patience": 2}, 0),  # and where the baseline was never beaten
        ([0.1, 1.0, 0.9, 0.9], {"start_from_epoch": 1}, 2),
        ([nan, 1.0, 0.5], {"patience": 2}, 0),
    ],
)
def test_the_best_weights_are_put_back(values: list[float], arguments: dict[str, Any], epoch: int) -> None:
    model = ScriptedModel()
    play(EarlyStopping("loss", restore_best_weights=True, **arguments), losses(*values), model)
    np.testing.assert_array_equal(model.get_weights(), [[epoch]])


def test_weights_stay_where_none_are_to_be_restored() -> None:
    model = ScriptedModel()
    play(EarlyStopping("loss", patience=2), losses(1.0, 0.5, 0.7, 0.7), model)
    np.testing.assert_array_equal(model.get_weights(), [[3]])


@pytest.mark.parametrize(("direction", "last"), [("max", 2), ("min", 1)])
@pytest.mark.parametrize("key", ["score", "val_score"])
def test_auto_asks_the_metric_what_better_means(direction: str, last: int, key: str) -> None:
    model = ScriptedModel(other="min", score=direction)
    assert play(EarlyStopping(key), losses(1.0, 2.0, 2.0, key=key), model) == last


def test_a_missing_value_is_a_warning_each_epoch_and_ends_nothing() -> None:
    with pytest.warns(UserWarning, match="'val_loss' is not among the logs: loss, mae") as caught:
        assert play(EarlyStopping(), [{"loss": 1.0, "mae": 1.0}] * 3) == 2
    assert len(caught) == 3


@pytest.mark.parametrize("logs", [{"loss": 1.0}, {"loss": 1.0, "speed": 2.0}])
def test_it_has_to_be_known_what_better_means(logs: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"'speed'.*mode='min'.*mode='max'.*loss, accuracy"):
        play(EarlyStopping("speed"), [logs], ScriptedModel(accuracy="max"))


def test_another_mode_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="Received: 'smallest'; auto is taken"):
        stopping = EarlyStopping("loss", mode="smallest")  # type: ignore[arg-type]
    assert play(stopping, losses(1.0, 1.0)) == 1


def test_it_starts_afresh_in_a_second_fit() -> None:
    stopping = EarlyStopping("loss", patience=1, restore_best_weights=True)
    model = ScriptedModel()
    assert play(stopping, losses(0.1, 0.2, 0.3), model) == 1
    assert play(stopping, losses(5.0, 4.0, 3.0), model) == 2
    assert (stopping.best, stopping.stopped_epoch) == (3.0, 0)
    np.testing.assert_array_equal(model.get_weights(), [[2]])


def test_verbose_says_when_training_ended(capsys: pytest.CaptureFixture[str]) -> None:
    play(EarlyStopping("loss", restore_best_weights=True), losses(1.0, 2.0))
    assert capsys.readouterr().out == ""
    play(EarlyStopping("loss", verbose=1, restore_best_weights=True), losses(1.0, 2.0))
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 2: early stopping",
        "The weights of epoch 1, the best, are restored",
    ]
