"""Whether the ranks of a job would train right, and at full speed: ``python -m distfit doctor``."""

from distfit.doctor.diagnosis import Diagnosis, examine
from distfit.doctor.facts import Facts
from distfit.doctor.findings import Finding, findings
from distfit.doctor.measures import Measures
from distfit.doctor.report import report

__all__ = ["Diagnosis", "Facts", "Finding", "Measures", "examine", "findings", "report"]
