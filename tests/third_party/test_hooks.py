"""Which hooks a callback of others has: what it inherits from Keras's Callback costs nothing."""

import keras
import pytest
from tqdm.keras import TqdmCallback

from distfit.callbacks import CallbackList


def nothing(*_: object, **__: object) -> None: ...


@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        (keras.callbacks.Callback(), set()),
        (keras.callbacks.EarlyStopping(), {"on_train_begin", "on_epoch_end", "on_train_end"}),
        (keras.callbacks.ReduceLROnPlateau(), {"on_train_begin", "on_epoch_end"}),
        (keras.callbacks.TerminateOnNaN(), {"on_train_batch_end"}),
        (keras.callbacks.LambdaCallback(on_test_end=nothing), {"on_test_end"}),
        (keras.callbacks.LambdaCallback(on_batch_begin=nothing), {"on_train_batch_begin"}),
    ],
    ids=lambda given: type(given).__name__,
)
def test_inherited_hooks_do_not_count(callback: keras.callbacks.Callback, expected: set[str]) -> None:
    hooks = CallbackList([callback])
    assert {
        name for name in dir(keras.callbacks.Callback) if name[:3] == "on_" and has(hooks, name)
    } == expected


def has(hooks: CallbackList, name: str) -> bool:
    """Ask for a hook; Keras's two older names are no hooks of their own."""
    return name not in ("on_batch_begin", "on_batch_end") and hooks.has_hook(name)


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_hook_that_is_made_during_training_counts_from_the_start(verbose: int) -> None:
    """The callback of tqdm says that it has one, and makes it when an epoch begins."""
    assert CallbackList([TqdmCallback(verbose=verbose, disable=True)]).has_hook("on_train_batch_end")
