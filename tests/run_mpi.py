"""Runs the tests of several ranks: python tests/run_mpi.py [-n RANKS] [--timeout SECONDS] [for pytest ...].

It starts one mpiexec over pytest, with the plugin that keeps ranks in step (mpi_meeting), and ends it when
its time is up. Variables of an enclosing launcher are removed: a batch system's step must not decide how
many ranks a test has.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
EXIT_TIMEOUT = 124
_LAUNCHERS = ("PMI_", "PMIX_", "OMPI_", "PRTE_", "HYDRA_", "HYDI_", "MPI_LOCAL", "SLURM_")
_GRACE_S = 3.0


def environment() -> dict[str, str]:
    """Return the ranks' environment: no outer launcher, one thread each, more ranks than cores allowed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LAUNCHERS)}
    search = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return kept | {
        "PYTHONPATH": os.pathsep.join(search),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # Zarr's takes two seconds to load, on each rank
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_mpi_yield_when_idle": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "PRTE_MCA_hwloc_default_binding_policy": "none",
    }


def mpiexec() -> str:
    """Return the launcher that belongs to this Python, or else the first on the path."""
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise SystemExit(
            "There is no mpiexec. Install one beside this Python: pip install 'distfit-mpi[mpich]'"
        )
    return found


def run(ranks: int, arguments: list[str], timeout_s: float) -> int:
    """Run pytest on `ranks` ranks and return its exit status, or `EXIT_TIMEOUT`."""
    pytest = [
        sys.executable,
        "-m",
        "pytest",
        "--with-mpi",
        "-p",
        "pytest_mpi",
        "-p",
        "mpi_meeting",
        "-p",
        "no:cacheprovider",
    ]
    process = subprocess.Popen(
        [mpiexec(), "-n", str(ranks), *pytest, "--color=no", *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        print(f"run_mpi: {ranks} ranks did not end within {timeout_s:g} s", file=sys.stderr, flush=True)
        return EXIT_TIMEOUT
    finally:
        if process.returncode is None:
            _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the launcher and all that it started: first politely, then what is left."""
    os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> int:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", "--ranks", type=int, default=4)
    parser.add_argument("--timeout", type=float, default=420.0, metavar="SECONDS")
    options, arguments = parser.parse_known_args()
    names_tests = any(Path(argument.partition("::")[0]).exists() for argument in arguments)
    return run(options.ranks, [*arguments, *([] if names_tests else [str(TESTS / "mpi")])], options.timeout)


if __name__ == "__main__":
    # A batch system or `make` ends this process by SIGTERM: unwind, so that no rank is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
