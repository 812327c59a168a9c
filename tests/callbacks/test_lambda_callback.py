"""A callback out of functions."""

from typing import Any

import pytest
from support.small import line, regression

from distfit.callbacks import LambdaCallback
from distfit.callbacks.dispatch.hooks import ALL_HOOKS
from distfit.comm import Communicator


@pytest.mark.parametrize("hook", [*ALL_HOOKS, "on_batch_begin", "on_batch_end"])
def test_any_hook(hook: str) -> None:
    seen: list[tuple[Any, ...]] = []
    callback = LambdaCallback(**{hook: lambda *args: seen.append(args)})
    model, (x, y) = regression(Communicator.alone()), line()

    def interrupt(epoch: int, logs: Any) -> None:
        model.interrupted = True

    callbacks = [callback, LambdaCallback(on_epoch_end=interrupt)]
    model.fit(x, y, batch_size=5, verbose=0, callbacks=callbacks, validation_data=(x, y))
    model.predict(x, batch_size=5, verbose=0, callbacks=[callback])
    assert len(seen) == (2 if "batch" in hook and "test" not in hook else len(seen))
    assert seen
    numbered = "batch" in hook or "epoch" in hook
    assert all(len(args) == 1 + numbered for args in seen)
    assert all(isinstance(args[-1], dict) for args in seen)
    if numbered:
        assert seen[0][0] == 0


def test_functions_by_position_are_keras_s() -> None:
    order: list[str] = []
    names = ["epoch begin", "epoch end", "train begin", "train end", "batch begin", "batch end"]
    functions = [lambda *args, name=name: order.append(name) for name in names]
    regression(Communicator.alone()).fit(
        *line(), batch_size=10, verbose=0, callbacks=LambdaCallback(*functions)
    )
    assert order == ["train begin", "epoch begin", "batch begin", "batch end", "epoch end", "train end"]


def test_what_is_no_hook_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"no hook is called on_epoch_over\. Hooks are: .*on_epoch_end"):
        LambdaCallback(on_epoch_over=print)


def test_ranks_are_those_that_were_asked_for() -> None:
    assert LambdaCallback().ranks == "all"
    assert LambdaCallback(ranks="root").ranks == "root"
