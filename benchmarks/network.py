"""Two ranks on two hosts, between which a gigabit a second goes."""

from __future__ import annotations

from benchmarks.figure import Figure
from benchmarks.hosts import measure_on_hosts
from benchmarks.job import Job, run

RATE = "1gbit"
LIMIT_S = 500.0


def measure(job: Job) -> list[Figure]:
    """Return the figures of `network_job` on the hosts; none where there can be no hosts.

    Ranks: one, which starts the job.
    """
    return measure_on_hosts("network_job", [RATE], LIMIT_S, quick=job.quick).get(RATE, [])


if __name__ == "__main__":
    run(measure)
