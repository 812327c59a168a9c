"""Which ranks of a plan run where, with which variables: from the plan, and from what is known of the hosts."""

import os
import platform
from dataclasses import dataclass

from distfit.errors import LaunchError
from distfit.launchers.allocation import Allocation, is_here
from distfit.launchers.placement import place
from distfit.launchers.plan import Plan
from distfit.launchers.runner import Layout
from distfit.launchers.survey import Survey
from distfit.launchers.threads import blas_threads
from distfit.launchers.variables import chosen, forwarded


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How a job is to be started.

    Attributes:
        layout: of its ranks.
        here: how many of them are on this machine.
        is_here: whether all of it is.
        environment: of mpiexec, and of the ranks.
    """

    layout: Layout
    here: int
    is_here: bool
    environment: dict[str, str]


def others_of(allocation: Allocation) -> list[str]:
    """Return the hosts that ssh has to reach.

    Ranks: local.
    """
    return [host for host in allocation.slots if allocation.by_ssh and not is_here(host)]


def arrange(plan: Plan, found: Survey) -> Arrangement:
    """Return how to start a plan's job on the hosts that are there.

    Args:
        plan: what is to be run.
        found: of the other hosts. Of one that was not asked the cores are taken to be as many as here.

    Raises:
        LaunchError: if hosts are gone and the plan does not allow for it, or if there are not places enough.

    Ranks: local; the supervisor's.
    """
    if found.gone and plan.min_ranks is None:
        raise LaunchError("\n".join(found.gone.values()))
    allocation = plan.allocation
    slots = allocation.slots or {platform.node(): allocation.total or plan.ranks}
    placed = place(
        plan.ranks, plan.at_least, {host: n for host, n in slots.items() if host not in found.gone}
    )
    ranks = sum(placed.values())
    crowd, cores = _most_crowded(placed, found) if allocation.slots else (allocation.here or ranks, _cores())
    if plan.bind == "core" and crowd > cores:
        raise LaunchError(
            f"--bind core gives each rank a core of its own, but {crowd} ranks would run on a machine with {cores}."
            " Start fewer there, or bind to none or socket"
        )
    share = (1, 1) if plan.bind == "core" else (crowd, cores)
    environment = {**blas_threads(*share, os.environ), **os.environ, **chosen(plan.settings, os.environ)}
    layout = Layout(
        ranks,
        cores,
        crowd,
        hosts=placed if allocation.slots else {},
        by_ssh=allocation.by_ssh,
        bind=plan.bind,
        forwarded=() if allocation.is_here else forwarded(environment),
    )
    here = allocation.ranks_here(placed) if allocation.total else ranks
    return Arrangement(layout, here, allocation.is_here, environment)


def _most_crowded(placed: dict[str, int], found: Survey) -> tuple[int, int]:
    """Return the ranks and the cores of the host with the fewest cores for each rank."""
    pairs = [(number, found.cores.get(host, _cores())) for host, number in placed.items()]
    return min(pairs, key=lambda pair: pair[1] / pair[0])


def _cores() -> int:
    return len(os.sched_getaffinity(0))
