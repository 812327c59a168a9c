"""A dead job's shared memory goes; another's stays, whatever it is called."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from distfit.launchers.leftovers import Leftovers

MAPS = """
import mmap, sys
with open(sys.argv[1], "wb+") as file:
    file.truncate(4096)
    mapped = mmap.mmap(file.fileno(), 4096)
print("mapped", flush=True)
sys.stdin.read()
"""
OPENS = "import sys; file = open(sys.argv[1], 'wb+'); print('open', flush=True); sys.stdin.read()"


@pytest.fixture
def note(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file in which segments are noted."""
    return tmp_path_factory.mktemp("job") / "segments"


@pytest.fixture
def leftovers(tmp_path: Path, note: Path) -> Iterator[Leftovers]:
    """Yield those of a job that begins, in a folder that is empty."""
    leftovers = Leftovers(note, tmp_path)
    yield leftovers
    leftovers.close()


@contextmanager
def holder(program: str, path: Path) -> Iterator[int]:
    """Run a process that makes a segment and holds it, as a rank does; it ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline()
        yield process.pid
        process.kill()


@pytest.mark.parametrize("program", [MAPS, OPENS])
@pytest.mark.parametrize(
    "name", ["mpich_shm_44da5ba1_0", "sm_segment.vm.0.a3910001.1", "vader_segment.vm.0.1"]
)
def test_what_a_rank_of_the_job_held_is_removed(
    tmp_path: Path, leftovers: Leftovers, program: str, name: str
) -> None:
    with holder(program, tmp_path / name) as rank:
        leftovers.look([rank])
        assert leftovers.remove() == []  # it is in use
    assert leftovers.remove() == [tmp_path / name]
    assert os.listdir(tmp_path) == []


def test_what_was_there_before_stays(tmp_path: Path, note: Path) -> None:
    segment = tmp_path / "mpich_shm_1_0"
    with holder(MAPS, segment) as rank:
        leftovers = Leftovers(note, tmp_path)
        leftovers.look([rank])
    assert leftovers.remove() == []
    leftovers.close()
    assert segment.exists()


def test_what_another_job_held_stays_also_when_that_is_over(tmp_path: Path, leftovers: Leftovers) -> None:
    with holder(MAPS, tmp_path / "mpich_shm_1_0"), holder(MAPS, tmp_path / "mpich_shm_2_0") as rank:
        leftovers.look([rank])
    assert leftovers.remove() == [tmp_path / "mpich_shm_2_0"]
    assert os.listdir(tmp_path) == ["mpich_shm_1_0"]


def test_what_nobody_was_seen_to_hold_stays(tmp_path: Path, leftovers: Leftovers) -> None:
    (tmp_path / "mpich_shm_1_0").touch()
    leftovers.look([os.getpid()])
    assert leftovers.remove() == []


def test_a_later_file_of_the_same_name_stays(tmp_path: Path, leftovers: Leftovers) -> None:
    segment = tmp_path / "mpich_shm_1_0"
    with holder(MAPS, segment) as rank:
        leftovers.look([rank])
    segment.rename(tmp_path / "kept")  # so that its number is not given again
    segment.touch()
    assert leftovers.remove() == []


def test_other_files_stay(tmp_path: Path, leftovers: Leftovers) -> None:
    with holder(MAPS, tmp_path / "data.npy") as rank:
        leftovers.look([rank])
    assert leftovers.remove() == []


def test_it_is_time_for_a_look_when_a_segment_is_made(tmp_path: Path, leftovers: Leftovers) -> None:
    assert not select.select([leftovers.bell], [], [], 0)[0]
    (tmp_path / "mpich_shm_1_0").touch()
    assert select.select([leftovers.bell], [], [], 0)[0]
    leftovers.look([])
    assert not select.select([leftovers.bell], [], [], 0)[0]


def test_without_such_a_folder_there_is_nothing_to_do(tmp_path: Path, note: Path) -> None:
    leftovers = Leftovers(note, tmp_path / "missing")
    leftovers.look([os.getpid()])
    assert leftovers.remove() == []
    leftovers.close()
