"""How well `cost_model` predicts a step on two hosts: network namespaces of this machine, made as root."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.launch import ROOT

sys.path.insert(0, str(ROOT / "tests"))

from launch.cluster import Cluster, finish, why_not

RATES = ("1gbit", "100mbit")
LIMIT_S = 200.0


def measure(job: Job) -> list[Figure]:
    """Return the figures of `scale_job` on the hosts, at each rate; none where there can be no hosts.

    Ranks: one, which starts the jobs.
    """
    if problem := why_not():
        print(f"scale is left out: {problem}", file=sys.stderr)
        return []
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder) / "cluster").running() as cluster:
        for rate in RATES[: 1 if job.quick else None]:
            cluster.limit(rate)
            on_hosts = _run(cluster, Path(folder), quick=job.quick)
            figures += [replace(figure, name=f"{rate}: {figure.name}") for figure in on_hosts]
    return figures


def _run(cluster: Cluster, folder: Path, *, quick: bool) -> list[Figure]:
    command = [sys.executable, "-m", "distfit", "run", "--hosts", "node1:1,node2:1", "--"]
    started: subprocess.Popen[str] = cluster.on(
        1,
        *(*command, "-m", "benchmarks.scale_job", *(["--quick"] if quick else [])),
        cwd=folder,
        PYTHONPATH=str(ROOT),
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
    )
    status, output = finish(started, LIMIT_S)
    if status != 0:
        raise RuntimeError(output)
    printed = next(line for line in output.splitlines() if line.startswith("{"))
    return [Figure(**figure) for figure in json.loads(printed)["figures"]]


if __name__ == "__main__":
    run(measure)
