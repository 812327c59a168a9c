"""The process dies, or the system refuses, at each system call of a save: a whole checkpoint is there all the same."""

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distfit.checkpoint import Checkpoint, Retention, Slice, Store, files, write_part

DIED = 77


@pytest.fixture(autouse=True)
def _no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk: where a process dies the system goes on, and what it was given is there."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def checkpoint(epoch: int) -> Checkpoint:
    return Checkpoint(
        {"dense/kernel": np.full((3, 2), epoch, np.float32)},
        {"dense/kernel/m": np.full(5, -epoch, np.float64)},
        {"epoch": epoch, "best": np.arange(epoch)},
    )


def assert_is(found: tuple[Path, Checkpoint] | None, epochs: tuple[int, ...]) -> int:
    """Find one of these checkpoints, whole, and return its epoch."""
    assert found is not None
    epoch = found[1].state["epoch"]
    assert epoch in epochs
    expected = checkpoint(epoch)
    np.testing.assert_array_equal(found[1].weights["dense/kernel"], expected.weights["dense/kernel"])
    np.testing.assert_array_equal(found[1].optimizer["dense/kernel/m"], expected.optimizer["dense/kernel/m"])
    np.testing.assert_array_equal(found[1].state["best"], expected.state["best"])
    return epoch


def save_plainly(store: Store, epoch: int) -> None:
    store.save(checkpoint(epoch))


def save_in_parts(store: Store, epoch: int) -> None:
    """Save what two ranks hold half of each."""
    folder, whole = store.begin(), checkpoint(epoch)
    slots = whole.optimizer["dense/kernel/m"]
    try:
        for part, (start, stop) in enumerate([(0, 2), (2, 5)]):
            write_part(
                folder, part, 2, {"optimizer/dense/kernel/m": Slice(slots[start:stop], start, slots.shape)}
            )
    except OSError:
        store.abandon(folder)
        raise
    store.commit(folder, Checkpoint(whole.weights, {}, whole.state))


def intercept(patch: pytest.MonkeyPatch, act: Callable[[int, Callable[..., Any], Any], Any]) -> None:
    """Let `act` make each system call: it gets its number, what makes it, and its arguments."""
    numbers = itertools.count()
    for call in files.CALLS:
        patch.setattr(files, call.__name__, lambda *args, _call=call: act(next(numbers), _call, args))


