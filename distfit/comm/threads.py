"""BLAS threads: the cores of a node, divided among its ranks.

Left alone, each rank's BLAS starts a thread for every core of the machine, and the threads of all ranks wait for each
other: 18 times slower was measured with two ranks on two cores.
"""

import os

from threadpoolctl import threadpool_limits

_SET_BY_USER = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def limit_blas_threads(ranks_on_node: int) -> None:
    """Limit BLAS to this rank's part of the cores that it may run on; a user's own setting holds.

    Args:
        ranks_on_node: how many ranks share this machine.

    Ranks: local.
    """
    if ranks_on_node > 1 and not any(name in os.environ for name in _SET_BY_USER):
        threadpool_limits(max(1, len(os.sched_getaffinity(0)) // ranks_on_node))
