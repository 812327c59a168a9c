"""What a process that died left behind goes; what another one is at work on stays."""

import errno
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distfit.checkpoint import Checkpoint, Store, files, unfinished

NAMES = re.compile(r"checkpoint-\d{6,}")
HOST = re.sub(r"[^\w-]", "-", socket.gethostname())


def began(pid: int) -> str:
    """When a process began, by the tool that everybody has."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def leave(folder: Path, name: str) -> Path:
    """Make a folder with a file in it."""
    (folder / name).mkdir()
    (folder / name / "weights.safetensors").touch()
    return folder / name


@pytest.fixture
def dead() -> int:
    """The number of a process that there was."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("why", ["unfinished", "removed"])
def test_what_a_process_that_died_left_goes(tmp_path: Path, dead: int, why: str) -> None:
    leave(tmp_path, f".checkpoint-000003.{HOST}.{dead}-123.{why}")
    Store(tmp_path).tidy()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("why", ["unfinished", "removed"])
def test_what_another_process_is_at_work_on_stays(tmp_path: Path, why: str) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        path = leave(tmp_path, f".checkpoint-000003.{HOST}.{process.pid}-{began(process.pid)}.{why}")
        Store(tmp_path).tidy()
        assert path.exists()
        assert process.stdin is not None
        process.stdin.close()
    Store(tmp_path).tidy()
    assert not path.exists()


def test_the_next_save_removes_it_too(tmp_path: Path, dead: int) -> None:
    for why in ("unfinished", "removed"):
        leave(tmp_path, f".checkpoint-000007.{HOST}.{dead}-123.{why}")
    Store(tmp_path).save(Checkpoint())
    assert os.listdir(tmp_path) == ["checkpoint-000001"]


def test_what_cannot_be_removed_is_no_hindrance(
    tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    leave(tmp_path, f".checkpoint-000007.{HOST}.{dead}-123.unfinished")
    monkeypatch.setattr(files, "unlink", refuse)
    with pytest.warns(UserWarning, match="left by a process that died, cannot be removed: .*not permitted"):
        assert Store(tmp_path).save(Checkpoint()).name == "checkpoint-000001"


def test_a_process_that_got_the_number_of_one_that_died_is_another(tmp_path: Path) -> None:
    leave(tmp_path, f".checkpoint-000003.{HOST}.{os.getpid()}-{int(began(os.getpid())) - 1}.unfinished")
    Store(tmp_path).tidy()
    assert os.listdir(tmp_path) == []


def test_ones_own_write_under_way_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.begin()
    store.tidy()
    assert store.commit(folder, Checkpoint()).name == "checkpoint-000001"


@pytest.mark.parametrize(("minutes", "stays"), [(1, True), (59, True), (61, False)])
def test_what_another_machine_left_goes_when_nobody_touched_it_for_an_hour(
    tmp_path: Path, minutes: int, stays: bool
) -> None:
    path = leave(tmp_path, ".checkpoint-000003.elsewhere.1-2.unfinished")
    then = time.time() - 60 * minutes
    for entry in (path / "weights.safetensors", path):
        os.utime(entry, (then, then))
    Store(tmp_path).tidy()
    assert path.exists() == stays


@pytest.mark.parametrize(
    "name",
    [
        "checkpoint-000003.elsewhere.1-2.unfinished",
        ".checkpoint-3.elsewhere.1-2.unfinished",
        ".checkpoint-000003.1-2.unfinished",
        ".checkpoint-000003.elsewhere.1.unfinished",
        ".checkpoint-000003.elsewhere.1-2.unfinished.bak",
        ".my-checkpoint-000003.elsewhere.1-2.unfinished",
        "checkpoint-3",
        "checkpoint-000003.bak",
        "notes",
    ],
)
def test_what_has_another_name_stays_whatever_happens(tmp_path: Path, name: str) -> None:
    path = leave(tmp_path, name)
    for entry in (path / "weights.safetensors", path):
        os.utime(entry, (0, 0))
    store = Store(tmp_path)
    store.tidy()
    store.save(Checkpoint())
    store.remove()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert (path / "weights.safetensors").exists()


def test_a_file_with_such_a_name_is_somebody_elses(tmp_path: Path, dead: int) -> None:
    (tmp_path / f".checkpoint-000003.{HOST}.{dead}-1.unfinished").touch()
    Store(tmp_path).tidy()
    assert len(os.listdir(tmp_path)) == 1


def test_a_second_write_of_a_target_removes_what_the_first_left_that_died(tmp_path: Path, dead: int) -> None:
    leave(tmp_path, f".my model.ckpt.{HOST}.{dead}-1.unfinished")
    other = leave(tmp_path, f".other.ckpt.{HOST}.{dead}-1.unfinished")
    unfinished.finish(unfinished.begin(tmp_path / "my model.ckpt"))
    assert sorted(os.listdir(tmp_path)) == sorted([other.name, "my model.ckpt"])


def test_names_with_points_and_hosts_with_points_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "node7.cluster.example")
    folder = unfinished.begin(tmp_path / "model.v2")
    assert re.fullmatch(r"\.model\.v2\.node7-cluster-example\.\d+-\d+\.unfinished", folder.name)
    assert unfinished.finish(folder) == tmp_path / "model.v2"


def test_nothing_is_finished_that_was_not_begun(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no folder that begin"):
        unfinished.finish(tmp_path)


def test_nothing_takes_the_place_of_what_came_in_between(tmp_path: Path) -> None:
    folder = unfinished.begin(tmp_path / "checkpoint")
    (tmp_path / "checkpoint").mkdir()  # which a rename alone would replace, being empty
    with pytest.raises(FileExistsError, match="by somebody else"):
        unfinished.finish(folder)


def test_of_a_link_nothing_goes_of_what_it_leads_to(tmp_path: Path) -> None:
    store, elsewhere = Store(tmp_path / "series"), tmp_path / "elsewhere"
    path = store.save(Checkpoint(state={"epoch": 1}))
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert [found.name for found in store.paths()] == ["checkpoint-000001"]
    store.save(Checkpoint(state={"epoch": 2}))
    assert os.listdir(store.folder) == ["checkpoint-000002"]
    assert (elsewhere / "state.json").exists()
