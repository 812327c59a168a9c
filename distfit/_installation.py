"""Whether this package has its folder to itself."""

from pathlib import Path


def check_alone() -> None:
    """Raise if PyPI's project `distfit`, which fits distributions, was installed into the same folder.

    This project's distribution is called distfit-mpi; both are imported as `distfit`, and pip does not mind.

    Raises:
        ImportError: naming the remedy.

    Ranks: local.
    """
    if Path(__file__).with_name("distfit.py").exists():
        raise ImportError(
            "two projects are installed in the folder distfit: this one (distfit-mpi), and PyPI's distfit, which fits"
            " probability distributions. Keep them in separate environments: pip uninstall distfit distfit-mpi, then"
            " pip install distfit-mpi"
        )
