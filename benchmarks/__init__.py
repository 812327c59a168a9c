"""Measurements of distfit against the same arithmetic without it: ``python -m benchmarks``, or ``make bench``."""
