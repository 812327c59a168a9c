"""How the job was started, read from the environment that launchers make."""

import pytest

from distfit.comm.launch import check_world, launched, launcher_size, no_mpi
from distfit.errors import LaunchError

HYDRA = {"PMI_SIZE": "4", "PMI_RANK": "1"}
OPEN_MPI = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "2", "PMIX_RANK": "2"}
PMIX_ONLY = {"PMIX_RANK": "0"}
PALS = {"PALS_RANKID": "3"}
SRUN = {"SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "0"}
BATCH_SHELL = {"SLURM_NTASKS": "4", "SLURM_JOB_ID": "17"}  # what a plain `python` in a batch script sees
NOTHING: dict[str, str] = {"HOME": "/home/user"}


@pytest.mark.parametrize(
    ("environment", "size"),
    [
        (HYDRA, 4),
        (OPEN_MPI, 4),
        (PMIX_ONLY, None),
        (PALS, None),
        (SRUN, 4),
        (BATCH_SHELL, None),
        (NOTHING, None),
    ],
)
def test_the_size_that_the_launcher_tells(environment: dict[str, str], size: int | None) -> None:
    assert launcher_size(environment) == size


@pytest.mark.parametrize(
    ("environment", "is_launched"),
    [
        (HYDRA, True),
        (OPEN_MPI, True),
        (PMIX_ONLY, True),
        (PALS, True),
        (BATCH_SHELL, False),
        (NOTHING, False),
    ],
)
def test_whether_a_launcher_started_this_process(environment: dict[str, str], is_launched: bool) -> None:
    assert launched(environment) is is_launched


@pytest.mark.parametrize("environment", [HYDRA, OPEN_MPI, SRUN])
def test_a_world_of_another_size_is_n_lonely_trainings(environment: dict[str, str]) -> None:
    check_world(4, environment)
    with pytest.raises(LaunchError, match=r"started 4 processes, but MPI's world has 1"):
        check_world(1, environment)


def test_a_rank_beyond_the_world_tells_of_the_launcher_too() -> None:
    check_world(4, PALS)
    with pytest.raises(LaunchError, match="started 4 processes"):
        check_world(1, PALS)


@pytest.mark.parametrize("environment", [BATCH_SHELL, NOTHING, PMIX_ONLY])
def test_one_process_may_be_meant(environment: dict[str, str]) -> None:
    check_world(1, environment)


def test_a_size_that_is_no_number() -> None:
    with pytest.raises(LaunchError, match=r"PMI_SIZE has to be a number\. Received: 'many'"):
        launcher_size({"PMI_SIZE": "many"})


@pytest.mark.parametrize("environment", [HYDRA, OPEN_MPI, PMIX_ONLY, PALS])
def test_a_launcher_without_mpi_is_an_error_that_names_the_remedy(environment: dict[str, str]) -> None:
    missing = ImportError("libmpi.so: cannot open shared object file")
    with pytest.raises(LaunchError, match="distfit-mpi") as caught:
        no_mpi(missing, environment)
    assert caught.value.__cause__ is missing


def test_without_a_launcher_no_mpi_is_needed() -> None:
    no_mpi(ImportError("no MPI"), BATCH_SHELL)
