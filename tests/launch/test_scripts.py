"""The scripts in launch/ start what they are given, with the ranks and threads that they name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import run_mpi

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
PROGRAM = """
import os, sys
from mpi4py import MPI
if MPI.COMM_WORLD.rank == 0:
    print(MPI.COMM_WORLD.size, os.environ["OMP_NUM_THREADS"], sys.argv[1:])
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def start(script: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = run_mpi.environment() | {"PYTHON": sys.executable} | variables
    command = ["bash", str(LAUNCH / script), *map(str, arguments)]
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_local(program: Path) -> None:
    done = start("local.sh", program, "--epochs", "3", RANKS="3", THREADS="2")
    assert done.stdout == "3 2 ['--epochs', '3']\n", done.stderr


def test_hosts(program: Path) -> None:
    done = start("hosts.sh", program, "a name", HOSTS="localhost:2")
    assert done.stdout == "2 1 ['a name']\n", done.stderr


@pytest.mark.parametrize("hosts", ["node1", "node1:two", "node1:2,node2"])
def test_hosts_says_how_they_are_written(program: Path, hosts: str) -> None:
    done = start("hosts.sh", program, HOSTS=hosts)
    assert done.returncode == 2
    assert f"HOSTS is host:ranks,host:ranks. Received: {hosts}" in done.stderr


def test_slurm(program: Path, tmp_path: Path) -> None:
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\necho "$OMP_NUM_THREADS" "$@"\n')
    srun.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = start("slurm.sbatch", program, "--epochs", "3", PATH=path, SLURM_CPUS_PER_TASK="5")
    assert done.stdout == f"5 -K1 --mpi=pmi2 {sys.executable} {program} --epochs 3\n", done.stderr
