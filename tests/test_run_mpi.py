"""The tests of the tests: what `run_mpi` and `mpi_meeting` do when a rank fails, stalls, or disagrees."""

import subprocess
import sys
import time
from pathlib import Path

import run_mpi

HEAD = """
import time
import pytest
from mpi4py import MPI
world = MPI.COMM_WORLD
"""


def driven(folder: Path, body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the driver on a file of tests for two ranks."""
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    (folder / "test_generated.py").write_text(HEAD + body)
    command = [
        sys.executable,
        run_mpi.__file__,
        "-n",
        "2",
        f"--rootdir={folder}",
        "-c",
        str(folder / "pytest.ini"),
    ]
    return subprocess.run(
        [*command, *arguments, str(folder)], capture_output=True, text=True, timeout=60, check=False
    )


def test_all_ranks_report_what_any_of_them_found(tmp_path: Path) -> None:
    done = driven(
        tmp_path,
        """
@pytest.mark.mpi
def test_fails_on_rank_1():
    print("seen on rank", world.rank)
    assert world.rank != 1, "one says no"

@pytest.mark.mpi
def test_after_a_failure():
    assert world.allreduce(1) == 2

@pytest.mark.mpi
def test_is_skipped_on_rank_1():
    if world.rank == 1:
        pytest.skip("not here")

@pytest.mark.ranks(1, 2, 3)
def test_of_each_size(comm):
    assert sum(comm.all_gather_object(1)) == comm.size

@pytest.mark.ranks(1)
def test_body_is_spared_outside(comm):
    assert world.rank == 0
""",
    )
    assert done.returncode == 1
    assert "2 failed, 4 passed, 1 skipped" in done.stdout
    assert done.stdout.count("test session starts") == 1  # root alone writes
    assert "----- rank 1 of 2 -----" in done.stdout
    assert "AssertionError: one says no" in done.stdout
    assert "seen on rank 1" in done.stdout
    assert "ranks disagree: {0: 'passed', 1: 'skipped'}" in done.stdout


def test_a_rank_that_failed_before_a_collective_ends_the_run(tmp_path: Path) -> None:
    done = driven(
        tmp_path,
        """
@pytest.mark.mpi
def test_one_never_comes():
    assert world.rank != 1, "one says no"
    world.allreduce(1)
""",
        "-o",
        "mpi_patience_failed_s=0.5",
    )
    assert done.returncode == 70
    assert "[rank 1 of 2] waited 0.5 s for the others" in done.stderr
    assert "AssertionError: one says no" in done.stderr


def test_a_file_that_one_rank_cannot_import(tmp_path: Path) -> None:
    done = driven(
        tmp_path,
        """
assert world.rank != 1, "no import here"
def test_anything(): ...
""",
    )
    assert done.returncode == 2
    assert "AssertionError: no import here" in done.stdout


def test_the_driver_ends_ranks_that_all_wait(tmp_path: Path) -> None:
    began = time.monotonic()
    done = driven(
        tmp_path,
        f"""
@pytest.mark.mpi
def test_all_stuck():
    import os, pathlib
    pathlib.Path({str(tmp_path)!r}, f"pid-{{world.rank}}").write_text(str(os.getpid()))
    world.recv(source=1 - world.rank)
""",
        "--timeout",
        "4",
    )
    assert done.returncode == run_mpi.EXIT_TIMEOUT
    assert "2 ranks did not end within 4 s" in done.stderr
    assert time.monotonic() - began < 15
    for file in tmp_path.glob("pid-*"):
        assert not Path("/proc", file.read_text(), "cmdline").exists() or ended(int(file.read_text()))


def ended(process: int) -> bool:
    """Tell whether a process is only an entry in the table any more."""
    return "\nState:\tZ" in Path(f"/proc/{process}/status").read_text()


def test_no_variable_of_an_outer_launcher_reaches_the_ranks(monkeypatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "64")
    monkeypatch.setenv("PMI_RANK", "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    environment = run_mpi.environment()
    assert "SLURM_NTASKS" not in environment
    assert "PMI_RANK" not in environment
    assert environment["OMP_NUM_THREADS"] == "1"