def ends_with_death(act: Callable[[int, Callable[..., Any], Any], Any], work: Callable[[], object]) -> bool:
    """Do something in a process that may die, and say whether it did."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            intercept(pytest.MonkeyPatch(), act)
            work()
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, DIED)
    return status == DIED


def die_after(number: int) -> Callable[[int, Callable[..., Any], Any], Any]:
    def act(this: int, call: Callable[..., Any], args: Any) -> Any:
        result = call(*args)
        if this == number:
            os._exit(DIED)
        return result

    return act


def die_within(number: int) -> Callable[[int, Callable[..., Any], Any], Any]:
    """Die within a write, of which half the bytes are there."""

    def act(this: int, call: Callable[..., Any], args: Any) -> Any:
        if this == number and call.__name__ == "write":
            call(args[0], args[1][: len(args[1]) // 2])
        if this == number:
            os._exit(DIED)
        return call(*args)

    return act


@pytest.mark.parametrize("save", [save_plainly, save_in_parts])
@pytest.mark.parametrize("die", [die_after, die_within])
def test_whenever_the_process_dies_the_old_checkpoint_or_the_new_one_loads(
    tmp_path: Path, save: Callable[[Store, int], None], die: Callable[[int], Any]
) -> None:
    seen = set()
    for number in itertools.count():
        folder = tmp_path / str(number)
        for epoch in (1, 2):
            Store(folder).save(checkpoint(epoch), Retention(last=2))
        died = ends_with_death(die(number), lambda folder=folder: save(Store(folder), 3))
        seen.add(assert_is(Store(folder).newest(), (2, 3) if died else (3,)))

        store = Store(folder)  # the next start
        store.tidy()
        assert_is(store.newest(), (2, 3))
        save(store, 4)
        assert_is(store.newest(), (4,))
        assert os.listdir(folder) == [store.paths()[0].name]
        if not died:
            break
    assert seen == {2, 3}
    assert number > 40  # a save takes more system calls than that: the deaths were real


def test_whenever_the_process_dies_the_rest_can_be_removed(tmp_path: Path) -> None:
    for number in itertools.count():
        folder = tmp_path / str(number)
        for epoch in (1, 2):
            Store(folder).save(checkpoint(epoch), Retention(last=2))
        died = ends_with_death(die_after(number), Store(folder).remove)
        if folder.exists():
            found = Store(folder).newest()
            assert found is None or assert_is(found, (1, 2))
            Store(folder).remove()
        assert not folder.exists()
        if not died:
            break


class Refusal:
    """The system refuses one call, or all from then on. A full disk lets files be removed and closed."""

    def __init__(self, number: int, code: int, *, lasting: bool) -> None:
        self.reached = False
        self._number, self._code, self._lasting = number, code, lasting
        self._spared = ("unlink", "remove_folder", "close") if code == errno.ENOSPC else ()

    def __call__(self, this: int, call: Callable[..., Any], args: Any) -> Any:
        self.reached |= this == self._number
        is_refused = this >= self._number if self._lasting else this == self._number
        if is_refused and call.__name__ not in self._spared:
            raise OSError(self._code, os.strerror(self._code))
        return call(*args)


@pytest.mark.parametrize("save", [save_plainly, save_in_parts])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_whatever_the_system_refuses_the_old_checkpoint_or_the_new_one_loads(
    tmp_path: Path, save: Callable[[Store, int], None], code: int, lasting: bool
) -> None:
    for number in itertools.count():
        store, refusal, failed = Store(tmp_path / str(number)), Refusal(number, code, lasting=lasting), False
        for epoch in (1, 2):
            store.save(checkpoint(epoch), Retention(last=2))
        with pytest.MonkeyPatch().context() as patch:
            intercept(patch, refusal)
            try:
                save(store, 3)
            except OSError as error:
                if error.errno != code:
                    raise
                failed = True
        epoch = assert_is(store.newest(), (2, 3) if failed else (3,))
        if code == errno.ENOSPC and epoch == 2:
            assert len(os.listdir(store.folder)) == 2  # nothing is left of the new one, not even hidden
        save(store, 4)
        store.tidy()
        assert os.listdir(store.folder) == [store.paths()[0].name]
        assert_is(store.newest(), (4,))
        if not refusal.reached:
            break


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*weights\.safetensors'"):
        Store(tmp_path).save(checkpoint(1))
    assert os.listdir(tmp_path) == []


def test_a_write_that_takes_only_some_of_the_bytes_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = files.write
    monkeypatch.setattr(files, "write", lambda descriptor, data: write(descriptor, data[:7]))
    store = Store(tmp_path)
    store.save(checkpoint(3))
    assert_is(store.newest(), (3,))


class Log:
    """The system calls of a save, each with the names of what it was about."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self._open: dict[int, str] = {}

    def __call__(self, this: int, call: Callable[..., Any], args: Any) -> Any:
        result = call(*args)
        name = call.__name__
        if name in ("create", "open_folder"):
            self._open[result] = str(args[0])
        paths = [self._open[args[0]] if isinstance(args[0], int) else args[0], *args[1:]]
        self.calls.append((name, *map(str, paths)))
        return result

    def find(self, *call: str) -> list[int]:
        return [number for number, this in enumerate(self.calls) if this[: len(call)] == call]


def test_each_step_is_on_the_disk_before_the_next_one_relies_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut loses whatever was not synchronised, in any order."""
    store, log = Store(tmp_path), Log()
    store.save(checkpoint(1))
    intercept(monkeypatch, log)
    save_in_parts(store, 2)
    hidden = log.calls[log.find("make_folder")[0]][1]
    commit = log.find("rename", hidden)[0]
    created = [this[1] for this in log.calls if this[0] == "create"]
    assert len(created) == 9  # seven files that stay, and two with the digests of the parts
    for path in created:
        writes, [sync] = log.find("write", path), log.find("sync", path)
        assert max(writes) < sync < commit
    assert max(*log.find("create"), *log.find("unlink", hidden)) < log.find("sync", hidden)[0] < commit
    named, unnamed = log.find("sync", str(tmp_path))
    old = log.find("rename", str(tmp_path / "checkpoint-000001"))[0]
    removed = [number for number in log.find("unlink") if number > commit]
    assert commit < named < old < unnamed < min(removed)
