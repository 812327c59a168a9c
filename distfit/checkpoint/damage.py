"""What is raised for a checkpoint that cannot be used."""

from distfit.errors import DistfitError


class DamagedCheckpoint(DistfitError, ValueError):
    """A checkpoint is not what was written: a file is missing, cut off or changed."""


class NewerCheckpoint(DistfitError, ValueError):
    """A checkpoint was written by a later distfit, in a format that this one does not know."""
