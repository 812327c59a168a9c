"""Which hooks a callback has, and how they are divided by where they run."""

from typing import Any

import pytest

from distfit.callbacks import Callback, CallbackList, LambdaCallback
from distfit.callbacks.hooks import ALL_HOOKS, Hook, overridden, runs


def names(callback: Any) -> set[str]:
    return {hook for hook in ALL_HOOKS if overridden([callback], hook)}


class ByClass(Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None: ...


class ByInheritance(ByClass):
    pass


class ByAlias(Callback):
    def on_batch_end(self, batch: int, logs: Any = None) -> None: ...


class ByInstance(Callback):
    def __init__(self) -> None:
        self.on_test_begin = lambda logs: None  # type: ignore[method-assign]


class Foreign:
    def on_train_begin(self, logs: Any = None) -> None: ...

    on_epoch_end = None


@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        (Callback(), set()),
        (ByClass(), {"on_epoch_end"}),
        (ByInheritance(), {"on_epoch_end"}),
        (ByAlias(), {"on_train_batch_end"}),
        (LambdaCallback(on_batch_begin=print), {"on_train_batch_begin"}),
        (ByInstance(), {"on_test_begin"}),
        (Foreign(), {"on_train_begin"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_hooks_that_do_something(callback: Any, expected: set[str]) -> None:
    assert names(callback) == expected


def test_an_alias_is_called_through_keras_s_name() -> None:
    seen = []

    class Alias(Callback):
        def on_batch_begin(self, batch: int, logs: Any = None) -> None:
            seen.append(("begin", batch, logs))

        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(("end", batch, logs))

    hooks = CallbackList([Alias()])
    hooks.on_train_batch_begin(3)
    hooks.on_train_batch_end(3, {"loss": 0.5})
    assert seen == [("begin", 3, {}), ("end", 3, {"loss": 0.5})]


def test_overriding_the_newer_name_cuts_the_alias() -> None:
    seen = []

    class Both(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append("new")

        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append("old")

    CallbackList([Both()]).on_train_batch_end(0)
    assert seen == ["new"]


def test_a_hook_knows_where_it_runs_and_what_it_is_called() -> None:
    (own,) = overridden([ByClass()], "on_epoch_end")
    (foreign,) = overridden([Foreign()], "on_train_begin")
    assert (own.ranks, own.name) == ("all", "ByClass.on_epoch_end")
    assert (foreign.ranks, foreign.name) == ("root", "Foreign.on_train_begin")


def test_ranks_is_one_of_three_words() -> None:
    with pytest.raises(ValueError, match=r"LambdaCallback\.ranks is one of 'all', 'root' and 'local_root'"):
        CallbackList([LambdaCallback(on_train_begin=print, ranks="master")])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        ([], []),
        (["all"], ["all"]),
        (["all", "all", "root"], ["all all", "root"]),
        (["root", "all", "root", "root"], ["root", "all", "root root"]),
        (["root", "local_root", "all"], ["root", "local_root", "all"]),
    ],
)
def test_neighbours_with_equal_ranks_run_together(ranks: list[Any], expected: list[str]) -> None:
    hooks = [Hook(print, where, str(number)) for number, where in enumerate(ranks)]
    divided = runs(hooks)
    assert [" ".join(hook.ranks for hook in run) for _, run in divided] == expected
    assert [where for where, _ in divided] == [words.split()[0] for words in expected]
    assert [hook.name for _, run in divided for hook in run] == [str(n) for n in range(len(ranks))]
