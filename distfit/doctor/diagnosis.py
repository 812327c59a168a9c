"""An examination of all ranks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distfit.comm import Communicator
from distfit.doctor.facts import Facts
from distfit.doctor.findings import Finding, findings
from distfit.doctor.measures import Measures, measure


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found; equal on all ranks.

    Attributes:
        ranks: the facts of each rank.
        measures: of all of them.
        findings: what would make training wrong or slow, the worst first.
    """

    ranks: list[Facts]
    measures: Measures
    findings: list[Finding]

    @property
    def is_well(self) -> bool:
        """Whether training would be right, and at full speed."""
        return all(one.severity == "note" for one in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {"well": self.is_well, **asdict(self)}


def examine(comm: Communicator, folder: Path | None = None) -> Diagnosis:
    """Examine all ranks.

    Args:
        comm: the ranks.
        folder: for checkpoints, which all of them should see; None for no look.

    Ranks: every rank together; some hundred megabytes in all.

    Example:
        >>> from distfit.comm import Communicator
        >>> from distfit.doctor import examine
        >>> [one.rank for one in examine(Communicator.alone()).ranks]
        [0]
    """
    # In an operation: what fails on one rank, such as reading its facts, is an error on all of them. Its first message
    # lets the ranks meet, so that BLAS's threads are what training would find.
    with comm.operation("the doctor's examination"):
        ranks = comm.all_gather_object(Facts.here(comm))
        measures = measure(comm, [one.host for one in ranks], folder)
    return Diagnosis(ranks, measures, findings(ranks, measures))
