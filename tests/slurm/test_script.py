"""launch/slurm.sbatch queues its job again when the program asks for it or ranks died, and in no other case."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "launch" / "slurm.sbatch"


def ended(
    tmp_path: Path, status: int, *, scontrol: str = 'echo "scontrol $*"', **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the script with an srun that ends with a status, and a scontrol that tells how it was called."""
    for name, does in (("srun", f"exit {status}"), ("scontrol", scontrol)):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_CPUS_PER_TASK": "1",
        "SLURM_JOB_ID": "7",
    }
    return subprocess.run(
        ["bash", str(SCRIPT), "train.py"],
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize("status", [0, 1, 2, 9])
def test_what_ends_by_itself_stays_ended(tmp_path: Path, status: int) -> None:
    done = ended(tmp_path, status)
    assert (done.returncode, done.stdout) == (status, ""), done.stderr


@pytest.mark.parametrize("status", [75, 85, 137, 143])
def test_what_was_interrupted_is_queued_again(tmp_path: Path, status: int) -> None:
    done = ended(tmp_path, status)
    assert (done.returncode, done.stdout) == (status, "scontrol requeue 7\n"), done.stderr


@pytest.mark.parametrize(("status", "again"), [(75, ""), (137, ""), (85, "scontrol requeue 7\n")])
def test_ranks_that_die_are_not_started_for_ever(tmp_path: Path, status: int, again: str) -> None:
    done = ended(tmp_path, status, RESTARTS="2", SLURM_RESTART_COUNT="2")
    assert done.stdout == again, done.stderr


def test_a_job_that_cannot_be_queued_again_fails(tmp_path: Path) -> None:
    assert ended(tmp_path, 85, scontrol="exit 3").returncode == 3
