"""Two ranks on two hosts, between which a gigabit a second goes: network namespaces of this machine, made as root."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.job import Job, run
from benchmarks.launch import ROOT

sys.path.insert(0, str(ROOT / "tests"))

from launch.cluster import Cluster, finish, why_not

RATE = "1gbit"
LIMIT_S = 500.0


def measure(job: Job) -> list[Figure]:
    """Return the figures of `network_job` on the hosts; none where there can be no hosts.

    Ranks: one, which starts the job.
    """
    if problem := why_not():
        print(f"network is left out: {problem}", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder) / "cluster").running() as cluster:
        cluster.limit(RATE)
        command = [sys.executable, "-m", "distfit", "run", "--hosts", "node1:1,node2:1", "--"]
        quick = ["--quick"] if job.quick else []
        started: subprocess.Popen[str] = cluster.on(
            1,
            *(*command, "-m", "benchmarks.network_job", *quick),
            cwd=Path(folder),
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
