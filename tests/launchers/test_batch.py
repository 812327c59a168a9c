"""What batch systems put into a job's environment, as it was recorded or is documented."""

from pathlib import Path

import pytest

from distfit.errors import LaunchError
from distfit.launchers.allocation import Allocation
from distfit.launchers.batch import batch_job

# Recorded in the batch script of a job of three nodes, under Slurm 22.05.8; what says nothing of places is left out.
SLURM = {
    "SLURM_JOB_ID": "12",
    "SLURM_JOB_NUM_NODES": "3",
    "SLURM_JOB_NODELIST": "node[1-3]",
    "SLURM_NTASKS": "5",
    "SLURM_TASKS_PER_NODE": "2(x2),1",
    "SLURMD_NODENAME": "node1",
}


def test_outside_of_a_job_there_is_none() -> None:
    assert batch_job({"PATH": "/usr/bin", "HOSTNAME": "node1"}) is None


def test_slurm_counts_tasks_and_keeps_its_hosts_to_itself() -> None:
    job = batch_job(SLURM)
    assert job == Allocation(ranks=5, here=2, source="Slurm job 12")
    assert not job.is_here


@pytest.mark.parametrize(
    ("listed", "ranks", "here"), [("4", 4, 4), ("2(x3)", 6, 2), ("3,1(x2)", 5, 3), ("16(x2),8", 40, 16)]
)
def test_slurms_counts_are_read(listed: str, ranks: int, here: int) -> None:
    variables = {"SLURM_JOB_ID": "1", "SLURM_TASKS_PER_NODE": listed, "SLURMD_NODENAME": "node1"}
    job = batch_job(variables)  # SLURM_NTASKS is missing where nobody asked for a number
    assert job is not None
    assert (job.total, job.here, job.is_here) == (ranks, here, ranks == here)


def test_a_shell_beside_slurms_nodes_has_no_ranks() -> None:
    job = batch_job({name: value for name, value in SLURM.items() if name != "SLURMD_NODENAME"})
    assert job is not None
    assert (job.total, job.here) == (5, 0)  # `salloc` on a login node


def test_slurm_without_counts_is_an_error_with_the_remedy() -> None:
    with pytest.raises(LaunchError, match=r"Slurm job 7 does not say .* --hosts"):
        batch_job({"SLURM_JOB_ID": "7"})


@pytest.mark.parametrize(
    ("variables", "source"),
    [
        ({"PBS_NODEFILE": "{file}", "PBS_JOBID": "42.server"}, "PBS job 42.server"),
        ({"LSB_DJOB_HOSTFILE": "{file}", "LSB_JOBID": "42"}, "LSF job 42"),
    ],
)
def test_pbs_and_lsf_name_a_host_for_each_place(
    tmp_path: Path, variables: dict[str, str], source: str
) -> None:
    file = tmp_path / "nodes"
    file.write_text("node1.cluster\nnode1.cluster\nnode2.cluster\n")
    job = batch_job({name: value.format(file=file) for name, value in variables.items()})
    assert job == Allocation({"node1.cluster": 2, "node2.cluster": 1}, source=source)
    assert not job.by_ssh  # mpiexec may know a better way there


@pytest.mark.parametrize(
    ("variable", "line"),
    [
        ("HYDRA_HOST_FILE", "{host}:2"),
        ("I_MPI_HYDRA_HOST_FILE", "{host}:2"),
        ("OMPI_MCA_orte_default_hostfile", "{host} slots=2"),
    ],
)
def test_the_mpi_operators_hostfile_is_read(tmp_path: Path, variable: str, line: str) -> None:
    hosts = [f"train-worker-{number}.train.default.svc" for number in range(2)]
    file = tmp_path / "hostfile"
    file.write_text("".join(line.format(host=host) + "\n" for host in hosts))
    job = batch_job({"K_MPI_JOB_ROLE": "launcher", variable: str(file)})
    assert job == Allocation(dict.fromkeys(hosts, 2), by_ssh=True, source=str(file))


def test_places_may_be_counted_anew() -> None:
    assert Allocation({"a": 1, "b": 8}).with_ranks_per_node(4).slots == {"a": 4, "b": 4}
    assert Allocation().with_ranks_per_node(4).total == 4
    with pytest.raises(LaunchError, match="Slurm job 12 has its ranks already"):
        Allocation(ranks=5, here=2, source="Slurm job 12").with_ranks_per_node(4)
    with pytest.raises(LaunchError, match=r"--ranks-per-node is 1 or more. Received: 0"):
        Allocation({"a": 1}).with_ranks_per_node(0)
