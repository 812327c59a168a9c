"""What one rank knows of itself and its machine."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from distfit.comm import Communicator

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where MPI libraries put theirs
_NETWORK = Path("/sys/class/net")
_INFINIBAND = Path("/sys/class/infiniband")


@dataclass(frozen=True, slots=True)
class Facts:
    """One rank and its machine.

    Attributes:
        rank: its number.
        host: the machine's name.
        mpi: the MPI library, with its version; empty at one rank.
        versions: of Python and the packages that compute and communicate, by name.
        blas: BLAS's name and version.
        blas_threads: how many threads it starts.
        cores: the numbers of those on which the rank may run.
        cores_of_host: how many the machine has.
        processor: its model.
        shared_memory: bytes of /dev/shm, and how many of them are free.
        fabrics: fast networks that are plugged in, such as ``"InfiniBand mlx5_0"``.
    """

    rank: int
    host: str
    mpi: str
    versions: dict[str, str]
    blas: str
    blas_threads: int
    cores: list[int]
    cores_of_host: int
    processor: str
    shared_memory: tuple[int, int]
    fabrics: list[str]

    @classmethod
    def here(cls, comm: Communicator) -> Facts:
        """Return those of this rank.

        Args:
            comm: the ranks, which have met: the cores are divided among BLAS's threads then.

        Ranks: local.
        """
        libraries = [one for one in threadpool_info() if one["user_api"] == "blas"]
        blas: dict[str, Any] = libraries[0] if libraries else {}
        return cls(
            rank=comm.rank,
            host=comm.host,
            mpi=comm.transport.library,
            versions=_versions(),
            blas=f"{blas.get('internal_api', 'no BLAS')} {blas.get('version') or ''}".strip(),
            blas_threads=int(blas.get("num_threads", 1)),
            cores=sorted(os.sched_getaffinity(0)),
            cores_of_host=os.cpu_count() or 1,
            processor=_processor(),
            shared_memory=_shared_memory(),
            fabrics=_fabrics(),
        )


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    for name, distribution in (("mpi4py", "mpi4py"), ("distfit", "distfit-mpi")):
        try:
            versions[name] = version(distribution)
        except PackageNotFoundError:  # run from its sources
            module = sys.modules.get(name)
            versions[name] = getattr(module, "__version__", "unknown")
    return versions


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _shared_memory() -> tuple[int, int]:
    try:
        usage = shutil.disk_usage(_SHARED_MEMORY)
    except OSError:
        return 0, 0
    return usage.total, usage.free


def _fabrics() -> list[str]:
    """Return the fast networks that the system knows: InfiniBand, Omni-Path (hfi1) and Slingshot (hsn)."""
    return [
        *(
            f"{'Omni-Path' if name.startswith('hfi1') else 'InfiniBand'} {name}"
            for name in _names(_INFINIBAND)
        ),
        *(f"Slingshot {name}" for name in _names(_NETWORK) if name.startswith("hsn")),
    ]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
