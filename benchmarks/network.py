"""Two hosts of one rank and of two, between which a gigabit a second goes."""

from __future__ import annotations

from benchmarks.figure import Figure
from benchmarks.hosts import measure_on_hosts
from benchmarks.job import Job, run

RATE = "1gbit"
LIMIT_S = 500.0


def measure(job: Job) -> list[Figure]:
    """Return the figures of `network_job` and `network_ranks_job` on the hosts; none where there can be no hosts.

    Ranks: one, which starts the jobs.
    """
    figures = []
    for module, ranks in (("network_job", 1), ("network_ranks_job", 2)):
        figures += measure_on_hosts(module, [RATE], LIMIT_S, ranks=ranks, quick=job.quick).get(RATE, [])
    return figures


if __name__ == "__main__":
    run(measure)
