"""BLAS threads of the ranks, as variables that are there before any library is loaded."""

from collections.abc import Mapping

NAMES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
)  # fmt: skip


def blas_threads(ranks: int, cores: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that divide the cores of a machine among its ranks.

    Args:
        ranks: on the machine.
        cores: of it.
        environment: of the user. What is set there holds; then nothing is returned, since OpenBLAS would prefer a
            variable of its own to the user's ``OMP_NUM_THREADS``.

    Ranks: local.

    Example:
        >>> blas_threads(ranks=4, cores=32, environment={})["OMP_NUM_THREADS"]
        '8'
        >>> blas_threads(ranks=4, cores=32, environment={"OMP_NUM_THREADS": "2"})
        {}
    """
    if any(name in environment for name in NAMES):
        return {}
    return dict.fromkeys(NAMES, str(max(1, cores // ranks)))
