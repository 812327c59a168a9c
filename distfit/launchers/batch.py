"""The hosts and ranks that a batch system gave to the job in which this runs: pure functions of its variables.

Slurm's lists of hosts are read by nobody here: MPICH's mpiexec starts its helpers by srun, and Open MPI's reads them
itself. The hosts of PBS and LSF are named to mpiexec, which starts ranks there by the batch system where it was built
for that, and else by ssh. Kubernetes has no batch system: the MPI Operator writes a hostfile, and ssh reaches the pods.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from distfit.errors import LaunchError
from distfit.launchers.allocation import Allocation
from distfit.launchers.hosts import read_hostfile

# The MPI Operator sets one of these in a launcher's pod. Open MPI 5 does not know its own, and would start all ranks in
# that pod: so the hosts are named to mpiexec, always.
_OPERATOR = "K_MPI_JOB_ROLE"
_OPERATOR_FILES = ("HYDRA_HOST_FILE", "I_MPI_HYDRA_HOST_FILE", "OMPI_MCA_orte_default_hostfile")
_OPERATOR_DEFAULT = "/etc/mpi/hostfile"
_SLURM_NODE = "SLURMD_NODENAME"


def batch_job(environment: Mapping[str, str]) -> Allocation | None:
    """Return the places that a batch system gave; None outside of a job.

    Args:
        environment: of this process.

    Raises:
        LaunchError: if what the batch system names cannot be read.

    Ranks: local.

    Example:
        >>> variables = {"SLURM_JOB_ID": "7", "SLURM_TASKS_PER_NODE": "2(x2),1", "SLURMD_NODENAME": "node1"}
        >>> job = batch_job(variables)
        >>> job.ranks, job.here, job.source
        (5, 2, 'Slurm job 7')
    """
    if "SLURM_JOB_ID" in environment:
        return _slurm(environment)
    if "PBS_NODEFILE" in environment:
        return _listed(environment["PBS_NODEFILE"], f"PBS job {environment.get('PBS_JOBID', '')}".strip())
    if "LSB_DJOB_HOSTFILE" in environment:
        return _listed(
            environment["LSB_DJOB_HOSTFILE"], f"LSF job {environment.get('LSB_JOBID', '')}".strip()
        )
    if _OPERATOR in environment or any(name in environment for name in _OPERATOR_FILES):
        named = (environment[name] for name in _OPERATOR_FILES if name in environment)
        path = Path(next(named, _OPERATOR_DEFAULT))
        return Allocation(read_hostfile(path), by_ssh=True, source=str(path))
    return None


def _slurm(environment: Mapping[str, str]) -> Allocation:
    """Count tasks. The batch script runs on the first of the nodes; the list tells its tasks first."""
    job = f"Slurm job {environment['SLURM_JOB_ID']}"
    listed = environment.get("SLURM_TASKS_PER_NODE", "")
    counts = [
        (int(tasks), int(times or 1)) for tasks, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", listed)
    ]  # fmt: skip
    if not counts:
        raise LaunchError(
            f"{job} does not say how many tasks its nodes have: SLURM_TASKS_PER_NODE is {listed!r}, and should be as in"
            " '2(x3),1'. Name the hosts with --hosts"
        )
    ranks = int(environment.get("SLURM_NTASKS") or sum(tasks * times for tasks, times in counts))
    here = (
        counts[0][0] if _SLURM_NODE in environment else 0
    )  # the shell of `salloc` may be on another machine
    return Allocation(ranks=ranks, here=min(here, ranks), source=job)


def _listed(path: str, source: str) -> Allocation:
    """Read a file that names a host once for each place."""
    return Allocation(read_hostfile(Path(path)), source=source)
