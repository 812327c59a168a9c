"""What each make is told, and what is read from what it prints."""

import signal
from pathlib import Path

import pytest

from distfit.launchers.hydra import IntelMpi, Mpich
from distfit.launchers.open_mpi import OpenMpi
from distfit.launchers.runner import Death, Runner

# Printed by mpich 5.0.2 when rank 1 got SIGKILL; and SIGSEGV.
MPICH_KILLED = """
===================================================================================
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   PID 9639 RUNNING AT vm
=   EXIT CODE: {number}
=   CLEANING UP REMAINING PROCESSES
=   YOU CAN IGNORE THE BELOW CLEANUP MESSAGES
===================================================================================
YOUR APPLICATION TERMINATED WITH THE EXIT STRING: {words} (signal {number})
"""
# Printed by impi-rt 2021.18 when a signal struck rank 1: SIGKILL comes from itself where another rank has ended.
INTEL_RANK = """
===================================================================================
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   RANK {rank} PID 27244 RUNNING AT host
=   KILLED BY SIGNAL: {words}
===================================================================================
"""
INTEL_CLEANED = INTEL_RANK.format(rank=0, words="9 (Killed)")
INTEL_CRASHED = INTEL_CLEANED + INTEL_RANK.format(rank=1, words="11 (Segmentation fault)")
INTEL_KILLED = INTEL_CLEANED + INTEL_RANK.format(rank=1, words="9 (Killed)")
# Printed by openmpi 5.0.11, and by version 4.
OPEN_MPI_KILLED = """
--------------------------------------------------------------------------
prterun noticed that process rank 1 with PID 10222 on node vm exited on
signal 11 (Segmentation fault).
--------------------------------------------------------------------------
"""
OPEN_MPI_4_KILLED = "mpirun noticed that process rank 3 with PID 0 on node vm exited on signal 9 (Killed)."
OPEN_MPI_ENDED = """
prterun detected that one or more processes exited with non-zero status,
thus causing the job to be terminated. The first process to do so was:

   Process name: [prterun-vm-10346@1,1]
   Exit code:    4
"""
OPEN_MPI_LEFT = """
prterun has exited due to process rank 1 with PID 0 on node vm exiting
improperly. There are three reasons this could occur:
"""
OPEN_MPI_4_ENDED = "  Process name: [[54118,1],2]\n  Exit code:    3\n"

MPICH, INTEL, OPEN_MPI = Mpich("mpiexec"), IntelMpi("mpiexec"), OpenMpi("mpiexec")


@pytest.mark.parametrize(
    ("runner", "text", "death"),
    [
        (MPICH, MPICH_KILLED.format(number=9, words="Killed"), Death(1, signal=9)),
        (MPICH, MPICH_KILLED.format(number=11, words="Segmentation fault"), Death(1, signal=11)),
        (MPICH, MPICH_KILLED.format(number=9, words="Killed").replace("9639", "1"), Death(None, signal=9)),
        (INTEL, INTEL_CRASHED, Death(1, signal=11)),
        (INTEL, INTEL_KILLED, Death(None, signal=9)),  # which was first is not said
        (INTEL, INTEL_CLEANED, None),  # rank 1 was first, and ended by itself
        (OPEN_MPI, OPEN_MPI_KILLED, Death(1, signal=11)),
        (OPEN_MPI, OPEN_MPI_4_KILLED, Death(3, signal=9)),
        (OPEN_MPI, OPEN_MPI_ENDED, Death(1, status=4)),
        (OPEN_MPI, OPEN_MPI_4_ENDED, Death(2, status=3)),
        (OPEN_MPI, OPEN_MPI_LEFT, Death(1)),
        (MPICH, "Abort(1) on node 1 (rank 1 in comm 0)", None),
        (OPEN_MPI, "MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD", None),
    ],
)
def test_the_rank_that_died(runner: Runner, text: str, death: Death | None) -> None:
    assert runner.death(f"Epoch 1/2\n{text}", {9638: 0, 9639: 1}) == death


def variables(runner: Runner, ranks: int, cores: int) -> dict[str, str]:
    """Return those that say how, and not where."""
    found = runner.variables(ranks, cores, Path("/tmp/distfit-1"))
    return {name: value for name, value in found.items() if value != "/tmp/distfit-1"}


def test_more_ranks_than_cores_are_allowed_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    few, many = OPEN_MPI.command(2, 2, ["python"]), OPEN_MPI.command(3, 2, ["python"])
    assert few == ["mpiexec", "-n", "2", "--bind-to", "none", "python"]
    assert many == ["mpiexec", "-n", "3", "--bind-to", "none", "--oversubscribe", "python"]
    assert variables(OPEN_MPI, 2, 2) == {}
    assert variables(OPEN_MPI, 3, 2) == {"OMPI_MCA_mpi_yield_when_idle": "1"}


def test_root_is_allowed_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert variables(OPEN_MPI, 2, 2) == {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    assert variables(MPICH, 3, 2) == {}


def test_temporary_files_go_with_the_job() -> None:
    found = OPEN_MPI.variables(2, 2, Path("/tmp/distfit-1"))
    assert found["PRTE_MCA_prte_local_tmpdir_base"] == "/tmp/distfit-1"  # version 5
    assert found["OMPI_MCA_orte_local_tmpdir_base"] == "/tmp/distfit-1"  # version 4


def test_a_request_to_end_leaves_the_ranks_time() -> None:
    assert MPICH.passed_on(signal.SIGTERM) == signal.SIGTERM
    assert (
        OPEN_MPI.passed_on(signal.SIGTERM) == signal.SIGUSR1
    )  # behind SIGTERM it kills them half a second later
    assert OPEN_MPI.passed_on(signal.SIGINT) == signal.SIGINT
