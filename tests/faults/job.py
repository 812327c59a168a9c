"""Starts one job of several ranks, and tells how it ended and what it left behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from run_mpi import environment

START_S = 30.0  # for several Pythons to start on a busy machine
TIDY_S = 3.0  # for the launcher's own processes to go after it
_MARK = "FAULT_JOB"
_SHARED = Path("/dev/shm")


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Attributes:
        status: of mpiexec; None if it had to be ended.
        seconds: from the fault to the end, or from the start where the fault never came.
        struck: whether the fault came.
        output: what all ranks and mpiexec wrote.
        left: what was left behind: processes, files in shared memory and in the temporary folder.
    """

    status: int | None
    seconds: float
    struck: bool
    output: str
    left: list[str]


def run(
    arguments: list[str],
    ranks: int,
    *,
    limit_s: float,
    python: str = sys.executable,
    supervised: bool = False,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Ended:
    """Start ``mpiexec -n ranks python arguments``, and wait for its end.

    Args:
        arguments: the program and its arguments.
        ranks: how many.
        limit_s: how long after the fault, whose moment the program stamps, the job may last.
        python: whose environment has the MPI to use.
        supervised: whether ``python -m distfit run`` starts it, and not mpiexec itself.
        variables: of the ranks' environment.
    """
    name = uuid.uuid4().hex
    folder = Path(tempfile.mkdtemp(prefix="fault-"))
    temporary, out, stamp, output = (folder / one for one in ("tmp", "out", "stamp", "output"))
    temporary.mkdir()
    out.mkdir()
    variables = {
        **variables,
        _MARK: name,
        "TMPDIR": str(temporary),
        "FAULT_STAMP": str(stamp),
        "FAULT_OUT": str(out),
        "PYTHONFAULTHANDLER": "1",
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "cache"),  # else in TMPDIR, where PyTorch means it to stay
    }
    began = time.time()
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*_launcher(python, ranks, supervised=supervised), *arguments],
            env=environment() | variables,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        status = _wait(process, stamp, limit_s)
    ended = time.time()
    struck = stamp.exists()
    since = stamp.stat().st_mtime if struck else began
    left = _left(name, began, temporary, out)
    text = output.read_bytes().replace(b"\0", b"").decode(errors="replace")
    shutil.rmtree(folder, ignore_errors=True)
    return Ended(status, ended - since, struck, text, left)


def _launcher(python: str, ranks: int, *, supervised: bool) -> list[str]:
    if supervised:
        return [python, "-m", "distfit", "run", "-n", str(ranks)]
    return [str(Path(python).with_name("mpiexec")), "-n", str(ranks), python]


def _wait(process: subprocess.Popen[bytes], stamp: Path, limit_s: float) -> int | None:
    """Return the launcher's status, or None if it is over its time."""
    began = time.time()
    while process.poll() is None:
        deadline = stamp.stat().st_mtime + limit_s if stamp.exists() else began + START_S + limit_s
        if time.time() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None
        time.sleep(0.02)
    return process.returncode


def _left(name: str, began: float, temporary: Path, out: Path) -> list[str]:
    """Return what is still there some seconds after the end, and end processes that are."""
    deadline = time.monotonic() + TIDY_S
    while (left := _processes(name) + _files(began, temporary, out)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for text in left:
        kind, _, number = text.partition(" ")
        if kind == "process":
            os.kill(int(number.split()[0]), signal.SIGKILL)
    return left


def _processes(name: str) -> list[str]:
    """Return the processes that have the job's mark in their environment, whatever session they are in."""
    mark = f"{_MARK}={name}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append(f"process {entry.name} {command}")
        except OSError:  # it ended meanwhile, or is another user's
            continue
    return found


def _files(began: float, temporary: Path, out: Path) -> list[str]:
    """Return temporary files, and shared memory that is new and in no process's use.

    Whose such memory was cannot be told: of jobs that run beside each other all are blamed.
    """
    found = [f"file {path}" for path in temporary.rglob("*")]
    found += [f"file {path}" for path in out.rglob(".*.unfinished")]
    new = []
    for path in _SHARED.glob("*"):
        try:
            if path.stat().st_mtime >= began:
                new.append(path)
        except OSError:
            continue
    return found + ([f"shared memory {path}" for path in new if not _in_use(path)] if new else [])


def _in_use(path: Path) -> bool:
    """Say whether a process maps or holds a file: one that runs beside this job may."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(path) in (entry / "maps").read_text():
                return True
        except OSError:
            continue
    return False
