"""What each make is told, and what is read from what it prints."""

import signal
from pathlib import Path

import pytest

from distfit.launchers.hydra import IntelMpi, Mpich
from distfit.launchers.open_mpi import OpenMpi
from distfit.launchers.runner import Death, Layout, Process, Runner

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
# Printed by mpich 5.0.2 when rank 3, on another host, got SIGKILL: what it tells ends there.
MPICH_KILLED_AFAR = """
===================================================================================
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   PID 312 RUNNING AT node3
=   EXIT CODE: 9
=   CLEANING UP REMAINING PROCESSES
=   YOU CAN IGNORE THE BELOW CLEANUP MESSAGES
===================================================================================
[proxy:1@node2] HYD_pmcd_pmip_control_cb (/mpich-5.0.2/src/pm/hydra/proxy/pmip_cb.c:490): assert (!closed) failed
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
# Printed by rank 0 when rank 1, on another host, got SIGKILL; it ended with a status of its own then.
OPEN_MPI_PEER = """
--------------------------------------------------------------------------
An MPI communication peer process has unexpectedly disconnected.  This
usually indicates a failure in the peer process (e.g., a crash or
otherwise exiting without calling MPI_FINALIZE first).

  Local host: vm
  Local PID:  293
  Peer host:  {host}
--------------------------------------------------------------------------
"""
# Likewise, where a connection broke in which something was being sent.
OPEN_MPI_CLOSED = """
[{host}:00000] *** An error occurred in Socket closed
[{host}:00000] *** reported by process [1015611393,0]
[{host}:00000] *** on a NULL communicator
prterun has exited due to process rank 0 with PID 0 on {host} calling
"abort". This may have caused other processes in the application to be
"""
OPEN_MPI_4_ENDED = "  Process name: [[54118,1],2]\n  Exit code:    3\n"

MPICH, INTEL, OPEN_MPI = Mpich("mpiexec"), IntelMpi("mpiexec"), OpenMpi("mpiexec")


@pytest.mark.parametrize(
    ("runner", "text", "death"),
    [
        (MPICH, MPICH_KILLED.format(number=9, words="Killed"), Death(1, signal=9)),
        (MPICH, MPICH_KILLED.format(number=11, words="Segmentation fault"), Death(1, signal=11)),
        (MPICH, MPICH_KILLED.format(number=9, words="Killed").replace("9639", "1"), Death(None, signal=9)),
        (MPICH, MPICH_KILLED_AFAR, Death(3, signal=9)),
        (MPICH, MPICH_KILLED_AFAR.replace("node3", "node3.cluster"), Death(3, signal=9)),
        (MPICH, MPICH_KILLED_AFAR.replace("node3", "node4"), Death(None, signal=9)),
        (MPICH, MPICH_KILLED_AFAR.replace("CODE: 9", "CODE: 3"), None),
        (INTEL, INTEL_CRASHED, Death(1, signal=11)),
        (INTEL, INTEL_KILLED, Death(None, signal=9)),  # which was first is not said
        (INTEL, INTEL_CLEANED, None),  # rank 1 was first, and ended by itself
        (OPEN_MPI, OPEN_MPI_KILLED, Death(1, signal=11)),
        (OPEN_MPI, OPEN_MPI_4_KILLED, Death(3, signal=9)),
        (OPEN_MPI, OPEN_MPI_ENDED, Death(1, status=4)),
        (OPEN_MPI, OPEN_MPI_4_ENDED, Death(2, status=3)),
        (OPEN_MPI, OPEN_MPI_LEFT, Death(1)),
        (OPEN_MPI, OPEN_MPI_PEER.format(host="node3") + OPEN_MPI_ENDED, Death(3)),
        (OPEN_MPI, OPEN_MPI_PEER.format(host="vm") + "node", Death(None)),  # which of two is not said
        (OPEN_MPI, OPEN_MPI_PEER.format(host="node3") + OPEN_MPI_KILLED, Death(1, signal=11)),
        (OPEN_MPI, OPEN_MPI_CLOSED.format(host="vm"), Death(1)),
        (OPEN_MPI, OPEN_MPI_CLOSED.format(host="node1"), Death(None)),  # which of three is not said
        (OPEN_MPI, OPEN_MPI_CLOSED.format(host="vm") + OPEN_MPI_KILLED, Death(1, signal=11)),
        (MPICH, "Abort(1) on node 1 (rank 1 in comm 0)", None),
        (OPEN_MPI, "MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD", None),
    ],
)
def test_the_rank_that_died(runner: Runner, text: str, death: Death | None) -> None:
    processes = {Process("vm", 9638): 0, Process("vm", 9639): 1}
    if "node" in text:
        processes |= {Process("node2", 312): 2, Process("node3", 312): 3}  # the same number, on two machines
    assert runner.death(f"Epoch 1/2\n{text}", processes) == death


def variables(runner: Runner, layout: Layout) -> dict[str, str]:
    """Return those that say how, and not where."""
    found = runner.variables(layout, Path("/tmp/distfit-1"))
    return {name: value for name, value in found.items() if value != "/tmp/distfit-1"}


FEW, MANY = Layout(ranks=2, cores=2), Layout(ranks=3, cores=2)
HOSTS = Layout(
    ranks=3, cores=2, crowd=2, hosts={"a": 2, "b": 1}, by_ssh=True, forwarded=["OMP_NUM_THREADS", "X"]
)


def test_more_ranks_than_cores_are_allowed_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    few, many = OPEN_MPI.command(FEW, ["python"]), OPEN_MPI.command(MANY, ["python"])
    assert few == ["mpiexec", "-n", "2", "--bind-to", "none", "python"]
    assert many == ["mpiexec", "-n", "3", "--bind-to", "none", "--oversubscribe", "python"]
    assert variables(OPEN_MPI, FEW) == {}
    assert variables(OPEN_MPI, MANY) == {"OMPI_MCA_mpi_yield_when_idle": "1"}
    assert variables(OPEN_MPI, HOSTS) == {}  # no host has more ranks than cores


@pytest.mark.parametrize(
    ("runner", "options"),
    [
        (MPICH, "-hosts a:2,b:1 -launcher ssh"),
        (INTEL, "-hosts a,a,b -ppn 1 -launcher ssh"),  # it does not heed the numbers
        # It counts the numbers as places, and hands variables on only if they are named.
        (OPEN_MPI, "--host a:2,b:1 --bind-to none -x OMP_NUM_THREADS -x X"),
    ],
)
def test_hosts_are_named_as_each_make_reads_them(runner: Runner, options: str) -> None:
    assert runner.command(HOSTS, ["python"]) == ["mpiexec", "-n", "3", *options.split(), "python"]


def test_intel_is_told_a_number_that_all_hosts_have() -> None:
    even = Layout(ranks=4, cores=2, hosts={"a": 2, "b": 2}, by_ssh=True)
    assert INTEL.command(even, ["python"])[3:-1] == ["-hosts", "a,b", "-ppn", "2", "-launcher", "ssh"]
    alone = Layout(ranks=3, cores=2, hosts={"a": 3})
    assert INTEL.command(alone, ["python"])[3:-1] == ["-hosts", "a", "-ppn", "3"]


def test_ranks_are_bound_to_what_is_asked_for() -> None:
    bound = Layout(ranks=2, cores=2, bind="core")
    assert MPICH.command(FEW, ["python"]) == ["mpiexec", "-n", "2", "python"]  # by itself it binds none
    assert MPICH.command(bound, ["python"]) == ["mpiexec", "-n", "2", "-bind-to", "core", "python"]
    assert OPEN_MPI.command(bound, ["python"]) == ["mpiexec", "-n", "2", "--bind-to", "core", "python"]
    assert variables(INTEL, FEW) == {"I_MPI_PIN": "0"}
    assert variables(INTEL, bound) == {"I_MPI_PIN": "1", "I_MPI_PIN_DOMAIN": "core"}


def test_root_is_allowed_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert variables(OPEN_MPI, FEW) == {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    assert variables(MPICH, MANY) == {}


def test_temporary_files_go_with_the_job() -> None:
    found = OPEN_MPI.variables(FEW, Path("/tmp/distfit-1"))
    assert found["PRTE_MCA_prte_local_tmpdir_base"] == "/tmp/distfit-1"  # version 5
    assert (
        found["OMPI_MCA_orte_tmpdir_base"] == "/tmp/distfit-1"
    )  # version 4, which refuses the other beside it
    assert not any(
        "tmpdir" in name for name in OPEN_MPI.variables(HOSTS, None)
    )  # other hosts have no such folder


def test_a_request_to_end_leaves_the_ranks_time() -> None:
    assert MPICH.passed_on(signal.SIGTERM) == signal.SIGTERM
    assert (
        OPEN_MPI.passed_on(signal.SIGTERM) == signal.SIGUSR1
    )  # behind SIGTERM it kills them half a second later
    assert OPEN_MPI.passed_on(signal.SIGINT) == signal.SIGINT
