"""How a process knows that an MPI launcher started it; of all rooms, and importable without NumPy."""

RANK_VARIABLES = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "PALS_RANKID")
"""Set by MPI launchers for each process that they start."""
