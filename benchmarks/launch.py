"""Starts one benchmark as an MPI job, and ends it when its time is up."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_LAUNCHERS = ("PMI_", "PMIX_", "OMPI_", "PRTE_", "HYDRA_", "HYDI_", "MPI_LOCAL", "SLURM_", "DISTFIT_")
_GRACE_S = 3.0


def start(name: str, ranks: int, *, quick: bool, timeout_s: float) -> dict[str, Any]:
    """Run a module of this folder on so many ranks, and return what root printed.

    Raises:
        RuntimeError: if the job failed, or did not end in time; it has ended then.
    """
    command = [mpiexec(), "-n", str(ranks), sys.executable, "-m", f"benchmarks.{name}"]
    process = subprocess.Popen(
        [*command, *(["--quick"] if quick else [])],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{name} on {ranks} ranks did not end within {timeout_s:g} s") from None
    finally:
        if process.returncode is None:
            _end_group(process)
    if process.returncode != 0:
        raise RuntimeError(f"{name} on {ranks} ranks ended with status {process.returncode}")
    result: dict[str, Any] = json.loads(printed)
    return result


def environment() -> dict[str, str]:
    """Return the ranks' environment: no outer launcher, and one thread each, since a rank stands for a core."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LAUNCHERS)}
    return kept | {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_mpi_yield_when_idle": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }


def mpiexec() -> str:
    """Return the launcher that belongs to this Python, or else the first on the path.

    Raises:
        RuntimeError: if there is none.
    """
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise RuntimeError(
            "there is no mpiexec. Install one beside this Python: pip install 'distfit-mpi[mpich]'"
        )
    return found


def _end_group(process: subprocess.Popen[str]) -> None:
    """End the launcher and all that it started: first politely, then what is left."""
    os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
