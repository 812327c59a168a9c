"""How well `cost_model` predicts a step on two hosts."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.figure import Figure
from benchmarks.hosts import measure_on_hosts
from benchmarks.job import Job, run

RATES = ("1gbit", "100mbit")
LIMIT_S = 200.0


def measure(job: Job) -> list[Figure]:
    """Return the figures of `scale_job` on the hosts, at each rate; none where there can be no hosts.

    Ranks: one, which starts the jobs.
    """
    rates = RATES[:1] if job.quick else RATES
    on_hosts = measure_on_hosts("scale_job", rates, LIMIT_S, quick=job.quick)
    return [
        replace(figure, name=f"{rate}: {figure.name}")
        for rate, figures in on_hosts.items()
        for figure in figures
    ]


if __name__ == "__main__":
    run(measure)
