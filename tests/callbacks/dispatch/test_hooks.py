"""Which hooks a callback has, and how they are divided by where they run."""

from typing import Any

import pytest

from distfit.callbacks import Callback, CallbackList, LambdaCallback
from distfit.callbacks.dispatch.calls import batch_stretches, runs
from distfit.callbacks.dispatch.hooks import ALL_HOOKS, Hook, hook_of


def names(callback: Any) -> set[str]:
    return {hook for hook in ALL_HOOKS if hook_of(callback, hook)}


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


def test_ranks_is_one_of_three_words() -> None:
    with pytest.raises(ValueError, match=r"LambdaCallback\.ranks is one of 'all', 'root' and 'local_root'"):
        CallbackList([LambdaCallback(on_train_begin=print, ranks="master")])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        ("a", ["a"]),
        ("aar", ["aa", "r"]),
        ("rarr", ["r", "a", "rr"]),
        ("rla", ["r", "l", "a"]),
    ],
)
def test_the_hooks_of_a_phase_are_divided_into_neighbours_with_equal_ranks(
    ranks: str, expected: list[str]
) -> None:
    assert letters(runs(hooks(ranks))) == expected


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        ("a", ["a"]),
        ("aar", ["aar"]),
        ("rlr", ["rlr"]),
        ("aarlaar", ["aarl", "aar"]),
        ("ra", ["r", "a"]),
    ],
)
def test_the_hooks_of_a_batch_are_divided_before_those_on_all_ranks_behind_others(
    ranks: str, expected: list[str]
) -> None:
    assert letters(batch_stretches(hooks(ranks), settle_at_end=True)) == expected


@pytest.mark.parametrize(("ranks", "expected"), [("a", [False]), ("ar", [True]), ("ra", [True, False])])
def test_before_a_batch_hooks_on_all_ranks_need_no_agreement_behind_them(
    ranks: str, expected: list[bool]
) -> None:
    stretches = batch_stretches(hooks(ranks), settle_at_end=False)
    assert [stretch.settles for stretch in stretches] == expected


def test_a_run_ends_before_what_records_the_logs() -> None:
    user = Hook(print, "all", "0")
    history = Hook(print, "all", "1", reads_agreed_logs=True, is_own=True)
    assert [len(run.common) for run in runs([user, user, history, history, user])] == [2, 3]


def test_on_root_alone_nothing_has_to_be_agreed_before_it() -> None:
    user = Hook(print, "root", "0")
    checkpoint = Hook(print, "root", "1", reads_agreed_logs=True, is_own=True)
    assert len(runs([user, checkpoint] * 5)) == 1


WORDS: dict[str, Any] = {"a": "all", "r": "root", "l": "local_root"}


def hooks(ranks: str) -> list[Hook]:
    return [Hook(print, WORDS[letter], str(number)) for number, letter in enumerate(ranks)]


def letters(stretches: list[Any]) -> list[str]:
    """Return each stretch's ranks, and check that no hook is lost or out of order."""
    divided = [[*stretch.common, *stretch.own] for stretch in stretches]
    assert [hook.name for run in divided for hook in run] == [
        str(n) for n in range(sum(len(run) for run in divided))
    ]
    return ["".join(hook.ranks[0] for hook in run) for run in divided]
