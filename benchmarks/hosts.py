"""Runs a benchmark on two hosts: network namespaces of this machine, made as root."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.launch import ROOT

sys.path.insert(0, str(ROOT / "tests"))

from launch.cluster import Cluster, finish, why_not


def measure_on_hosts(
    module: str, rates: Sequence[str], limit_s: float, *, ranks: int = 1, quick: bool
) -> dict[str, list[Figure]]:
    """Return the figures of a module at each rate of the network; none where there can be no hosts.

    Args:
        module: of this folder, which prints its figures as `job.run` does.
        rates: such as ``"1gbit"``, as tc names them.
        limit_s: how long a job may take, in seconds.
        ranks: of each host.
        quick: whether it only has to be seen to work.

    Raises:
        RuntimeError: with what the job printed, if it failed.

    Ranks: one, which starts the jobs.
    """
    if problem := why_not():
        print(f"{module} is left out: {problem}", file=sys.stderr)
        return {}
    command = [
        sys.executable,
        "-m",
        "distfit",
        "run",
        "--hosts",
        f"node1:{ranks},node2:{ranks}",
        "--",
        "-m",
        f"benchmarks.{module}",
    ]
    figures = {}
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder) / "cluster").running() as cluster:
        for rate in rates:
            cluster.limit(rate)
            started: subprocess.Popen[str] = cluster.on(
                1,
                *(*command, *(["--quick"] if quick else [])),
                cwd=Path(folder),
                PYTHONPATH=str(ROOT),
                OMP_NUM_THREADS="1",
                OPENBLAS_NUM_THREADS="1",
            )
            status, output = finish(started, limit_s)
            if status != 0:
                raise RuntimeError(output)
            printed = next(line for line in output.splitlines() if line.startswith("{"))
            figures[rate] = [Figure(**figure) for figure in json.loads(printed)["figures"]]
    return figures
