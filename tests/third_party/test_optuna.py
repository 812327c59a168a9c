"""Optuna's pruning of trials: it ends a training by an exception, which is one on all ranks."""

import optuna
import pytest
from optuna_integration.keras import KerasPruningCallback
from support.small import line, regression

from distfit import RemoteError
from distfit.comm import Communicator

pytestmark = pytest.mark.ranks(2)

Trials = list[tuple[optuna.trial.TrialState, int]]


def search(comm: Communicator, everywhere: bool) -> tuple[Trials, list[bool]]:
    """Try learning rates, of which root's study decides.

    Args:
        comm: the ranks.
        everywhere: whether all ranks have the callback, or root alone.

    Returns:
        How each trial ended, and after how many epochs; and whether that was an exception of another rank.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3), pruner=pruner)
    ended: Trials = []
    remote = []
    for _ in range(6):
        trial = study.ask() if comm.is_root else None
        rate = comm.broadcast_object(trial.suggest_float("rate", 1e-4, 0.1, log=True) if trial else None)
        model = regression(comm)
        model.optimizer.learning_rate = rate
        callbacks = [KerasPruningCallback(trial, "val_loss")] if everywhere or comm.is_root else []
        state = optuna.trial.TrialState.COMPLETE
        try:
            model.fit(*line(), batch_size=4, epochs=5, verbose=0, validation_split=0.3, callbacks=callbacks)
        except optuna.TrialPruned as error:
            state = optuna.trial.TrialState.PRUNED
            remote.append(isinstance(error, RemoteError))
        ended.append((state, len(model.history.epoch)))
        if trial:
            last = model.history.history["val_loss"][-1]
            study.tell(trial, last if state == optuna.trial.TrialState.COMPLETE else None, state)
    return ended, remote


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_trial_is_pruned_on_all_ranks_at_the_epoch_of_one_rank(
    comm: Communicator, everywhere: bool
) -> None:
    ended, remote = search(comm, everywhere)
    expected, local = search(Communicator.alone(), everywhere)
    assert ended == expected
    assert {state for state, _ in ended} == {
        optuna.trial.TrialState.COMPLETE,
        optuna.trial.TrialState.PRUNED,
    }
    assert remote == [not comm.is_root] * len(local)
    assert local == [False] * len(local)
